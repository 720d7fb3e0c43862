//! Checks a whole ledger directory: the one walk behind [`crate::verify`] and [`crate::Ledger::open`].
//!
//! The segments are the truth: their frames give the tree, and the tree gives every byte that
//! checkpoint and tiles may have. A file is accepted only if it is one of
//!
//! - a segment, whose every frame is in order, fits the tree, and is closed by a signed checkpoint;
//! - `checkpoint`, equal to one of those checkpoints;
//! - a tile of the tree, also of a size before or after the checkpoint, as a crash may leave it;
//! - a beginning of one of these, ending in `.new`, as a crash may leave it.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

use crate::{
    Broken, Checkpoint, LedgerError, VerifyingKey,
    batch::{Batch, Batches, Item, Listing, Tail, segment_name},
    derived::{CHECKPOINT, Derived},
    entry,
    files::UNFINISHED,
    frame, note,
    story::Story,
    text::{self, OVERHEAD_BYTES},
    tile::Tiles,
    tree::{Frontier, Hash, leaf_hash},
};

/// What the caller learns of each entry: number, kind, members.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(u64, &str, &Map<String, Value>);

/// What to check, beside the directory itself.
pub(crate) struct Ask<'a> {
    pub(crate) key: &'a VerifyingKey,
    /// Size of which the root is wanted.
    pub(crate) root_at: Option<u64>,
    /// Check the signature of each checkpoint in the segments, not only of the last. The tree proves
    /// the entries either way.
    pub(crate) every_signature: bool,
    /// To open it, not only to look: a ledger just begun may lack its checkpoint, and full tiles that
    /// a crash kept from being written are wanted.
    pub(crate) recover: bool,
}

/// What a directory that passed holds.
pub(crate) struct Checked {
    pub(crate) tree: Frontier,
    pub(crate) tiles: Tiles,
    pub(crate) story: Story,
    pub(crate) first_time: Option<String>,
    pub(crate) last_time: Option<String>,
    pub(crate) kinds: BTreeMap<String, u64>,
    pub(crate) texts: u64,
    pub(crate) segments: u64,
    /// The last signed checkpoint in the segments.
    pub(crate) note: Vec<u8>,
    /// Size in the published checkpoint.
    pub(crate) published: Option<u64>,
    pub(crate) root_at: Option<Hash>,
    pub(crate) tail: Tail,
    /// Files of a size other than the published one, and unfinished files.
    pub(crate) leftovers: Vec<String>,
    /// Full tiles beyond the published checkpoint that are not there: name and content.
    pub(crate) missing: Vec<(String, Vec<u8>)>,
}

pub(crate) fn check(dir: &Path, ask: &Ask<'_>, visit: Visit<'_>) -> Result<Checked, LedgerError> {
    let derived = Derived::read(dir, ask.key, ask.recover)?;
    let listing = Listing::read(dir)?;
    let mut walk = Walk {
        dir,
        ask,
        seen: derived.note().is_none(),
        checked: Checked {
            tree: Frontier::default(),
            tiles: Tiles::default(),
            story: Story::default(),
            first_time: None,
            last_time: None,
            kinds: BTreeMap::new(),
            texts: 0,
            segments: listing.segments.len() as u64,
            note: Vec::new(),
            published: derived.size(),
            root_at: None,
            tail: Tail::default(),
            leftovers: Vec::new(),
            missing: Vec::new(),
        },
        derived,
    };
    let mut batches = Batches::new(dir, listing.segments, 0);
    while let Some(batch) = batches.next()? {
        walk.batch(&batch, visit)?;
    }
    walk.checked.tail = batches.tail().clone();
    walk.finish(&listing.unfinished)
}

struct Walk<'a> {
    dir: &'a Path,
    ask: &'a Ask<'a>,
    derived: Derived,
    /// The published checkpoint was met in the segments.
    seen: bool,
    checked: Checked,
}

impl Walk<'_> {
    fn batch(&mut self, batch: &Batch, visit: Visit<'_>) -> Result<(), LedgerError> {
        for item in &batch.items {
            self.entry(item, visit).map_err(|what| {
                Broken::new(what).file(&batch.file).offset(item.offset).seq(item.seq)
            })?;
            self.leaf(item)?;
        }
        let size = self.checked.tree.size();
        let place = |what: &str| Broken::new(what).file(&batch.file).offset(batch.offset);
        let origin = self.ask.key.name().to_owned();
        let expected = Checkpoint { origin, size, root: self.checked.tree.root() };
        if batch.note != self.checked.note {
            if self.ask.every_signature || self.checked.note.is_empty() {
                Checkpoint::open(&batch.note, self.ask.key)
                    .map_err(|error| place(&error.to_string()))?;
            }
            if !note::is_note_of(&batch.note, &expected, self.ask.key) {
                return Err(place("entries do not lead to the root of their checkpoint").into());
            }
            batch.note.clone_into(&mut self.checked.note);
        } else if !batch.items.is_empty() {
            return Err(place("checkpoint is that of the batch before").into());
        }
        if self.derived.size() == Some(size) {
            if self.derived.note() != Some(&batch.note) {
                let broken = Broken::new("differs from the checkpoint in the segments");
                return Err(broken.file(CHECKPOINT).into());
            }
            self.seen = true;
        }
        Ok(())
    }

    fn entry(&mut self, item: &Item, visit: Visit<'_>) -> Result<(), String> {
        let fields = entry::parse(&item.json)?;
        if fields.get("seq").and_then(Value::as_u64) != Some(item.seq) {
            return Err("entry bears another number".to_owned());
        }
        let kind = fields.get("kind").and_then(Value::as_str).ok_or("entry has no kind")?;
        let time = fields
            .get("time")
            .and_then(Value::as_str)
            .filter(|time| entry::is_timestamp(time))
            .ok_or("entry has no time")?;
        if self.checked.last_time.as_deref().is_some_and(|last| time < last) {
            return Err("entry is older than the one before it".to_owned());
        }
        let texts = entry::texts(&fields)?;
        if texts.len() != item.blobs.len() {
            return Err(format!(
                "entry has {} texts, but {} lie beside it",
                texts.len(),
                item.blobs.len()
            ));
        }
        for ((name, text), blob) in texts.iter().zip(&item.blobs) {
            let length = text.bytes.checked_add(OVERHEAD_BYTES as u64);
            if text::digest(blob) != text.blob || length != Some(blob.len() as u64) {
                return Err(format!("text `{name}` is not the one the entry commits to"));
            }
        }
        let part = self.checked.story.admit(kind, &fields)?;
        self.checked.story.take(item.seq, part);
        visit(item.seq, kind, &fields);
        self.checked.texts += texts.len() as u64;
        *self.checked.kinds.entry(kind.to_owned()).or_default() += 1;
        self.checked.first_time.get_or_insert_with(|| time.to_owned());
        self.checked.last_time = Some(time.to_owned());
        Ok(())
    }

    fn leaf(&mut self, item: &Item) -> Result<(), LedgerError> {
        let Self { derived, checked, ask, .. } = self;
        let leaf = leaf_hash(&item.json);
        checked.tree.push(leaf);
        if ask.root_at == Some(checked.tree.size()) {
            checked.root_at = Some(checked.tree.root());
        }
        let Checked { tiles, missing, .. } = checked;
        tiles.push(&item.json, leaf, &mut |tile| {
            if !derived.compare(tile)? && ask.recover {
                let width = tile.width();
                missing.push((tile.id.path(width), tile.at(width).to_vec()));
            }
            Ok(())
        })
    }

    /// What can be said only at the end of the log.
    fn finish(mut self, unfinished: &[String]) -> Result<Checked, LedgerError> {
        let Self { derived, checked, seen, ask, .. } = &mut self;
        let size = checked.tree.size();
        if let Some(published) = derived.size().filter(|published| *published > size) {
            let what =
                format!("the checkpoint covers {published} entries, but the segments end here");
            let Tail { file, committed_bytes, .. } = &checked.tail;
            return Err(Broken::new(what).file(file).offset(*committed_bytes).seq(size).into());
        }
        if !*seen {
            let broken = Broken::new("no checkpoint in the segments is the same");
            return Err(broken.file(CHECKPOINT).into());
        }
        if ask.root_at == Some(0) {
            checked.root_at = Some(Frontier::default().root());
        }
        Checkpoint::open(&checked.note, ask.key)
            .map_err(|error| Broken::new(error.to_string()).file(&checked.tail.file))?;
        for tile in checked.tiles.partial() {
            derived.compare(tile)?;
        }
        derived.refuse_others()?;
        checked.leftovers.append(&mut derived.leftovers);
        self.unfinished_segments(unfinished)?;
        self.unfinished_checkpoint()?;
        Ok(self.checked)
    }

    /// A crash may leave the beginning of the next segment, which opens with the last checkpoint.
    fn unfinished_segments(&mut self, names: &[String]) -> Result<(), LedgerError> {
        let mut opening = Vec::new();
        frame::put(&mut opening, frame::Kind::Checkpoint, &self.checked.note)?;
        let next = segment_name(self.checked.tree.size()) + UNFINISHED;
        for name in names {
            let Some(bytes) = self.derived.bytes(name, true)? else { continue };
            if *name != next || !opening.starts_with(&bytes) {
                return Err(Broken::new("unexpected file").file(name).into());
            }
            self.checked.leftovers.push(name.clone());
        }
        Ok(())
    }

    /// A crash may leave the beginning of the next checkpoint, which is in the segments where its batch
    /// ended.
    fn unfinished_checkpoint(&mut self) -> Result<(), LedgerError> {
        let Some((name, bytes)) = self.derived.unfinished_checkpoint()? else { return Ok(()) };
        let mut batches = Batches::new(self.dir, Listing::read(self.dir)?.segments, 0);
        while let Some(batch) = batches.next()? {
            if batch.note.starts_with(&bytes) {
                self.checked.leftovers.push(name);
                return Ok(());
            }
        }
        Err(Broken::new("unexpected file").file(&name).into())
    }
}
