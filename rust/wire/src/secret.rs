//! Text that must not be seen: tokens, keys, presigned URLs.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret text. It is zeroed when dropped; formatting shows a placeholder; it does not serialize
/// and does not compare, so that it cannot slip into a log, an entry or a timing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Take the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; for the place that sends or hashes it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text has no characters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_a_secret_does_not_show_itself() {
        let secret = Secret::new("hunter2");

        let shown = format!("{secret:?} {:#?}", Some(&secret));

        assert!(!shown.contains("hunter2"));
        assert_eq!(secret.expose(), "hunter2");
    }
}
