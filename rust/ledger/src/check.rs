//! Checks a whole ledger directory: the one walk behind [`crate::verify`] and [`crate::Ledger::open`].
//!
//! The segments are the truth: their frames give the tree, and the tree gives every byte that
//! checkpoint and tiles may have. A file is accepted only if it is one of
//!
//! - a segment, whose every frame is in order, fits the tree, and is closed by a signed checkpoint;
//! - `checkpoint`, equal to one of those checkpoints;
//! - a tile of the tree, also of a size before or after the checkpoint, as a crash may leave it;
//! - a beginning of one of these, ending in `.new`, as a crash may leave it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use serde_json::{Map, Value};

use crate::{
    Broken, Checkpoint, LedgerError, VerifyingKey,
    batch::{Batch, Batches, Item, Listing, SEGMENTS, Tail},
    entry,
    files::{UNFINISHED, failed},
    note,
    text::{self, OVERHEAD_BYTES},
    tile::{Kind, Tile, TileId, Tiles},
    tree::{Frontier, Hash, leaf_hash},
};

/// Name of the published checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Times a checkpoint is read anew because a running gateway replaced it meanwhile.
const READS: usize = 20;

/// A set of entry numbers.
#[derive(Clone, Debug, Default)]
struct Marks(Vec<u64>);

impl Marks {
    fn set(&mut self, seq: u64) {
        let word = usize::try_from(seq / 64).unwrap_or(usize::MAX);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (seq % 64);
        }
    }

    fn has(&self, seq: u64) -> bool {
        let word = usize::try_from(seq / 64).ok().and_then(|word| self.0.get(word));
        word.is_some_and(|word| word >> (seq % 64) & 1 == 1)
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// The part of an entry in the story of statements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Intent,
    /// The outcome of this intent.
    Outcome(u64),
    None,
}

/// The story of statements, for entries to be written and those read: each outcome has its intent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    intents: Marks,
    outcomes: Marks,
}

impl Story {
    /// The part of the next entry, or why it cannot follow.
    pub(crate) fn admit(&self, kind: &str, fields: &Map<String, Value>) -> Result<Part, String> {
        match kind {
            "intent" => Ok(Part::Intent),
            "outcome" => fields
                .get("intent")
                .and_then(Value::as_u64)
                .filter(|intent| self.intents.has(*intent))
                .map(Part::Outcome)
                .ok_or_else(|| "outcome without its intent".to_owned()),
            _ => Ok(Part::None),
        }
    }

    pub(crate) fn take(&mut self, seq: u64, part: Part) {
        match part {
            Part::Intent => self.intents.set(seq),
            Part::Outcome(intent) => self.outcomes.set(intent),
            Part::None => {}
        }
    }

    /// Intents without outcome.
    pub(crate) fn open(&self) -> u64 {
        self.intents.count() - self.outcomes.count()
    }
}

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
    // In the order opposite to writing, so that a running gateway is never seen half-way: each thing
    // read rests on things read later.
    let published = Published::read(dir, ask)?;
    let files = TileFiles::list(dir)?;
    let listing = Listing::read(dir)?;
    let mut walk = Walk {
        dir,
        ask,
        files,
        seen: published.note.is_none(),
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
            published: published.size,
            root_at: None,
            tail: Tail::default(),
            leftovers: Vec::new(),
            missing: Vec::new(),
        },
        published,
    };
    let mut batches = Batches::new(dir, listing.segments, 0);
    while let Some(batch) = batches.next()? {
        walk.batch(&batch, visit)?;
    }
    walk.checked.tail = batches.tail().clone();
    walk.finish(&listing.unfinished)
}

/// The checkpoint, with the partial tiles of its size: read together at the start, since a running
/// gateway replaces them.
struct Published {
    note: Option<Vec<u8>>,
    size: Option<u64>,
    partial: HashMap<String, Vec<u8>>,
}

impl Published {
    fn read(dir: &Path, ask: &Ask<'_>) -> Result<Self, LedgerError> {
        let path = dir.join(CHECKPOINT);
        for _ in 0..READS {
            let note = match fs::read(&path) {
                Ok(note) => note,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    if !ask.recover || dir.join("tile").exists() {
                        return Err(Broken::new("file is missing").file(CHECKPOINT).into());
                    }
                    return Ok(Self { note: None, size: None, partial: HashMap::new() });
                }
                Err(error) => return Err(failed("read", &path)(error)),
            };
            let Checkpoint { size, .. } = Checkpoint::open(&note, ask.key)
                .map_err(|error| Broken::new(error.to_string()).file(CHECKPOINT))?;
            let mut partial = HashMap::new();
            for (id, width) in TileId::partial_at(size) {
                let name = id.path(width);
                if let Ok(bytes) = fs::read(dir.join(&name)) {
                    partial.insert(name, bytes);
                }
            }
            if fs::read(&path).is_ok_and(|again| again == note) {
                return Ok(Self { note: Some(note), size: Some(size), partial });
            }
        }
        Err(Broken::new("changes faster than it can be read").file(CHECKPOINT).into())
    }
}

/// The files under `tile/`, by the tile they claim to be: width, still being written, name.
struct TileFiles(HashMap<TileId, Vec<(usize, bool, String)>>);

impl TileFiles {
    fn list(dir: &Path) -> Result<Self, LedgerError> {
        let mut files = Self(HashMap::new());
        for file in fs::read_dir(dir).map_err(failed("list", dir))? {
            let file = file.map_err(failed("list", dir))?;
            let name = file.file_name().to_string_lossy().into_owned();
            let kind = file.file_type().map_err(failed("list", dir))?;
            let unfinished = format!("{CHECKPOINT}{UNFINISHED}");
            match name.as_str() {
                SEGMENTS if kind.is_dir() => {}
                "tile" if kind.is_dir() => files.add(dir, "tile")?,
                name if kind.is_file() && (name == CHECKPOINT || name == unfinished) => {}
                _ => return Err(Broken::new("unexpected file").file(&name).into()),
            }
        }
        Ok(files)
    }

    fn add(&mut self, dir: &Path, below: &str) -> Result<(), LedgerError> {
        let path = dir.join(below);
        let list = match fs::read_dir(&path) {
            // A running gateway has removed it since the directory above was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            list => list.map_err(failed("list", &path))?,
        };
        for file in list {
            let file = file.map_err(failed("list", &path))?;
            let name = format!("{below}/{}", file.file_name().to_string_lossy());
            let kind = file.file_type().map_err(failed("list", &path))?;
            match TileId::parse(&name) {
                _ if kind.is_dir() => self.add(dir, &name)?,
                Some((id, width, unfinished)) if kind.is_file() => {
                    self.0.entry(id).or_default().push((width, unfinished, name));
                }
                _ => return Err(Broken::new("unexpected file").file(&name).into()),
            }
        }
        Ok(())
    }
}

struct Walk<'a> {
    dir: &'a Path,
    ask: &'a Ask<'a>,
    published: Published,
    files: TileFiles,
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
        if self.published.size == Some(size) {
            if self.published.note.as_ref() != Some(&batch.note) {
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
        let Self { dir, published, files, checked, ask, .. } = self;
        let leaf = leaf_hash(&item.json);
        checked.tree.push(leaf);
        if ask.root_at == Some(checked.tree.size()) {
            checked.root_at = Some(checked.tree.root());
        }
        let Checked { tiles, leftovers, missing, .. } = checked;
        tiles.push(&item.json, leaf, &mut |tile| {
            if !compare(dir, published, files, tile, leftovers)? && ask.recover {
                let width = tile.width();
                missing.push((tile.id.path(width), tile.at(width).to_vec()));
            }
            Ok(())
        })
    }

    fn finish(mut self, unfinished: &[String]) -> Result<Checked, LedgerError> {
        let size = self.checked.tree.size();
        if self.published.size.is_some_and(|published| published > size) {
            let what = format!(
                "the checkpoint covers {} entries, but the segments end here",
                self.published.size.unwrap_or_default()
            );
            let tail = &self.checked.tail;
            return Err(Broken::new(what)
                .file(&tail.file)
                .offset(tail.committed_bytes)
                .seq(size)
                .into());
        }
        if !self.seen {
            let broken = Broken::new("no checkpoint in the segments is the same");
            return Err(broken.file(CHECKPOINT).into());
        }
        if self.ask.root_at == Some(0) {
            self.checked.root_at = Some(Frontier::default().root());
        }
        Checkpoint::open(&self.checked.note, self.ask.key)
            .map_err(|error| Broken::new(error.to_string()).file(&self.checked.tail.file))?;
        for tile in self.checked.tiles.partial() {
            let leftovers = &mut self.checked.leftovers;
            compare(self.dir, &self.published, &mut self.files, tile, leftovers)?;
        }
        if let Some((_, _, name)) = self.files.0.values().flatten().min_by_key(|file| &file.2) {
            return Err(Broken::new("unexpected file").file(name).into());
        }
        self.unfinished(unfinished)?;
        Ok(self.checked)
    }

    /// A crash may leave the beginning of the next checkpoint, or of the next segment, which opens
    /// with the last checkpoint. Both checkpoints are in the segments, where their batches ended.
    fn unfinished(&mut self, segments: &[String]) -> Result<(), LedgerError> {
        let mut opening = Vec::new();
        crate::frame::put(&mut opening, crate::frame::Kind::Checkpoint, &self.checked.note)?;
        let next = crate::batch::segment_name(self.checked.tree.size()) + UNFINISHED;
        for name in segments {
            let path = self.dir.join(name);
            let bytes = match fs::read(&path) {
                // A running gateway has completed it since the directory was listed.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                read => read.map_err(failed("read", &path))?,
            };
            if *name != next || !opening.starts_with(&bytes) {
                return Err(Broken::new("unexpected file").file(name).into());
            }
            self.checked.leftovers.push(name.clone());
        }
        let name = format!("{CHECKPOINT}{UNFINISHED}");
        let path = self.dir.join(&name);
        match fs::read(&path) {
            Ok(bytes) => {
                if !self.is_a_checkpoint_begun(&bytes)? {
                    return Err(Broken::new("unexpected file").file(&name).into());
                }
                self.checked.leftovers.push(name);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    fn is_a_checkpoint_begun(&self, bytes: &[u8]) -> Result<bool, LedgerError> {
        let mut batches = Batches::new(self.dir, Listing::read(self.dir)?.segments, 0);
        while let Some(batch) = batches.next()? {
            if batch.note.starts_with(bytes) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Compares a tile, filled or as far as the log goes, with all the files that claim to be it, and
/// says whether there is one of its whole width.
fn compare(
    dir: &Path,
    published: &Published,
    files: &mut TileFiles,
    tile: &Tile,
    leftovers: &mut Vec<String>,
) -> Result<bool, LedgerError> {
    let same = |width: usize, unfinished: bool, bytes: &[u8], name: &str| {
        let expected = tile.at(width);
        if if unfinished { expected.starts_with(bytes) } else { expected == bytes } {
            Ok(())
        } else {
            Err(difference(tile, expected, bytes, name))
        }
    };
    let required = tile.id.width_at(published.size.unwrap_or(0));
    let name = tile.id.path(required);
    let (mut found, mut whole) = (required == 0, false);
    if let Some(bytes) = published.partial.get(&name) {
        same(required, false, bytes, &name)?;
        found = true;
    }
    for (width, unfinished, name) in files.0.remove(&tile.id).unwrap_or_default() {
        if width > tile.width() {
            return Err(Broken::new("tile is wider than the log is long").file(&name).into());
        }
        let path = dir.join(&name);
        match fs::read(&path) {
            Ok(bytes) => same(width, unfinished, &bytes, &name)?,
            // A running gateway has removed it since the directory was listed.
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    && (unfinished || width < crate::tile::WIDTH) =>
            {
                continue;
            }
            Err(error) => return Err(failed("read", &path)(error)),
        }
        whole |= width == tile.width() && !unfinished;
        if width == required && !unfinished {
            found = true;
        } else {
            leftovers.push(name);
        }
    }
    if found { Ok(whole) } else { Err(Broken::new("file is missing").file(&name).into()) }
}

fn difference(tile: &Tile, expected: &[u8], bytes: &[u8], name: &str) -> Broken {
    let same = expected.iter().zip(bytes).take_while(|(one, other)| one == other).count();
    let broken = Broken::new("tile is not that of the segments").file(name).offset(same as u64);
    match tile.id.kind {
        Kind::Entries | Kind::Hashes(0) => {
            let first = tile.id.index * crate::tile::WIDTH as u64;
            broken.seq(first + tile.thing_at(same) as u64)
        }
        Kind::Hashes(_) => broken,
    }
}
