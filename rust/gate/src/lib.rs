//! The data plane: listeners, routes, relay, limits, drain.
//!
//! Everything that touches a socket lives here, on tokio; the crates below are sans-IO. The control plane is
//! asked questions over [`bridge::Bridge`] and never sees a byte of a result.

pub mod bridge;
mod config;
mod error;
mod handle;
mod row;

pub use config::{
    GateConfig, GatewaySession, Known, LedgerConfig, Limits, Listen, Tls, UpstreamConfig,
};
pub use error::GateError;
pub use handle::{Gate, RunningGate};
pub use row::SessionRow;
