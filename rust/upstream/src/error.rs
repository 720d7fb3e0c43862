//! The one error type of the upstream side.

use std::time::Duration;

use snowgate_wire::WireError;

/// Why upstream gave no usable answer. Nothing here quotes a request, a reply or a secret, except the
/// message of a refused login.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The configuration cannot work.
    #[error("upstream configuration: {reason}")]
    Config {
        /// What is wrong and what to do.
        reason: String,
    },
    /// No connection: nothing was sent.
    #[error("upstream is not reachable: {reason}")]
    Unreachable {
        /// Where it failed: name, connect, TLS.
        reason: String,
    },
    /// The connection failed after the request was written: it may have run.
    #[error("upstream connection failed before the answer: {reason}")]
    Broken {
        /// What the connection reported.
        reason: String,
    },
    /// No answer in time after the request was written: it may have run.
    #[error("upstream did not answer within {limit:?}")]
    Timeout {
        /// The limit that passed.
        limit: Duration,
    },
    /// An answer that is no answer of Snowflake's: another HTTP status than 200.
    #[error("upstream answered with HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The answer is longer than allowed. What was asked may have run.
    #[error("upstream's answer is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The answer cannot be read, or must not pass. What was asked may have run.
    #[error("upstream's answer: {0}")]
    Reply(#[from] WireError),
    /// The session is gone; only a new login of the client helps.
    #[error("upstream session is gone ({code})")]
    SessionLost {
        /// Upstream's code.
        code: String,
    },
    /// Upstream refused the login.
    #[error("upstream refused the login ({code}): {message}")]
    Refused {
        /// Upstream's code.
        code: String,
        /// Upstream's words.
        message: String,
    },
    /// The session does not have exactly the asked role; it was closed again (F10).
    #[error("upstream session is not pinned to its role: {reason}")]
    RolePin {
        /// What differs.
        reason: String,
    },
    /// A sealed session is damaged, or sealed for another place, or with another key.
    #[error("sealed session cannot be opened")]
    Seal,
}

impl UpstreamError {
    /// Whether the request of this call certainly did not run. False means: nobody knows.
    pub fn did_not_run(&self) -> bool {
        match self {
            Self::Config { .. }
            | Self::Unreachable { .. }
            | Self::SessionLost { .. }
            | Self::Refused { .. }
            | Self::RolePin { .. }
            | Self::Seal => true,
            // Load shedding comes before any work (RFC 6585, section 4).
            Self::Status { status } => *status == 429,
            Self::Broken { .. } | Self::Timeout { .. } | Self::TooLarge { .. } | Self::Reply(_) => {
                false
            }
        }
    }

    pub(crate) fn config(reason: impl Into<String>) -> Self {
        Self::Config { reason: reason.into() }
    }
}
