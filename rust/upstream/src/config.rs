//! How to reach Snowflake, as the control plane configures it.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::UpstreamError;

/// `http` is for a stand-in on the same machine.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TLS 1.2 or 1.3.
    #[default]
    Https,
    /// No TLS; chunk URLs may then be plain as well.
    Http,
}

/// A user of Snowflake that logs in with a key pair.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Its name.
    pub user: String,
    /// Its RSA key: PKCS#8 PEM, not encrypted.
    pub private_key_file: PathBuf,
}

/// The `upstream` object of the gate's configuration. Seconds and bytes are in the names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Account name of the login; a region after the first dot is cut off.
    pub account: String,
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS or not.
    #[serde(default)]
    pub protocol: Protocol,
    /// PEM file with the only roots to trust; none = those of the machine.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Who logs in for the clients.
    pub credential: Credential,
    /// A whole login, with the pin of its role.
    #[serde(default = "login_timeout_s")]
    pub login_timeout_s: f64,
    /// A reply, as it comes and inflated.
    #[serde(default = "reply_bytes")]
    pub reply_bytes: usize,
    /// A connection with its TLS handshake.
    #[serde(default = "connect_timeout_s")]
    pub connect_timeout_s: f64,
    /// A reply to a statement or poll; Snowflake holds them up to 45 s.
    #[serde(default = "reply_timeout_s")]
    pub reply_timeout_s: f64,
    /// First byte of a chunk: below the 7 s after which Python 4 gives a chunk up.
    #[serde(default = "chunk_start_timeout_s")]
    pub chunk_start_timeout_s: f64,
    /// Silence inside a chunk.
    #[serde(default = "chunk_silence_timeout_s")]
    pub chunk_silence_timeout_s: f64,
    /// A chunk as stored; Snowflake writes at most 160 MB (`CLIENT_RESULT_CHUNK_SIZE`).
    #[serde(default = "chunk_bytes")]
    pub chunk_bytes: u64,
}

fn login_timeout_s() -> f64 {
    8.0
}

fn reply_bytes() -> usize {
    64 << 20
}

fn connect_timeout_s() -> f64 {
    5.0
}

fn reply_timeout_s() -> f64 {
    90.0
}

fn chunk_start_timeout_s() -> f64 {
    6.0
}

fn chunk_silence_timeout_s() -> f64 {
    30.0
}

fn chunk_bytes() -> u64 {
    256 << 20
}

/// The limits of [`Config`], checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) login: Duration,
    pub(crate) reply_bytes: usize,
    pub(crate) connect: Duration,
    pub(crate) reply: Duration,
    pub(crate) chunk_start: Duration,
    pub(crate) chunk_silence: Duration,
    pub(crate) chunk_bytes: u64,
}

impl Limits {
    pub(crate) fn of(config: &Config) -> Result<Self, UpstreamError> {
        let seconds = |name: &str, value: f64| {
            Duration::try_from_secs_f64(value)
                .ok()
                .filter(|limit| !limit.is_zero())
                .ok_or_else(|| UpstreamError::config(format!("`{name}` must be above zero")))
        };
        Ok(Self {
            login: seconds("login_timeout_s", config.login_timeout_s)?,
            reply_bytes: config.reply_bytes,
            connect: seconds("connect_timeout_s", config.connect_timeout_s)?,
            reply: seconds("reply_timeout_s", config.reply_timeout_s)?,
            chunk_start: seconds("chunk_start_timeout_s", config.chunk_start_timeout_s)?,
            chunk_silence: seconds("chunk_silence_timeout_s", config.chunk_silence_timeout_s)?,
            chunk_bytes: config.chunk_bytes,
        })
    }
}
