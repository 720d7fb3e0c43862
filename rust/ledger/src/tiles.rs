//! Hashes of a log from its published tiles: what proofs are made of.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    Broken, Checkpoint, LedgerError, VerifyingKey,
    files::failed,
    proof::{Nodes, inclusion_proof},
    tile::{Kind, TileId, WIDTH},
    tree::{Frontier, Hash},
};

/// Tiles kept in memory; one proof needs a few dozen at most.
const KEPT_TILES: usize = 64;

/// The tiles of a ledger directory, as of its checkpoint.
///
/// What is read here is not checked against the tree: the proofs made of it are, by whoever verifies
/// them.
pub struct TileDir {
    dir: PathBuf,
    checkpoint: Checkpoint,
    note: Vec<u8>,
    kept: Mutex<HashMap<TileId, Vec<Hash>>>,
}

impl TileDir {
    /// Opens the tiles of a ledger whose checkpoint `key` signed.
    pub fn open(dir: impl Into<PathBuf>, key: &VerifyingKey) -> Result<Self, LedgerError> {
        let dir = dir.into();
        let path = dir.join("checkpoint");
        let note = fs::read(&path).map_err(failed("read", &path))?;
        let checkpoint = Checkpoint::open(&note, key)?;
        Ok(Self { dir, checkpoint, note, kept: Mutex::default() })
    }

    /// The checkpoint that proofs lead to.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The checkpoint as signed.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// Proof that the entry `index` is in the log, for whoever has the entry and the verifier key: text
    /// of the form C2SP tlog-proof, with the checkpoint in it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Proof`] when the published log has no such entry.
    pub fn prove(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let mut text = format!("c2sp.org/tlog-proof@v1\nindex {index}\n");
        for hash in inclusion_proof(self, index, self.checkpoint.size)? {
            text += &BASE64_STANDARD.encode(hash);
            text.push('\n');
        }
        text.push('\n');
        Ok([text.as_bytes(), &self.note].concat())
    }

    fn read(&self, id: TileId) -> Result<Vec<Hash>, LedgerError> {
        let width = id.width_at(self.checkpoint.size);
        let name = id.path(width);
        let path = self.dir.join(&name);
        let bytes = match fs::read(&path) {
            // Once a tile is full, its partial forms go (tlog-tiles, "Partial Tiles").
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::read(self.dir.join(id.path(WIDTH)))
            }
            read => read,
        }
        .map_err(failed("read", &path))?;
        let (hashes, rest) = bytes.as_chunks();
        if hashes.len() < width || !rest.is_empty() {
            return Err(Broken::new("tile has another width than its name").file(&name).into());
        }
        Ok(hashes.to_vec())
    }
}

impl Nodes for TileDir {
    fn size(&self) -> u64 {
        self.checkpoint.size
    }

    fn node(&self, height: u32, index: u64) -> Result<Hash, LedgerError> {
        let (level, within) = (height / 8, height % 8);
        let first = index << within;
        let id = TileId { kind: Kind::Hashes(level), index: first / WIDTH as u64 };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.contains_key(&id) {
            if kept.len() >= KEPT_TILES {
                kept.clear();
            }
            kept.insert(id, self.read(id)?);
        }
        let start = usize::try_from(first % WIDTH as u64).unwrap_or(WIDTH);
        kept.get(&id)
            .and_then(|tile| tile.get(start..start + (1 << within)))
            .map(|hashes| hashes.iter().copied().collect::<Frontier>().root())
            .ok_or(LedgerError::Proof { reason: "the published tree is too small" })
    }
}
