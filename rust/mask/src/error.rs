//! The one error type of the masking engine.

/// Why a result could not be masked. The caller drops it whole: what was already written is masked
/// and harmless, but nothing further reaches the reader.
///
/// No message quotes the result: a value in an error would be a value in a log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// A row or a schema has another number of columns than the plan.
    #[error("result has {found} columns, but the mask plan has {planned}")]
    ColumnCount {
        /// Columns of the result; of a JSON row, the first one too many.
        found: usize,
        /// Columns of the plan.
        planned: usize,
    },
    /// The bytes are not rows of text or null.
    #[error("result is not JSON rows at byte {at}: {reason}")]
    NotRows {
        /// What was met.
        reason: &'static str,
        /// Offset in the stream, in bytes.
        at: u64,
    },
    /// The bytes are not a well-formed Arrow IPC stream.
    #[error("result is not an Arrow stream: {reason}")]
    NotArrow {
        /// What was met.
        reason: &'static str,
    },
    /// A well-formed Arrow stream that uses what Snowflake does not send and drivers cannot read.
    #[error("result uses an Arrow feature that cannot be masked: {feature}")]
    Unsupported {
        /// The feature.
        feature: &'static str,
    },
    /// One JSON row or one Arrow message is larger than the limit.
    #[error("result has a row or a message above the limit of {limit_bytes} bytes")]
    TooLong {
        /// The limit in force.
        limit_bytes: usize,
    },
    /// The masker failed earlier; its stream is over.
    #[error("result was given up after an earlier error")]
    GivenUp,
}
