//! Encrypted texts: what may hold personal data is readable only while its key exists.
//!
//! ```text
//!   root key ── HKDF ──► KEK ── AES-256-GCM ──► DEK of (subject, UTC day), one file each
//!                                                └── AES-256-GCM ──► nonce ‖ ciphertext ‖ tag (blob)
//! ```
//!
//! - Key files lie outside the ledger, and are durable before any blob under them is (F23). Removing
//!   one destroys the texts of that subject and day; the log still verifies.
//! - A key that has been destroyed is never used again: the next text of the day gets a new one.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    rand,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    LedgerError, Text, TextRef,
    files::{self, failed},
};

/// Bytes a blob is longer than its text: nonce and tag.
pub(crate) const OVERHEAD_BYTES: usize = NONCE_LEN + 16;

/// Sets this use of the root key apart from every other.
const KEK_LABEL: &[u8] = b"snowgate ledger text keys v1";

/// Subjects whose keys are held at once; beyond it all are forgotten and made anew when needed.
const HELD_KEYS: usize = 10_000;

/// The key that wraps the keys of texts.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Kek([u8; 32]);

impl Kek {
    /// Derives the key from the gateway's root key.
    pub fn from_root(root: &[u8; 32]) -> Result<Self, LedgerError> {
        let mut key = [0; 32];
        Salt::new(HKDF_SHA256, &[])
            .extract(root)
            .expand(&[KEK_LABEL], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .map_err(|_| LedgerError::key("cannot derive the key of texts"))?;
        Ok(Self(key))
    }

    /// Derives the key from the gateway's root key in a file of exactly 32 bytes.
    pub fn from_root_file(path: &Path) -> Result<Self, LedgerError> {
        let bytes = Zeroizing::new(fs::read(path).map_err(failed("read", path))?);
        let root = <&[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| {
            LedgerError::key(format!("`{}` is not a root key of 32 bytes", path.display()))
        })?;
        Self::from_root(root)
    }
}

/// A key of one subject and day, as stored.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    subject: String,
    /// `nonce ‖ wrapped key ‖ tag`, base64.
    wrapped: String,
}

/// What the wrapping of a key is bound to: a file moved to another name or subject does not unwrap.
fn wrapped_for(id: &str, subject: &str) -> Vec<u8> {
    format!("{id}\n{subject}").into_bytes()
}

/// Where the key `id` lies: `<day>/<rest>.key`. None for what no key is called, so that an entry
/// cannot name a path.
fn key_path(dir: &Path, id: &str) -> Option<PathBuf> {
    let (day, rest) = id.split_at_checked(10)?;
    let rest = rest.strip_prefix('-')?;
    let dated = day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let hex = rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (dated && hex).then(|| dir.join(day).join(format!("{rest}.key")))
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, LedgerError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| LedgerError::key("cannot use a key of texts"))
}

fn random<const N: usize>() -> Result<[u8; N], LedgerError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| LedgerError::key("the system gives no random numbers"))?;
    Ok(bytes)
}

/// `nonce ‖ ciphertext ‖ tag`.
fn seal(key: &LessSafeKey, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, LedgerError> {
    let nonce = random::<NONCE_LEN>()?;
    let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
    sealed.extend(nonce);
    sealed.extend_from_slice(plain);
    let body = sealed.get_mut(NONCE_LEN..).unwrap_or_default();
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body)
        .map_err(|_| LedgerError::key("cannot encrypt a text"))?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

fn unseal(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut body = body.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

/// A key in use.
struct HeldKey {
    id: String,
    path: PathBuf,
    key: LessSafeKey,
}

/// Encrypts texts, making keys as days and subjects come.
pub(crate) struct TextKeys {
    dir: PathBuf,
    kek: LessSafeKey,
    day: String,
    held: HashMap<String, HeldKey>,
}

impl TextKeys {
    pub(crate) fn open(dir: &Path, kek: &Kek) -> Result<Self, LedgerError> {
        files::make_dirs(dir)?;
        let kek = aead(&kek.0)?;
        Ok(Self { dir: dir.to_owned(), kek, day: String::new(), held: HashMap::new() })
    }

    /// Encrypts one text under the key of its subject for `day`, which is on disk when this returns.
    pub(crate) fn seal(
        &mut self,
        text: &Text,
        day: &str,
    ) -> Result<(TextRef, Vec<u8>), LedgerError> {
        if self.day != day || self.held.len() >= HELD_KEYS {
            self.held.clear();
            day.clone_into(&mut self.day);
        }
        // A key file that is gone was destroyed on purpose.
        let held = match self.held.remove(&text.subject).filter(|held| held.path.exists()) {
            Some(held) => held,
            None => self.make(&text.subject)?,
        };
        let blob = seal(&held.key, held.id.as_bytes(), &text.bytes)?;
        let reference =
            TextRef { blob: digest(&blob), bytes: text.bytes.len() as u64, key: held.id.clone() };
        self.held.insert(text.subject.clone(), held);
        Ok((reference, blob))
    }

    fn make(&self, subject: &str) -> Result<HeldKey, LedgerError> {
        let key = Zeroizing::new(random::<32>()?);
        let id = format!("{}-{}", self.day, hex::encode(random::<16>()?));
        let path = key_path(&self.dir, &id)
            .ok_or_else(|| LedgerError::key("cannot name a key of texts"))?;
        let wrapped = seal(&self.kek, &wrapped_for(&id, subject), key.as_slice())?;
        let file =
            KeyFile { subject: subject.to_owned(), wrapped: BASE64_STANDARD.encode(wrapped) };
        let file = serde_json::to_vec(&file)
            .map_err(|_| LedgerError::key("cannot write a key of texts"))?;
        files::write(&path, &file, 0o600)?;
        Ok(HeldKey { id, path, key: aead(&key)? })
    }
}

/// Name of a blob: SHA-256 in hex.
pub(crate) fn digest(blob: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(blob))
}

/// Decrypts texts.
pub struct TextReader {
    dir: PathBuf,
    kek: LessSafeKey,
}

impl TextReader {
    /// Reads with the keys in `dir`, wrapped by `kek`.
    pub fn open(dir: impl Into<PathBuf>, kek: &Kek) -> Result<Self, LedgerError> {
        Ok(Self { dir: dir.into(), kek: aead(&kek.0)? })
    }

    /// Decrypts the blob that an entry refers to.
    ///
    /// # Errors
    ///
    /// [`LedgerError::TextGone`] when its key was destroyed, [`LedgerError::Key`] when the key or the
    /// blob is not what was written.
    pub(crate) fn read(&self, text: &TextRef, blob: &[u8]) -> Result<Vec<u8>, LedgerError> {
        if digest(blob) != text.blob {
            return Err(LedgerError::key("the text is not the one its entry refers to"));
        }
        let wrong = || LedgerError::key(format!("the key `{}` does not fit its text", text.key));
        let path = key_path(&self.dir, &text.key).ok_or_else(wrong)?;
        let file = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(LedgerError::TextGone { key: text.key.clone() });
            }
            read => read.map_err(failed("read", &path))?,
        };
        let opened = || {
            let file: KeyFile = serde_json::from_slice(&file).ok()?;
            let wrapped = BASE64_STANDARD.decode(&file.wrapped).ok()?;
            let key = unseal(&self.kek, &wrapped_for(&text.key, &file.subject), &wrapped)?;
            let key = Zeroizing::new(<[u8; 32]>::try_from(Zeroizing::new(key).as_slice()).ok()?);
            unseal(&aead(&key).ok()?, text.key.as_bytes(), blob)
        };
        opened().ok_or_else(wrong)
    }
}
