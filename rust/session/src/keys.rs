//! Keys derived from the gateway's store key, one per purpose.
//!
//! Source: HKDF with SHA-256, RFC 5869. The label is the `info`, so no two purposes share a key.

use aws_lc_rs::hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A derived key of 32 bytes. No `Debug`, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Subkey([u8; 32]);

impl Subkey {
    /// HMAC-SHA256 over `parts`, each preceded by its length so that shifted parts differ.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes keys of any length, so there is no error to handle; zeros fail closed, since no
        // verifier computes them.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The key itself, for a cipher.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The root key and what is derived from it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    root: [u8; 32],
}

impl Keys {
    /// Keys under `root`, the content of the store key file.
    pub fn new(root: [u8; 32]) -> Self {
        Self { root }
    }

    /// The key for one purpose.
    pub fn subkey(&self, label: &str) -> Subkey {
        let mut key = [0_u8; 32];
        let info = [b"snowgate/v1/".as_slice(), label.as_bytes()];
        let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(&self.root)
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key));
        // Only lengths above 255 hashes are refused, and 32 bytes is one.
        debug_assert!(filled.is_ok());
        Subkey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_roots_give_different_keys() {
        let keys = Keys::new([7; 32]);

        assert_eq!(keys.subkey("a").bytes(), keys.subkey("a").bytes());
        assert_ne!(keys.subkey("a").bytes(), keys.subkey("b").bytes());
        assert_ne!(keys.subkey("a").bytes(), Keys::new([8; 32]).subkey("a").bytes());
        assert_ne!(keys.subkey("a").bytes(), &[0; 32]);
    }

    #[test]
    fn shifted_parts_have_different_macs() {
        let key = Keys::new([7; 32]).subkey("a");
        assert_ne!(key.mac(&[b"ab", b"c"]), key.mac(&[b"a", b"bc"]));
    }
}
