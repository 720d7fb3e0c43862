//! Snowflake client messages, parsed and rebuilt from allow-lists.
//!
//! ```text
//!   driver ──► LoginRequest, QueryRequest, … ──► upstream body     (only keys named here)
//!   driver ◄── LoginReply, ResultHead::render ◄── QueryReply ◄── Snowflake
//! ```
//!
//! # Rules
//!
//! - Sans-IO: bytes in, bytes out. No socket, no clock, no policy.
//! - Nothing is forwarded by default, in either direction: a message is read into a type and written
//!   anew from it. Keys that are not named here do not survive; a reply with an unknown key that
//!   bears data is an error (F19).
//! - Reading is strict: duplicate keys and nesting beyond [`MAX_DEPTH`] are errors, wherever they
//!   stand, since two readers of such a text may disagree.
//! - An error never holds a piece of the message: no SQL, no row value, no secret.
//!
//! # Sources
//!
//! - The wire protocol as the released drivers speak it (Python 4.8 and 5.2, Go 2.1, JDBC 4.4,
//!   Node 3.3); Snowflake publishes no specification of it.

mod body;
mod envelope;
mod error;
mod failure;
mod json;
mod login;
mod login_reply;
mod parameters;
mod query;
mod query_string;
mod reply;
mod result;
mod rowtype;
mod secret;
mod status;
mod token;

pub use body::decode_body;
pub use error::WireError;
pub use failure::{Failure, SessionFault, failure, in_progress, is_uuid, success, success_null};
pub use json::{MAX_DEPTH, check as check_json};
pub use login::{Authenticator, LoginRequest};
pub use login_reply::{LoginAnswer, LoginReply, UpstreamLogin};
pub use parameters::{Parameter, ParameterValue, Parameters, Screened};
pub use query::{Binding, QueryRequest};
pub use query_string::QueryString;
pub use reply::{InProgress, QueryReply};
pub use result::{
    CREDENTIAL_STATEMENT_TYPE, Chunk, ClientChunk, InlineRows, Render, RenderRows, ResultFormat,
    ResultHead,
};
pub use rowtype::{ColumnType, FieldType};
pub use secret::Secret;
pub use status::QueryStatus;
pub use token::{
    AbortRequest, TokenAnswer, TokenRequest, TokenRequestKind, UpstreamTokens, token_reply,
};
