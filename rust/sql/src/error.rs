//! Why a text could not be lexed. Such a text is never forwarded.

/// A text that has no reading, or more than one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LexError {
    /// The text exceeds a limit.
    #[error("statement has more than {limit} {what}")]
    TooLarge {
        /// What was counted: `bytes`, `tokens`, `levels of nesting` or `operators`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A character that may be read in two ways, or not seen by a person.
    #[error("{what} at byte {at}")]
    Character {
        /// Which kind of character.
        what: &'static str,
        /// Byte offset.
        at: usize,
    },
    /// A string, quoted identifier, `$$` text or comment does not end.
    #[error("{what} that starts at byte {at} does not end")]
    Unterminated {
        /// Which construct.
        what: &'static str,
        /// Byte offset of its start.
        at: usize,
    },
    /// A construct on which lexers disagree.
    #[error("{what} at byte {at}")]
    Ambiguous {
        /// Which construct.
        what: &'static str,
        /// Byte offset.
        at: usize,
    },
    /// Brackets do not pair.
    #[error("unbalanced bracket at byte {at}")]
    Unbalanced {
        /// Byte offset.
        at: usize,
    },
}

impl LexError {
    /// What the caller can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "split the statement, or use binds in place of long lists",
            Self::Character { .. } => {
                "use plain spaces and line feeds; write other characters as escapes in a string, \
                 or pass them as binds"
            }
            Self::Unterminated { .. } | Self::Unbalanced { .. } => "complete the statement",
            Self::Ambiguous { .. } => "write the construct in its plain form",
        }
    }
}
