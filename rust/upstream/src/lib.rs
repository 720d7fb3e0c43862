//! Connections and logins to Snowflake.
//!
//! ```text
//!   gate ── Upstream::login ──► Session ── query, result, abort ──► Snowflake
//!                                  └────── fetch_chunk ───────────► cloud storage
//! ```
//!
//! # Rules
//!
//! - A request of which one byte was written is never sent again (F11). Two things are sent anew, both
//!   known not to have run: a request that a closed pooled connection gave back untouched, and one
//!   that Snowflake refused because the session token had expired (390112).
//! - A session that is lost stays lost: there is no silent second login (F10).
//! - A session is handed out only after its role is pinned: no secondary roles, and the asked role,
//!   both read back (F10).
//! - Redirects are not followed. Replies are limited in size and time.
//! - Keys and tokens live here and in sealed form; no error, log or `Debug` shows them.
//!
//! # Sources
//!
//! - Key-pair logins: <https://docs.snowflake.com/en/user-guide/key-pair-auth>
//! - RS256: RFC 7518, section 3.3; HTTP/1.1: RFC 9112

mod chunk;
mod client;
mod config;
mod error;
mod exchange;
mod key;
mod login;
mod pool;
mod seal;
mod session;
mod tls;

pub use chunk::{ChunkReply, Encoding};
pub use client::Upstream;
pub use config::{Config, Credential, Protocol};
pub use error::UpstreamError;
pub use login::{LoginSpec, PIN_STATEMENTS, PinRequests};
pub use seal::SealKey;
pub use session::Session;
