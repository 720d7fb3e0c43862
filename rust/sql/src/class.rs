//! The classes of statements that policies speak about.

/// The class of a statement. The words are those of `snowgate.model.statement.StatementClass`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are the words that policies use")]
pub enum Class {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    Create,
    Alter,
    Drop,
    Truncate,
    Comment,
    Grant,
    Show,
    Describe,
    Explain,
    Session,
    Use,
    Transaction,
    Load,
    Unload,
    Stage,
    Share,
    Integration,
    Credential,
    Code,
    AccountMetadata,
    Call,
    Dynamic,
    Unknown,
}

impl Class {
    /// The word that policies use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::Create => "create",
            Self::Alter => "alter",
            Self::Drop => "drop",
            Self::Truncate => "truncate",
            Self::Comment => "comment",
            Self::Grant => "grant",
            Self::Show => "show",
            Self::Describe => "describe",
            Self::Explain => "explain",
            Self::Session => "session",
            Self::Use => "use",
            Self::Transaction => "transaction",
            Self::Load => "load",
            Self::Unload => "unload",
            Self::Stage => "stage",
            Self::Share => "share",
            Self::Integration => "integration",
            Self::Credential => "credential",
            Self::Code => "code",
            Self::AccountMetadata => "account-metadata",
            Self::Call => "call",
            Self::Dynamic => "dynamic",
            Self::Unknown => "unknown",
        }
    }

    /// Running such a statement twice changes nothing.
    pub fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::Select | Self::Show | Self::Describe | Self::Explain | Self::AccountMetadata
        )
    }

    /// Such a statement may change what later statements of its session mean, so that others wait
    /// for it (F9). DDL counts: it may create temporary objects or end a transaction.
    pub fn is_barrier(self) -> bool {
        !(self.is_read_only()
            || matches!(self, Self::Insert | Self::Update | Self::Delete | Self::Merge))
    }
}
