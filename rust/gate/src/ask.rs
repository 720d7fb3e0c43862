//! Questions to the control plane and the answers, as types.
//!
//! An answer that is late, missing, or not exactly as agreed is a refusal by rule `control-plane`.

use std::time::Duration;

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use snowgate_session::{Principal, Verdict};

use crate::{bridge::Bridge, reply::Refusal, row::SessionRow};

/// Who acts, as the questions about statements carry it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Actor<'a> {
    pub(crate) id: &'a str,
    pub(crate) principal: &'a Principal,
    pub(crate) groups: &'a [String],
    pub(crate) role: &'a str,
    pub(crate) client_app: &'a str,
    pub(crate) source: &'a str,
    pub(crate) input: &'a str,
}

/// Question `login`. The token crosses here once and is kept nowhere.
#[derive(Serialize)]
pub(crate) struct Login<'a> {
    pub(crate) reference: &'a str,
    pub(crate) account: &'a str,
    pub(crate) authenticator: &'a str,
    pub(crate) token: &'a str,
    #[serde(rename = "login_name")]
    pub(crate) user: &'a str,
    pub(crate) client_app: &'a str,
    pub(crate) client_version: &'a str,
    pub(crate) source: &'a str,
    pub(crate) role: &'a str,
    pub(crate) warehouse: &'a str,
    pub(crate) database: &'a str,
    pub(crate) schema: &'a str,
}

/// Answer to `login`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LoginAnswer {
    /// The login is granted.
    Admit(Box<Admission>),
    /// It is not.
    Refuse(LoginRefusal),
}

/// A granted login.
#[derive(Debug, Deserialize)]
pub(crate) struct Admission {
    pub(crate) principal: Principal,
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    #[serde(default)]
    pub(crate) dropped_groups: Vec<String>,
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) warehouse: Option<String>,
    pub(crate) input: String,
    pub(crate) max_age_s: f64,
    #[serde(default)]
    pub(crate) claims_digest: String,
}

/// A refused login.
#[derive(Debug, Deserialize)]
pub(crate) struct LoginRefusal {
    pub(crate) code: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) principal: Option<String>,
}

/// Question `renew`.
#[derive(Serialize)]
pub(crate) struct Renew<'a> {
    pub(crate) reference: &'a str,
    pub(crate) session: &'a str,
    pub(crate) principal: &'a Principal,
    pub(crate) groups: &'a [String],
    pub(crate) role: &'a str,
    pub(crate) opened_at_s: f64,
}

/// Answer to `renew`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RenewAnswer {
    /// The session goes on.
    Ok(bool),
    /// It ends.
    Refuse {
        #[serde(default)]
        message: String,
    },
}

/// Question `judge`.
#[derive(Serialize)]
pub(crate) struct Judge<'a> {
    pub(crate) reference: &'a str,
    pub(crate) epoch: u64,
    pub(crate) session: Actor<'a>,
    pub(crate) database: &'a str,
    pub(crate) schema: &'a str,
    pub(crate) sql: &'a str,
    pub(crate) binds: &'a [String],
    /// `sql` is a template, whose slots are among `binds`: it is judged, and nothing is moved for it.
    pub(crate) template: bool,
    pub(crate) describe_only: bool,
    /// Whether it is to be forwarded; else its reply is there already, or is fetched again.
    pub(crate) run: bool,
    /// Budgets that it is over, and over which people are asked.
    pub(crate) over: &'a [String],
}

/// Question `hold`.
#[derive(Serialize)]
pub(crate) struct Hold<'a> {
    pub(crate) reference: &'a str,
    pub(crate) session: Actor<'a>,
    pub(crate) database: &'a str,
    pub(crate) schema: &'a str,
    pub(crate) query_id: &'a str,
    pub(crate) sql: &'a str,
    pub(crate) binds: &'a str,
    pub(crate) parameters: &'a str,
    pub(crate) context_digest: &'a str,
    pub(crate) statement_digest: &'a str,
    pub(crate) verdict: &'a Verdict,
}

/// Answer to `hold`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HoldAnswer {
    /// The statement waits.
    Approval(HeldAs),
    /// It may not even wait.
    Deny {
        rule: String,
        #[serde(default)]
        reason: String,
        #[serde(default)]
        remedy: String,
    },
}

/// The approval a statement waits for.
#[derive(Debug, Deserialize)]
pub(crate) struct HeldAs {
    pub(crate) id: String,
    pub(crate) expires_at_s: f64,
}

/// Question `consume`.
#[derive(Serialize)]
pub(crate) struct Consume<'a> {
    pub(crate) reference: &'a str,
    pub(crate) approval: &'a str,
    pub(crate) query_id: &'a str,
    pub(crate) session: Actor<'a>,
    pub(crate) database: &'a str,
    pub(crate) schema: &'a str,
    pub(crate) context_digest: &'a str,
    pub(crate) statement_digest: &'a str,
    pub(crate) epoch: u64,
}

/// Answer to `consume`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ConsumeAnswer {
    /// Not decided yet.
    Wait(IgnoredAny),
    /// Approved and consumed: this statement runs now, once.
    Go(Box<Verdict>),
    /// Denied, expired, abandoned, cancelled.
    End { state: String, code: String, sqlstate: String, message: String },
}

/// Question `held`: what waits under this id since before a restart.
#[derive(Serialize)]
pub(crate) struct Held<'a> {
    pub(crate) query_id: &'a str,
    pub(crate) session: Actor<'a>,
    pub(crate) database: &'a str,
    pub(crate) schema: &'a str,
}

/// Answer to `held`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HeldAnswer {
    /// This statement.
    Held(Box<HeldStatement>),
    /// Nothing.
    None(IgnoredAny),
}

/// A held statement as the control plane kept it.
#[derive(Debug, Deserialize)]
pub(crate) struct HeldStatement {
    pub(crate) approval: String,
    pub(crate) sql: String,
    #[serde(default)]
    pub(crate) binds: String,
    #[serde(default)]
    pub(crate) parameters: String,
    pub(crate) statement_digest: String,
    pub(crate) verdict: Verdict,
    pub(crate) expires_at_s: f64,
}

/// Question `catalog_changed`.
#[derive(Serialize)]
pub(crate) struct CatalogChanged<'a> {
    pub(crate) reference: &'a str,
    pub(crate) class: &'a str,
    pub(crate) objects: &'a [String],
    pub(crate) succeeded: bool,
    /// Whether it is sure that the statement runs no more.
    pub(crate) settled: bool,
}

/// Answer to questions that only need to be known.
#[derive(Debug, Deserialize)]
pub(crate) struct Noted {
    #[serde(rename = "ok")]
    pub(crate) done: bool,
}

/// Question `session_closed`.
#[derive(Serialize)]
pub(crate) struct SessionClosed<'a> {
    pub(crate) id: &'a str,
    pub(crate) why: &'a str,
}

impl Bridge {
    /// Ask and read the answer.
    pub(crate) async fn question<Answer: DeserializeOwned>(
        &self,
        kind: &'static str,
        question: &(impl Serialize + Sync),
        limit: Duration,
    ) -> Result<Answer, Refusal> {
        let payload = serde_json::to_vec(question).map_err(|_| Refusal::internal())?;
        let answer = self
            .ask(kind, payload, limit)
            .await
            .map_err(|error| Refusal::control_plane(error.to_string()))?;
        serde_json::from_slice(&answer).map_err(|error| {
            // The position only: an answer may quote the statement.
            tracing::error!(kind, column = error.column(), "unreadable answer");
            Refusal::control_plane("the control plane's answer cannot be understood")
        })
    }

    /// Tell the control plane about a session, and wait until it is stored.
    pub(crate) async fn keep_session(
        &self,
        kind: &'static str,
        row: &SessionRow,
        limit: Duration,
    ) -> Result<(), Refusal> {
        let noted: Noted = self.question(kind, row, limit).await?;
        if noted.done {
            Ok(())
        } else {
            Err(Refusal::control_plane("the session could not be stored"))
        }
    }

    /// A notice; see [`Bridge::tell`].
    pub(crate) fn notice(&self, kind: &'static str, notice: &impl Serialize) {
        match serde_json::to_vec(notice) {
            Ok(payload) => self.tell(kind, payload),
            Err(error) => tracing::error!(kind, %error, "notice not written"),
        }
    }
}
