//! Signed checkpoints: C2SP tlog-checkpoint as text, C2SP signed-note with Ed25519 as signature.
//!
//! ```text
//!   snowgate/gw-1                                        origin, also the name of the key
//!   20852163                                             size
//!   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=         root
//!                                                        (empty line)
//!   — snowgate/gw-1 Az3grl…                              base64(key id ‖ signature)
//! ```

use std::{fmt, fs, path::Path};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    LedgerError,
    files::{self, failed},
    tree::Hash,
};

/// Signature type of Ed25519 (signed-note, "Signature types").
const ED25519_TYPE: u8 = 1;

/// Longest note read: sixteen post-quantum signatures fit (signed-note asks for at least that).
pub(crate) const MAX_NOTE_BYTES: usize = 256 * 1024;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// A signed statement of what the log held: C2SP tlog-checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Entries in it.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root))
    }

    /// Reads a checkpoint signed by `key`; signatures of others beside it are ignored.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Key`] when it is malformed, of another log, or `key` did not sign it.
    pub fn open(note: &[u8], key: &VerifyingKey) -> Result<Self, LedgerError> {
        let note = std::str::from_utf8(note)
            .ok()
            .filter(|note| note.len() <= MAX_NOTE_BYTES)
            .filter(|note| !note.chars().any(|c| c < ' ' && c != '\n'))
            .ok_or_else(|| LedgerError::key("the checkpoint is not a signed note"))?;
        let at =
            note.rfind("\n\n").ok_or_else(|| LedgerError::key("the checkpoint is not signed"))?;
        let (text, signatures) = note.split_at(at + 1);
        let signatures = signatures
            .strip_prefix('\n')
            .and_then(|lines| lines.strip_suffix('\n'))
            .ok_or_else(|| LedgerError::key("the checkpoint is not signed"))?;
        let checkpoint = Self::parse(text)?;
        let mut signed = false;
        for line in signatures.split('\n') {
            let (name, signature) = line
                .strip_prefix("— ")
                .and_then(|line| line.split_once(' '))
                .and_then(|(name, value)| Some((name, BASE64_STANDARD.decode(value).ok()?)))
                .ok_or_else(|| {
                    LedgerError::key("a signature line of the checkpoint is malformed")
                })?;
            let Some((id, signature)) = signature.split_first_chunk::<4>() else {
                return Err(LedgerError::key("a signature line of the checkpoint is malformed"));
            };
            if name == key.name && *id == key.id() {
                key.verify(text, signature)?;
                signed = true;
            }
        }
        if !signed {
            return Err(LedgerError::key(format!(
                "the checkpoint of `{}` is not signed by the key `{key}`",
                checkpoint.origin
            )));
        }
        if checkpoint.origin != key.name {
            return Err(LedgerError::key(format!(
                "the checkpoint is of the log `{}`, not of `{}`",
                checkpoint.origin, key.name
            )));
        }
        Ok(checkpoint)
    }

    /// Reads the text without its signatures. Extension lines are allowed, as the source says.
    fn parse(text: &str) -> Result<Self, LedgerError> {
        let parsed = || {
            let mut lines = text.strip_suffix('\n')?.split('\n');
            let origin = lines.next().filter(|line| !line.is_empty())?.to_owned();
            let digits = lines.next()?;
            let size = digits.parse::<u64>().ok().filter(|size| size.to_string() == digits)?;
            let root = BASE64_STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
            lines.all(|line| !line.is_empty()).then_some(Self { origin, size, root })
        };
        parsed().ok_or_else(|| LedgerError::key("the checkpoint is malformed"))
    }
}

/// Whether `note` is byte for byte the form [`Signer::sign`] gives to `expected`; its signature is not
/// checked.
pub(crate) fn is_note_of(note: &[u8], expected: &Checkpoint, key: &VerifyingKey) -> bool {
    let written = || {
        let rest = note.strip_prefix(expected.text().as_bytes())?;
        let line = std::str::from_utf8(rest.strip_prefix(b"\n")?).ok()?;
        let value = line.strip_prefix("— ")?.strip_prefix(key.name.as_str())?.strip_prefix(' ')?;
        let signature = BASE64_STANDARD.decode(value.strip_suffix('\n')?).ok()?;
        Some(signature.len() == 68 && signature.starts_with(&key.id()))
    };
    written() == Some(true)
}

/// The public half: a C2SP verifier key, `<name>+<key id>+<base64>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifyingKey {
    name: String,
    public: [u8; 32],
}

impl VerifyingKey {
    /// Reads a verifier key; white space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Key`] when it is malformed, not Ed25519, or its id is not that of the key.
    pub fn parse(vkey: &str) -> Result<Self, LedgerError> {
        let parsed = || {
            let mut parts = vkey.trim().splitn(3, '+');
            let (name, id, value) = (parts.next()?, parts.next()?, parts.next()?);
            let value = BASE64_STANDARD.decode(value).ok()?;
            let public = value.strip_prefix(&[ED25519_TYPE])?.try_into().ok()?;
            let key = Self { name: name.to_owned(), public };
            (is_key_name(name) && id == hex::encode(key.id())).then_some(key)
        };
        parsed().ok_or_else(|| {
            LedgerError::key("the verifier key is malformed; it reads `<name>+<key id>+<base64>`")
        })
    }

    /// Name of the key, which is the origin of its log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `SHA-256(name ‖ 0x0A ‖ type ‖ public key)[..4]` (signed-note, "Signatures").
    fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519_TYPE])
            .chain_update(self.public)
            .finalize();
        let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
        [a, b, c, d]
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<(), LedgerError> {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(text.as_bytes(), signature)
            .map_err(|_| LedgerError::key(format!("the signature by `{}` is wrong", self.name)))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = [[ED25519_TYPE].as_slice(), &self.public].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), BASE64_STANDARD.encode(value))
    }
}

/// Whether a log may have this origin (signed-note: no spaces, no plus, not empty).
pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

/// The private half: signs checkpoints of one log.
pub(crate) struct Signer {
    key: VerifyingKey,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// Reads a PKCS#8 key in PEM.
    pub(crate) fn load(path: &Path, origin: &str) -> Result<Self, LedgerError> {
        let malformed = || {
            LedgerError::key(format!("`{}` is not an Ed25519 key (PKCS#8 in PEM)", path.display()))
        };
        let pem = Zeroizing::new(fs::read_to_string(path).map_err(failed("read", path))?);
        let body: Zeroizing<String> = pem
            .trim()
            .strip_prefix(PEM_BEGIN)
            .and_then(|pem| pem.strip_suffix(PEM_END))
            .map(|body| Zeroizing::new(body.split_whitespace().collect()))
            .ok_or_else(malformed)?;
        let der = Zeroizing::new(BASE64_STANDARD.decode(body.as_bytes()).map_err(|_| malformed())?);
        // `maybe_unchecked`: keys by openssl carry no public half to check against.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| malformed())?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| malformed())?;
        Ok(Self { key: VerifyingKey { name: origin.to_owned(), public }, pair })
    }

    /// Makes a key, readable by this user only.
    pub(crate) fn create(path: &Path, origin: &str) -> Result<Self, LedgerError> {
        let failure = |_| LedgerError::key("cannot make an Ed25519 key");
        let pair = Ed25519KeyPair::generate().map_err(failure)?;
        let der = pair.to_pkcs8v1().map_err(failure)?;
        let body = Zeroizing::new(BASE64_STANDARD.encode(der.as_ref()));
        let pem = Zeroizing::new(format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", body.as_str()));
        files::write(path, pem.as_bytes(), 0o600)?;
        Self::load(path, origin)
    }

    /// Writes the verifier key beside the signing key, as `<name>.pub`, if it is missing.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Refused`] when the file holds another key: auditors would be given it.
    pub(crate) fn publish(&self, path: &Path) -> Result<(), LedgerError> {
        let public = path.with_extension("pub");
        if public == path {
            return Err(LedgerError::key("the file of the signing key may not end in `.pub`"));
        }
        let path = public.as_path();
        match fs::read_to_string(path) {
            Ok(text) if text.trim() == self.key.to_string() => Ok(()),
            Ok(_) => Err(LedgerError::Refused {
                problem: format!("`{}` is not of this signing key and origin", path.display()),
                remedy: "restore the signing key that belongs to it, or remove it".to_owned(),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                files::write(path, format!("{}\n", self.key).as_bytes(), 0o644).map(drop)
            }
            Err(error) => Err(failed("read", path)(error)),
        }
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The signed checkpoint. Ed25519 is deterministic: one size and root give the same bytes always.
    pub(crate) fn sign(&self, size: u64, root: Hash) -> Result<Vec<u8>, LedgerError> {
        let text = Checkpoint { origin: self.key.name.clone(), size, root }.text();
        let signature = self
            .pair
            .try_sign(text.as_bytes())
            .map_err(|_| LedgerError::key("cannot sign the checkpoint"))?;
        let value = [self.key.id().as_slice(), signature.as_ref()].concat();
        Ok(format!("{text}\n— {} {}\n", self.key.name, BASE64_STANDARD.encode(value)).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of C2SP signed-note.
    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const TEXT: &str = "This is an example message.\n";
    const SIGNATURE: &str = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3\
                             mFXmRKuwHjG1Yu72IneyaQM=";

    #[test]
    fn the_example_of_the_specification_verifies() {
        let key = VerifyingKey::parse(VKEY).unwrap();
        let signature = BASE64_STANDARD.decode(SIGNATURE).unwrap();

        assert_eq!(key.to_string(), VKEY);
        assert_eq!(signature[..4], key.id());
        key.verify(TEXT, &signature[4..]).unwrap();
        assert!(key.verify("This is another message.\n", &signature[4..]).is_err());
    }

    #[test]
    fn a_key_whose_id_is_not_its_own_is_refused() {
        assert!(VerifyingKey::parse(&VKEY.replace("530d903a", "530d903b")).is_err());
    }

    fn signer(dir: &Path) -> Signer {
        Signer::create(&dir.join("key"), "snowgate/gw").unwrap()
    }

    #[test]
    fn a_signed_checkpoint_opens_with_its_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (signer(&dir.path().join("a")), signer(&dir.path().join("b")));

        let note = ours.sign(7, [3; 32]).unwrap();

        let checkpoint = Checkpoint::open(&note, ours.key()).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (7, [3; 32]));
        assert!(is_note_of(&note, &checkpoint, ours.key()));
        assert!(Checkpoint::open(&note, theirs.key()).is_err());
    }

    #[test]
    fn signatures_of_witnesses_beside_ours_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let ours = signer(dir.path());
        let mut note = ours.sign(7, [3; 32]).unwrap();

        note.extend("— witness.example/w AAAAAAAAAAA=\n".as_bytes());

        assert_eq!(Checkpoint::open(&note, ours.key()).unwrap().size, 7);
    }

    #[test]
    fn every_flipped_byte_of_a_checkpoint_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ours = signer(dir.path());
        let note = ours.sign(7, [3; 32]).unwrap();

        for position in 0..note.len() {
            let mut changed = note.clone();
            changed[position] ^= 1;

            assert!(Checkpoint::open(&changed, ours.key()).is_err(), "byte {position}");
        }
    }
}
