//! Who asks, as the control plane told it at login.

use serde::{Deserialize, Serialize};

/// One identity. The key is (account, issuer, subject); `name` is for people to read only (F6).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Principal {
    /// Snowgate's name of the account the login asked for.
    pub account: String,
    /// Exact `iss` of the token.
    pub issuer: String,
    /// Stable identity inside the issuer.
    pub subject: String,
    /// Display name; never a key.
    #[serde(default)]
    pub name: String,
    /// Whether the issuer is declared for people.
    #[serde(default)]
    pub people: bool,
    /// One key per human across channels; empty for machines (F15).
    #[serde(default)]
    pub person: String,
    /// Person keys found in a machine's token (F15).
    #[serde(default)]
    pub triggered_by: Vec<String>,
}

impl Principal {
    /// Whether both are the same identity, whatever their display names.
    pub fn same(&self, other: &Self) -> bool {
        (&self.account, &self.issuer, &self.subject)
            == (&other.account, &other.issuer, &other.subject)
    }

    /// The identity as one text that no other identity shares: each part is preceded by its length.
    pub fn key(&self) -> String {
        [&self.account, &self.issuer, &self.subject]
            .map(|part| format!("{}:{part}", part.len()))
            .join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(issuer: &str, subject: &str) -> Principal {
        Principal {
            account: "A".to_owned(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            name: "same name".to_owned(),
            people: false,
            person: String::new(),
            triggered_by: Vec::new(),
        }
    }

    #[test]
    fn a_display_name_is_not_an_identity() {
        assert!(!principal("i", "s").same(&principal("i", "t")));
        assert!(!principal("i", "s").same(&principal("j", "s")));
    }

    #[test]
    fn keys_of_shifted_parts_differ() {
        assert_ne!(principal("ab", "c").key(), principal("a", "bc").key());
    }
}
