//! Gateway tokens: opaque random values with a fixed prefix, stored hashed, never JWTs (F25).

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Random bytes in a token: 256 bits cannot be guessed.
const TOKEN_BYTES: usize = 32;

/// What a token is for. The prefix tells them apart, so one is never taken for the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenKind {
    /// Sent with every request.
    Session,
    /// Sent to renew only.
    Master,
    /// Opens one result's chunks.
    Chunk,
}

impl TokenKind {
    /// Start of every token of this kind.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Session => "sgs_",
            Self::Master => "sgm_",
            Self::Chunk => "sgc_",
        }
    }
}

/// A new token, on its way to the client. The gateway keeps its hash only.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A fresh random token; `None` if the system has no randomness, which stops the login.
    pub fn random(kind: TokenKind) -> Option<Self> {
        let mut bytes = Zeroizing::new([0_u8; TOKEN_BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut()).ok()?;
        let digits = Zeroizing::new(hex::encode(bytes.as_ref()));
        Some(Self(Zeroizing::new(format!("{}{}", kind.prefix(), *digits))))
    }

    /// The text to send.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::sha256(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(..)")
    }
}

/// SHA-256 of a token. Tables are keyed by it, so a comparison takes the same time for any guess: its
/// duration tells about the hash of the guess, which is of no use.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hash of what a client sent as a token of `kind`; `None` if it is not of that kind.
    pub fn of(kind: TokenKind, text: &str) -> Option<Self> {
        let digits = text.strip_prefix(kind.prefix())?;
        (digits.len() == 2 * TOKEN_BYTES).then(|| Self::sha256(text.as_bytes()))
    }

    /// Read a stored hash.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The form that is stored.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    fn sha256(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_by_its_hash_and_kind_only() {
        let token = Token::random(TokenKind::Session).unwrap();

        assert_eq!(TokenHash::of(TokenKind::Session, token.reveal()), Some(token.hash()));
        assert_eq!(TokenHash::of(TokenKind::Master, token.reveal()), None);
        assert_eq!(TokenHash::from_hex(&token.hash().to_hex()), Some(token.hash()));
    }

    #[test]
    fn what_is_stored_of_a_token_is_its_hash() {
        let stored = Token(Zeroizing::new("sgs_".to_owned() + &"00".repeat(32))).hash();

        let sha256 = "af51f4b5bf521dcf415f6e4c3c4e90ea10aa5a1ab9d3d8743dc58be6e600e31c";
        assert_eq!(stored.to_hex(), sha256);
    }

    #[test]
    fn debug_shows_nothing_of_a_token() {
        let token = Token::random(TokenKind::Master).unwrap();
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn two_tokens_differ() {
        let first = Token::random(TokenKind::Session).unwrap();
        let second = Token::random(TokenKind::Session).unwrap();
        assert_ne!(first.reveal(), second.reveal());
    }
}
