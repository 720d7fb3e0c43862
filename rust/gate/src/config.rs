//! What the gate is started with: one JSON document from the control plane, parsed strictly.
//!
//! The control plane has validated the user's file already, so an error here is a disagreement
//! between two rooms; it still stops the start (fail closed).

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use snowgate_session::Budget;

use crate::{GateError, row::SessionRow};

/// Everything the gate needs to run. Field names are those of the JSON document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    /// Where clients connect.
    pub listen: Listen,
    /// The account statements are forwarded to.
    pub upstream: snowgate_upstream::Config,
    /// User, role and warehouse of the gateway's own statements.
    pub gateway_session: GatewaySession,
    /// The ledger's place and name.
    pub ledger: LedgerConfig,
    /// Folder of the keys that encrypt statement texts; outside the ledger's folder (F23).
    pub text_keys_dir: PathBuf,
    /// File of 32 random bytes, mode 0600: the root of every key the gate derives.
    pub store_key_file: PathBuf,
    /// Name of this gateway, for `QUERY_TAG` and the ledger.
    pub gateway: String,
    /// The account name clients must give at login.
    pub account: String,
    /// Sizes, counts and time limits.
    #[serde(default)]
    pub limits: Limits,
    /// How long a session token lasts, in seconds; renewals give a new one.
    #[serde(default = "one_hour")]
    pub session_token_s: u64,
    /// Budgets in force, for what the ledger says was taken of them. What counts is said by verdicts.
    #[serde(default)]
    pub budgets: Vec<Budget>,
    /// Sessions to restore, as told by `session_opened` and `session_changed` before the restart.
    #[serde(default)]
    pub sessions: Vec<SessionRow>,
}

/// Where clients connect.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address to bind.
    pub address: IpAddr,
    /// Port to bind; 0 lets the system choose.
    pub port: u16,
    /// Certificate and key; `None` serves plain HTTP.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Names a `Host` header may carry, without port (F30).
    pub hosts: Vec<String>,
}

/// Certificate chain and private key, PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Chain, leaf first.
    pub certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1 key of the leaf.
    pub private_key: PathBuf,
}

/// The gateway's own session.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySession {
    /// A user that no client's session belongs to: Snowflake's history then tells whose a statement
    /// was without asking the gateway (F24).
    pub credential: snowgate_upstream::Credential,
    /// Role it is pinned to.
    pub role: String,
    /// Warehouse, if its statements need one.
    #[serde(default)]
    pub warehouse: Option<String>,
}

/// The ledger's place and name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// Folder of the ledger.
    pub dir: PathBuf,
    /// Its name in checkpoints, such as `snowgate/gw-1`.
    pub origin: String,
    /// Ed25519 key that signs checkpoints.
    pub key_file: PathBuf,
    /// What the control plane knows of it: a ledger that does not extend this refuses to start (F22).
    #[serde(default)]
    pub known: Option<Known>,
}

/// A size and root the ledger must extend.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Number of entries.
    pub size: u64,
    /// Tree head, hex.
    pub root: String,
}

/// Sizes, counts and time limits. Every default is a choice, explained where it is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest request head.
    pub header_bytes: usize,
    /// Largest request body, compressed or not.
    pub body_bytes: usize,
    /// Largest statement text.
    pub statement_bytes: usize,
    /// Connections at once.
    pub connections: usize,
    /// Time a client has to send a request head, from its first byte on, or from the connection's
    /// first moment; and to send the body of a login.
    pub header_timeout_s: u64,
    /// Time a client has to send another request body, may be silent between requests, or may take no
    /// bytes of an answer.
    pub idle_timeout_s: u64,
    /// Longest time an answer is held (`protocol.md` section 4: drivers give up at 60 s and 90 s).
    pub poll_hold_s: f64,
    /// Limit of the `login` question.
    pub login_limit_s: f64,
    /// Limit of the `judge` question and of everything as short.
    pub judge_limit_s: f64,
    /// Age at which a chunk ticket ends (F20: at most six hours).
    pub ticket_age_s: u64,
    /// Fetches of one chunk (F20: at most ten).
    pub ticket_uses: u32,
    /// Verdicts kept.
    pub cache_entries: usize,
    /// Sessions at once; half of them at most for one identity.
    pub sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            body_bytes: 16 * 1024 * 1024,
            statement_bytes: 1024 * 1024,
            connections: 4096,
            header_timeout_s: 30,
            idle_timeout_s: 300,
            poll_hold_s: 45.0,
            login_limit_s: 8.0,
            judge_limit_s: 5.0,
            ticket_age_s: 6 * 3600,
            ticket_uses: 10,
            cache_entries: 50_000,
            sessions: 10_000,
        }
    }
}

impl Limits {
    /// [`Limits::poll_hold_s`].
    pub(crate) fn poll_hold(&self) -> Duration {
        seconds(self.poll_hold_s)
    }

    /// [`Limits::login_limit_s`].
    pub(crate) fn login_limit(&self) -> Duration {
        seconds(self.login_limit_s)
    }

    /// [`Limits::judge_limit_s`].
    pub(crate) fn judge_limit(&self) -> Duration {
        seconds(self.judge_limit_s)
    }
}

impl GateConfig {
    /// Parse the document.
    pub fn from_json(text: &[u8]) -> Result<Self, GateError> {
        let config: Self = serde_json::from_slice(text)
            .map_err(|error| GateError::Config { reason: error.to_string() })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), GateError> {
        let limits = &self.limits;
        for (name, value) in [
            ("poll_hold_s", limits.poll_hold_s),
            ("login_limit_s", limits.login_limit_s),
            ("judge_limit_s", limits.judge_limit_s),
        ] {
            if !(value > 0.0 && value <= 3600.0) {
                return Err(GateError::Config {
                    reason: format!("limits.{name} must be above 0 and at most 3600"),
                });
            }
        }
        if limits.ticket_age_s > 6 * 3600 || limits.ticket_uses > 10 {
            return Err(GateError::Config {
                reason: "chunk tickets may live 6 h and be used 10 times at most".to_owned(),
            });
        }
        let users = [&self.upstream.credential.user, &self.gateway_session.credential.user];
        if users[0].eq_ignore_ascii_case(users[1]) {
            return Err(GateError::Config {
                reason: "the gateway's own statements need a user that is not the clients'"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

/// A checked number of seconds as a duration.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::ZERO)
}

fn one_hour() -> u64 {
    3600
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(extra: &str) -> String {
        format!(
            r#"{{"listen":{{"address":"127.0.0.1","port":0,"tls":null,"hosts":["localhost"]}},
            "upstream":{{"account":"xy","host":"h","port":443,"protocol":"https","ca_file":null,
                "credential":{{"user":"U","private_key_file":"/k"}},
                "login_timeout_s":8,"reply_bytes":1000}},
            "gateway_session":{{"credential":{{"user":"OWN","private_key_file":"/k"}},
                "role":"SNOWGATE","warehouse":"WH"}},
            "ledger":{{"dir":"/l","origin":"snowgate/gw","key_file":"/k","known":null}},
            "text_keys_dir":"/t","store_key_file":"/s","gateway":"gw","account":"ACME"{extra}}}"#
        )
    }

    #[test]
    fn a_complete_document_is_read() {
        let config = GateConfig::from_json(document("").as_bytes()).unwrap();
        assert_eq!(config.limits.poll_hold(), Duration::from_secs(45));
        assert_eq!(config.session_token_s, 3600);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = document(r#","colour":"blue""#);
        assert!(GateConfig::from_json(text.as_bytes()).is_err());
    }

    #[test]
    fn the_gateways_own_user_is_not_the_clients() {
        let text = document("").replace("\"OWN\"", "\"u\"");
        assert!(GateConfig::from_json(text.as_bytes()).is_err());
    }

    #[test]
    fn tickets_cannot_outlive_six_hours() {
        let text = document(r#","limits":{"ticket_age_s":90000}"#);
        assert!(GateConfig::from_json(text.as_bytes()).is_err());
    }
}
