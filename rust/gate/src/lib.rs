//! The data plane: listeners, routes, relay, limits, drain.
//!
//! ```text
//!   server ─► routes ─┬─ login ────────────────┬─► ask ─► control plane
//!                     ├─ query ─────► life ────┤
//!                     │               ├ judge ─┘
//!                     │               ├ hold
//!                     │               └ forward ─► ledger, upstream ─► result ─► mask
//!                     ├─ chunk ─► storage ─► mask
//!                     └─ account, cancel, monitor
//! ```
//!
//! Everything that touches a socket lives here, on tokio; the crates below are sans-IO. The control plane is
//! asked questions over [`bridge::Bridge`] and never sees a byte of a result.
//!
//! # Rules
//!
//! - Forwarded upstream is a part of the durable intents, and nothing is sent twice.
//! - Unparsed, unknown, late or unreachable is denied with a clear message.
//! - Driver endpoints answer with HTTP 200 whatever happens.
//! - A session never acts outside its one role, and never sees another session's results.

mod account;
mod ask;
mod body;
pub mod bridge;
mod budget;
mod cancel;
mod caught;
mod chunk;
mod config;
mod entries;
mod error;
mod flights;
mod forward;
mod handle;
mod hold;
mod judge;
mod life;
mod login;
mod meter;
mod monitor;
mod own;
mod past;
mod patience;
mod query;
mod race;
mod record;
mod reply;
mod result;
mod routes;
mod row;
mod server;
mod session;
mod spent;
mod state;
mod statement;
mod stored;
mod strangers;
mod tag;
mod tls;

pub use config::{GateConfig, GatewaySession, Known, LedgerConfig, Limits, Listen, Tls};
pub use error::GateError;
pub use handle::{Gate, RunningGate};
pub use row::SessionRow;
