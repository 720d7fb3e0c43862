//! State of sessions, statements, tickets and cached verdicts.
//!
//! # Rules
//!
//! - This crate knows no socket, no clock and no Python: the caller passes the time in Unix seconds.
//! - Every table is bounded; what does not fit is refused or the oldest *finished* thing goes.
//! - Tokens and ticket secrets are kept as hashes only (F20, F25).

mod principal;

pub use principal::Principal;
