//! Sessions at rest: AES-256-GCM, bound to where they belong.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::{Zeroize, Zeroizing};

use crate::UpstreamError;

/// First byte of what is sealed; another layout gets another one.
const LAYOUT: u8 = 1;

/// A key that seals sessions. It has no `Debug`.
pub struct SealKey(RandomizedNonceKey);

impl SealKey {
    /// Take a key of 32 bytes; the caller's copy is zeroed.
    pub fn new(key: &mut [u8; 32]) -> Result<Self, UpstreamError> {
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, key);
        key.zeroize();
        sealing.map(Self).map_err(|_| UpstreamError::Seal)
    }

    /// `LAYOUT ‖ nonce ‖ ciphertext ‖ tag`.
    pub(crate) fn seal(&self, clear: &[u8], aad: &[u8]) -> Result<Vec<u8>, UpstreamError> {
        let mut bytes = clear.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(aad), &mut bytes)
            .map_err(|_| UpstreamError::Seal)?;
        Ok([&[LAYOUT], nonce.as_ref().as_slice(), &bytes].concat())
    }

    pub(crate) fn open(
        &self,
        sealed: &[u8],
        aad: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, UpstreamError> {
        let Some((&[LAYOUT], rest)) = sealed.split_first_chunk() else {
            return Err(UpstreamError::Seal);
        };
        let Some((nonce, rest)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(UpstreamError::Seal);
        };
        let mut bytes = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::from(nonce);
        let clear = self
            .0
            .open_in_place(nonce, Aad::from(aad), &mut bytes)
            .map_err(|_| UpstreamError::Seal)?
            .len();
        bytes.truncate(clear);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_what_is_sealed_opens_only_whole_and_in_its_place() {
        let key = SealKey::new(&mut [7; 32]).unwrap();
        let other = SealKey::new(&mut [8; 32]).unwrap();
        let sealed = key.seal(b"tokens", b"session 1").unwrap();

        assert_eq!(key.open(&sealed, b"session 1").unwrap().as_slice(), b"tokens");
        assert!(key.open(&sealed, b"session 2").is_err());
        assert!(other.open(&sealed, b"session 1").is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&changed, b"session 1").is_err(), "byte {at}");
            assert!(key.open(&sealed[..at], b"session 1").is_err(), "cut at {at}");
        }
    }

    #[test]
    fn test_the_callers_copy_of_the_key_is_zeroed() {
        let mut bytes = [7; 32];

        SealKey::new(&mut bytes).unwrap();

        assert_eq!(bytes, [0; 32]);
    }
}
