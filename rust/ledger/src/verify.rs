//! Verifies a ledger directory, with nothing but the public key.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use crate::{
    Broken, Checkpoint, LedgerError, VerifyingKey,
    check::{Ask, check},
};

/// What a ledger that verifies holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Which log.
    pub origin: String,
    /// Entries, each covered by a signed checkpoint.
    pub size: u64,
    /// Root over them, in hex.
    pub root: String,
    /// The newest signed checkpoint: keep it, and a later ledger must extend it.
    pub checkpoint: String,
    /// Size in the published checkpoint, at most `size`.
    pub published: u64,
    /// Entries of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// Encrypted texts.
    pub texts: u64,
    /// Segment files.
    pub segments: u64,
    /// Time of the first entry.
    pub first_time: Option<String>,
    /// Time of the last entry.
    pub last_time: Option<String>,
    /// Intents whose outcome is not recorded.
    pub open_intents: u64,
    /// Bytes of a batch that a crash, or a writer at work, left unfinished. They hold nothing that was
    /// acknowledged.
    pub uncommitted_bytes: u64,
}

/// Verifies every byte below `dir`: frames, tree, tiles, checkpoints and their signatures by `vkey`,
/// texts, and the story of the entries. With `extends`, an older checkpoint, also that the log is a
/// continuation of what that one covers.
///
/// A running gateway may write meanwhile.
///
/// # Errors
///
/// [`LedgerError::Broken`] names what is broken and where; [`LedgerError::Key`] when `vkey` or
/// `extends` is not what it should be.
pub fn verify(dir: &Path, vkey: &str, extends: Option<&[u8]>) -> Result<Report, LedgerError> {
    let key = VerifyingKey::parse(vkey)?;
    let older = extends.map(|note| Checkpoint::open(note, &key)).transpose()?;
    let ask = Ask {
        key: &key,
        root_at: older.as_ref().map(|older| older.size),
        every_signature: true,
        recover: false,
    };
    let checked = check(dir, &ask, &mut |_, _, _| {})?;
    let size = checked.tree.size();
    if let Some(older) = older {
        if older.size > size {
            let what = format!("the log ends here, but a checkpoint covers {} entries", older.size);
            return Err(Broken::new(what).seq(size).into());
        }
        if checked.root_at != Some(older.root) {
            let what = format!(
                "the log does not extend the checkpoint of {} entries: one of these was changed",
                older.size
            );
            return Err(Broken::new(what).into());
        }
    }
    Ok(Report {
        origin: key.name().to_owned(),
        size,
        root: hex::encode(checked.tree.root()),
        checkpoint: String::from_utf8_lossy(&checked.note).into_owned(),
        published: checked.published.unwrap_or_default(),
        kinds: checked.kinds,
        texts: checked.texts,
        segments: checked.segments,
        first_time: checked.first_time,
        last_time: checked.last_time,
        open_intents: checked.story.open(),
        uncommitted_bytes: checked.tail.uncommitted_bytes,
    })
}
