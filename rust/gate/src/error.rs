//! The one error type of the gate: why it does not start.
//!
//! A running gate raises none of these: what goes wrong with a request is an answer to its client,
//! and an entry in the ledger.

use std::io;

/// Why the gate could not start. Nothing listens afterwards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The document of the control plane is not as agreed.
    #[error("gate configuration: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be read or used.
    #[error("cannot use {what}: {reason}")]
    File {
        /// Which file, by its role.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Address and port.
        address: std::net::SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The runtime could not be started.
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    /// The ledger refused to open.
    #[error("ledger: {reason}")]
    Ledger {
        /// The ledger's own message.
        reason: String,
    },
    /// The upstream client could not be set up.
    #[error("upstream: {reason}")]
    Upstream {
        /// The client's own message.
        reason: String,
    },
}
