//! Publishes what the writer committed: tiles, then the checkpoint over them.
//!
//! On its own thread, so that no statement waits for it. Full tiles are written as they fill; partial
//! tiles and the checkpoint at most [`Settings::checkpoint_after`] after the first entry they are to
//! cover. All of it can be derived from the segments, and recovery does.
//!
//! [`Settings::checkpoint_after`]: crate::Settings::checkpoint_after

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use crate::{
    LedgerError,
    derived::CHECKPOINT,
    files,
    ledger::Shared,
    tile::{Tile, TileId, Tiles, WIDTH},
    tree::Hash,
};

/// A batch that is on disk.
pub(crate) struct Committed {
    pub(crate) entries: Vec<(Vec<u8>, Hash)>,
    /// The checkpoint that closes it.
    pub(crate) note: Vec<u8>,
}

/// The publisher's state.
pub(crate) struct Publisher {
    pub(crate) dir: PathBuf,
    pub(crate) tiles: Tiles,
    /// Partial tiles of the published checkpoint.
    pub(crate) partial: BTreeSet<String>,
    /// Newest checkpoint not yet published.
    pub(crate) note: Option<Vec<u8>>,
    pub(crate) checkpoint_after: Duration,
}

impl Publisher {
    /// Publishes until the writer hangs up, and once more then. A failure poisons the ledger.
    pub(crate) fn run(mut self, committed: &Receiver<Committed>, shared: &Arc<Shared>) {
        if let Err(error) = self.serve(committed) {
            shared.poison(&error);
        }
    }

    /// Brings the published files to where the segments are.
    pub(crate) fn recover(
        &mut self,
        missing: &[(String, Vec<u8>)],
        leftovers: &[String],
    ) -> Result<(), LedgerError> {
        let full = |name: &&String| matches!(TileId::parse(name), Some((_, width, false)) if width == WIDTH);
        for name in leftovers.iter().filter(|name| !full(name)) {
            let path = self.dir.join(name);
            fs::remove_file(&path).map_err(files::failed("remove", &path))?;
        }
        for (name, bytes) in missing {
            files::write(&self.dir.join(name), bytes, 0o600)?;
        }
        self.publish()
    }

    fn serve(&mut self, committed: &Receiver<Committed>) -> Result<(), LedgerError> {
        let mut due: Option<Instant> = None;
        loop {
            let received = match due {
                Some(due) => committed.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => committed.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(batch) => {
                    self.take(batch)?;
                    due.get_or_insert_with(|| Instant::now() + self.checkpoint_after);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.publish(),
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                self.publish()?;
                due = None;
            }
        }
    }

    fn take(&mut self, batch: Committed) -> Result<(), LedgerError> {
        let Self { dir, tiles, .. } = self;
        for (entry, leaf) in &batch.entries {
            tiles.push(entry, *leaf, &mut |tile: &Tile| {
                let width = tile.width();
                files::write(&dir.join(tile.id.path(width)), tile.at(width), 0o600).map(drop)
            })?;
        }
        self.note = Some(batch.note);
        Ok(())
    }

    /// Writes the partial tiles, then the checkpoint, then removes the partial tiles before them.
    pub(crate) fn publish(&mut self) -> Result<(), LedgerError> {
        let Some(note) = self.note.take() else { return Ok(()) };
        let mut partial = BTreeSet::new();
        for tile in self.tiles.partial() {
            let name = tile.id.path(tile.width());
            if !self.partial.contains(&name) {
                files::write(&self.dir.join(&name), tile.at(tile.width()), 0o600)?;
            }
            partial.insert(name);
        }
        files::write(&self.dir.join(CHECKPOINT), &note, 0o600)?;
        for name in self.partial.difference(&partial) {
            let path = self.dir.join(name);
            fs::remove_file(&path).map_err(files::failed("remove", &path))?;
            if let Some(parent) = path.parent() {
                // Stays where other partial tiles of the same number lie in it.
                let _ = fs::remove_dir(parent);
            }
        }
        self.partial = partial;
        Ok(())
    }
}
