//! The errors of the ledger.

use std::fmt;

/// What is broken in a ledger, and where.
///
/// Shown as `entry 17 (segments/00000000000000000000.seg, offset 4711): crc mismatch`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Broken {
    /// What is wrong, in lower case.
    pub what: String,
    /// File below the ledger directory.
    pub file: Option<String>,
    /// Offset in the file, in bytes.
    pub offset: Option<u64>,
    /// The entry concerned; for damage that makes entries unreadable, the first one lost.
    pub seq: Option<u64>,
}

impl Broken {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    pub(crate) fn file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    pub(crate) fn offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    pub(crate) fn seq(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match (&self.file, self.offset) {
            (Some(file), Some(offset)) => format!("{file}, offset {offset}"),
            (Some(file), None) => file.clone(),
            (None, _) => String::new(),
        };
        match (self.seq, place.as_str()) {
            (Some(seq), "") => write!(f, "entry {seq}: {}", self.what),
            (Some(seq), place) => write!(f, "entry {seq} ({place}): {}", self.what),
            (None, "") => f.write_str(&self.what),
            (None, place) => write!(f, "{place}: {}", self.what),
        }
    }
}

impl std::error::Error for Broken {}

/// Why the ledger did not do what was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The directory does not hold what it should.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The ledger may not be opened as asked; nothing was changed.
    #[error("{problem}; what to do: {remedy}")]
    Refused {
        /// What does not fit.
        problem: String,
        /// How to mend it.
        remedy: String,
    },
    /// The system failed a file operation.
    #[error("cannot {action} `{path}`: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The entry itself cannot be recorded; the ledger is unharmed.
    #[error("entry refused: {reason}")]
    Entry {
        /// What is wrong with it.
        reason: String,
    },
    /// Too many bytes wait to be written already.
    #[error("the ledger has too many entries waiting")]
    Busy,
    /// The ledger has been closed.
    #[error("the ledger is closed")]
    Closed,
    /// An earlier write or sync failed: nothing is recorded any more (fail closed).
    #[error("the ledger takes no entries since a write failed ({reason}); restart to recover")]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// A key or a signed note is malformed or does not fit.
    #[error("{reason}")]
    Key {
        /// What is wrong.
        reason: String,
    },
    /// The key of a text has been destroyed: the text is gone, its entry still verifies.
    #[error("the key `{key}` of this text has been destroyed")]
    TextGone {
        /// Key id.
        key: String,
    },
    /// A proof does not lead from what is claimed to the root.
    #[error("proof fails: {reason}")]
    Proof {
        /// Which step fails.
        reason: &'static str,
    },
}

impl LedgerError {
    /// Whether the ledger takes no entry any more. After any other error it is as it was before: only
    /// the entry was refused.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Poisoned { .. } | Self::Closed)
    }

    pub(crate) fn key(reason: impl Into<String>) -> Self {
        Self::Key { reason: reason.into() }
    }

    pub(crate) fn entry(reason: impl Into<String>) -> Self {
        Self::Entry { reason: reason.into() }
    }
}
