//! The files that follow from the segments: checkpoint and tiles, as they are found on disk.
//!
//! They are taken in the order opposite to writing, so that a running gateway is never seen half-way:
//! each thing read rests on things read later.

use std::{
    collections::HashMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::{
    Broken, Checkpoint, LedgerError, VerifyingKey,
    batch::SEGMENTS,
    entry::MAX_ENTRY_BYTES,
    files::{UNFINISHED, failed, read_regular},
    note::MAX_NOTE_BYTES,
    tile::{Kind, Tile, TileId, WIDTH},
};

/// Name of the published checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Times a checkpoint is read anew because a running gateway replaced it meanwhile.
const READS: usize = 20;

/// No tile is longer: 256 of the longest entries, each behind two bytes.
const MAX_TILE_BYTES: usize = WIDTH * (MAX_ENTRY_BYTES + 2);

/// A file that claims to be a tile.
struct Found {
    width: usize,
    /// It ends in `.new`: written only in part.
    unfinished: bool,
    name: String,
}

/// Checkpoint and tiles of a ledger directory.
pub(crate) struct Derived {
    dir: PathBuf,
    /// The checkpoint and its size; None for a ledger just begun.
    published: Option<(Vec<u8>, u64)>,
    /// The partial tiles of that size: read together with it, since a running gateway replaces them.
    partial: HashMap<String, Vec<u8>>,
    files: HashMap<TileId, Vec<Found>>,
    /// Files of a size other than the published one, and unfinished files.
    pub(crate) leftovers: Vec<String>,
}

impl Derived {
    /// Reads the checkpoint and lists the tiles; a ledger `begun` may lack both.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Broken`] when the checkpoint is not signed by `key`, or a file is none of ours.
    pub(crate) fn read(dir: &Path, key: &VerifyingKey, begun: bool) -> Result<Self, LedgerError> {
        let mut derived = Self {
            dir: dir.to_owned(),
            published: None,
            partial: HashMap::new(),
            files: HashMap::new(),
            leftovers: Vec::new(),
        };
        derived.read_published(key, begun)?;
        derived.list()?;
        Ok(derived)
    }

    /// Size in the published checkpoint.
    pub(crate) fn size(&self) -> Option<u64> {
        self.published.as_ref().map(|(_, size)| *size)
    }

    /// The published checkpoint.
    pub(crate) fn note(&self) -> Option<&[u8]> {
        self.published.as_ref().map(|(note, _)| note.as_slice())
    }

    fn read_published(&mut self, key: &VerifyingKey, begun: bool) -> Result<(), LedgerError> {
        let path = self.dir.join(CHECKPOINT);
        for _ in 0..READS {
            let note = match read_regular(&path, MAX_NOTE_BYTES) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if begun && !self.dir.join("tile").exists() {
                        return Ok(());
                    }
                    return Err(Broken::new("file is missing").file(CHECKPOINT).into());
                }
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    return Err(Broken::new("unexpected file").file(CHECKPOINT).into());
                }
                read => read.map_err(failed("read", &path))?,
            };
            let Checkpoint { size, .. } = Checkpoint::open(&note, key)
                .map_err(|error| Broken::new(error.to_string()).file(CHECKPOINT))?;
            self.partial.clear();
            for (id, width) in TileId::partial_at(size) {
                let name = id.path(width);
                if let Ok(bytes) = read_regular(&self.dir.join(&name), MAX_TILE_BYTES) {
                    self.partial.insert(name, bytes);
                }
            }
            if read_regular(&path, MAX_NOTE_BYTES).is_ok_and(|again| again == note) {
                self.published = Some((note, size));
                return Ok(());
            }
        }
        Err(Broken::new("changes faster than it can be read").file(CHECKPOINT).into())
    }

    fn list(&mut self) -> Result<(), LedgerError> {
        let dir = self.dir.clone();
        for file in fs::read_dir(&dir).map_err(failed("list", &dir))? {
            let file = file.map_err(failed("list", &dir))?;
            let name = file.file_name().to_string_lossy().into_owned();
            let kind = file.file_type().map_err(failed("list", &dir))?;
            let unfinished = format!("{CHECKPOINT}{UNFINISHED}");
            match name.as_str() {
                SEGMENTS if kind.is_dir() => {}
                "tile" if kind.is_dir() => self.list_tiles("tile")?,
                name if kind.is_file() && (name == CHECKPOINT || name == unfinished) => {}
                _ => return Err(Broken::new("unexpected file").file(&name).into()),
            }
        }
        Ok(())
    }

    fn list_tiles(&mut self, below: &str) -> Result<(), LedgerError> {
        let path = self.dir.join(below);
        let list = match fs::read_dir(&path) {
            // A running gateway has removed it since the directory above was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            list => list.map_err(failed("list", &path))?,
        };
        for file in list {
            let file = file.map_err(failed("list", &path))?;
            let name = format!("{below}/{}", file.file_name().to_string_lossy());
            let kind = file.file_type().map_err(failed("list", &path))?;
            match TileId::parse(&name) {
                _ if kind.is_dir() => self.list_tiles(&name)?,
                Some((id, width, unfinished)) if kind.is_file() => {
                    self.files.entry(id).or_default().push(Found { width, unfinished, name });
                }
                _ => return Err(Broken::new("unexpected file").file(&name).into()),
            }
        }
        Ok(())
    }

    /// Compares a tile, filled or as far as the log goes, with all the files that claim to be it, and
    /// says whether there is one of its whole width.
    pub(crate) fn compare(&mut self, tile: &Tile) -> Result<bool, LedgerError> {
        let required = tile.id.width_at(self.size().unwrap_or(0));
        let name = tile.id.path(required);
        let (mut found, mut whole) = (required == 0, false);
        if let Some(bytes) = self.partial.get(&name) {
            same(tile, required, false, bytes, &name)?;
            found = true;
        }
        for Found { width, unfinished, name } in self.files.remove(&tile.id).unwrap_or_default() {
            if width > tile.width() {
                return Err(Broken::new("tile is wider than the log is long").file(&name).into());
            }
            let Some(bytes) = self.bytes(&name, unfinished || width < WIDTH)? else { continue };
            same(tile, width, unfinished, &bytes, &name)?;
            whole |= width == tile.width() && !unfinished;
            if width == required && !unfinished {
                found = true;
            } else {
                self.leftovers.push(name);
            }
        }
        if found { Ok(whole) } else { Err(Broken::new("file is missing").file(&name).into()) }
    }

    /// Refuses tiles of which the log, now read to its end, has none.
    pub(crate) fn refuse_others(&self) -> Result<(), LedgerError> {
        match self.files.values().flatten().map(|found| &found.name).min() {
            Some(name) => Err(Broken::new("unexpected file").file(name).into()),
            None => Ok(()),
        }
    }

    /// The beginning of the next checkpoint, as a crash leaves it.
    pub(crate) fn unfinished_checkpoint(&self) -> Result<Option<(String, Vec<u8>)>, LedgerError> {
        let name = format!("{CHECKPOINT}{UNFINISHED}");
        Ok(self.bytes(&name, true)?.map(|bytes| (name, bytes)))
    }

    /// A file's content. None when it is gone, if a running gateway may have removed it since it was
    /// listed.
    pub(crate) fn bytes(&self, name: &str, passing: bool) -> Result<Option<Vec<u8>>, LedgerError> {
        let path = self.dir.join(name);
        match read_regular(&path, MAX_TILE_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound && passing => Ok(None),
            read => read.map(Some).map_err(|error: io::Error| failed("read", &path)(error)),
        }
    }
}

/// Whether a file holds what the tile of this width does, or the beginning of it.
fn same(
    tile: &Tile,
    width: usize,
    unfinished: bool,
    bytes: &[u8],
    name: &str,
) -> Result<(), LedgerError> {
    let expected = tile.at(width);
    if if unfinished { expected.starts_with(bytes) } else { expected == bytes } {
        return Ok(());
    }
    let same = expected.iter().zip(bytes).take_while(|(one, other)| one == other).count();
    let broken = Broken::new("tile is not that of the segments").file(name).offset(same as u64);
    Err(match tile.id.kind {
        Kind::Entries | Kind::Hashes(0) => {
            broken.seq(tile.id.index * WIDTH as u64 + tile.thing_at(same) as u64)
        }
        Kind::Hashes(_) => broken,
    }
    .into())
}
