//! The one error type of the wire messages.

/// Why a message was not read. Messages name keys of the protocol, never content.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The body, or what it inflates to, is longer than allowed.
    #[error("message is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that was passed.
        limit_bytes: usize,
    },
    /// The body is compressed in a way we do not read, or its gzip stream is damaged.
    #[error("message encoding is not readable: {reason}")]
    Encoding {
        /// What is wrong, without content.
        reason: &'static str,
    },
    /// The text is not JSON.
    #[error("message is not JSON (line {line}, column {column})")]
    Json {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
    },
    /// One object holds a key twice: two readers may see two messages.
    #[error("message holds a key twice")]
    DuplicateKey,
    /// Objects and arrays are nested beyond [`crate::MAX_DEPTH`].
    #[error("message is nested too deeply")]
    TooDeep,
    /// A key that must be there is not, or is null.
    #[error("message lacks `{key}`")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key holds another kind of value than the protocol says.
    #[error("message holds an unexpected value in `{key}`")]
    Unexpected {
        /// The key.
        key: &'static str,
    },
    /// A reply holds data under a key that is not known: it would be lost or leak (F19).
    #[error("reply holds data under the unknown key `{key}`")]
    UnknownData {
        /// The key, or `?` if it is not a plain name.
        key: String,
    },
    /// A reply orders a file transfer (PUT or GET), with keys to cloud storage.
    #[error("reply is a file transfer, which does not pass the gateway")]
    FileTransfer,
    /// A reply is the parent of several statements.
    #[error("reply belongs to several statements, which do not pass the gateway")]
    MultiStatement,
}
