//! State of sessions, statements, tickets, cached verdicts and budgets.
//!
//! ```text
//!   token ──► Sessions ──► session ──► Statements ──► statement ──► Tickets ──► chunk
//!                             └──────► VerdictCache
//! ```
//!
//! # Rules
//!
//! - This crate knows no socket, no clock and no Python: the caller passes the time in Unix seconds.
//! - Every table is bounded: what does not fit is refused, or the oldest *finished* thing goes.
//! - Tokens and ticket secrets are kept as hashes only (F20, F25); a chunk's real address can be read
//!   only with the secret the client holds.

mod account;
mod budgets;
#[cfg(test)]
mod budgets_tests;
mod cache;
mod keys;
mod principal;
mod retry;
mod sessions;
mod statements;
mod tickets;
mod token;
mod verdict;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use budgets::{Asker, Budget, Budgets, Measure, Over, TaggedValue, Taken, ValueHash};
pub use cache::{KeyParts, KeyText, Known, VerdictCache, VerdictKey, VerdictKeys};
pub use keys::{Keys, Subkey};
pub use principal::Principal;
pub use retry::{BodyDigest, Identity, parts_digest};
pub use sessions::{Lookup, Opened, Renewed, Restored, Sessions, SessionsFull};
pub use statements::{Registered, StatementLimits, Statements};
pub use tickets::{Redeemed, SealError, Ticket, TicketSet, Tickets};
pub use token::{Token, TokenHash, TokenKind};
pub use verdict::{Bound, ColumnPlan, Compared, Decision, HoldTerms, ResultLimit, Verdict};

/// Lock a table. A panic while it was held leaves it usable: every step keeps it consistent.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
