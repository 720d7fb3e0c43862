//! An append-only, signed Merkle log in one directory: the gateway's memory of what it let happen.
//!
//! ```text
//!   append ──► queue ──► writer thread ── one write, one fdatasync ──► segments/<first seq>.seg
//!                            │  then every `done`                        (the truth)
//!                            ▼
//!                       publisher thread ── at most 2 s later ──► tile/…  checkpoint
//!                                                                 (derived: C2SP tlog-tiles)
//! ```
//!
//! A segment is a run of frames, `length | crc32c | type | payload`, in batches. Each batch ends with
//! the signed checkpoint of the log up to there, and what no checkpoint follows does not exist:
//!
//! ```text
//!   C  (B* E)+ C  (B* E)+ C  …        C checkpoint   B encrypted text of the next entry   E entry
//! ```
//!
//! # Rules
//!
//! - An entry is acknowledged only once its batch is on disk; a failed write or sync poisons the
//!   ledger, and every later append fails (fail closed).
//! - Every byte in the directory is either truth or derivable from it: [`verify`] and
//!   [`Ledger::open`] walk the same code and refuse any other byte, file or order. Recovery removes
//!   only what no checkpoint follows at the end of the last segment.
//! - Text that may hold personal data is encrypted under a key of its subject and day, kept outside
//!   the directory. The tree commits to the ciphertext, so destroying a key leaves the log verifiable.
//! - No socket, no async, no Python.
//!
//! # Sources
//!
//! - Merkle tree: RFC 6962, section 2.1; proofs: RFC 9162, sections 2.1.3 and 2.1.4
//! - Tiles: <https://c2sp.org/tlog-tiles>, checkpoint: <https://c2sp.org/tlog-checkpoint>,
//!   signature: <https://c2sp.org/signed-note>

mod batch;
mod check;
mod derived;
mod entry;
mod error;
mod files;
mod frame;
mod ledger;
mod note;
mod proof;
mod publisher;
mod reader;
mod refuse;
mod story;
mod text;
mod tile;
mod tiles;
mod tree;
mod verify;
mod writer;

pub use entry::{
    MAX_ENTRY_BYTES, MAX_TEXT_BYTES, NewEntry, Text, TextRef, timestamp, unix_seconds,
};
pub use error::{Broken, LedgerError};
pub use ledger::{
    DEFAULT_CHECKPOINT_AFTER, DEFAULT_SEGMENT_BYTES, Known, Ledger, Settings, Status,
};
pub use note::{Checkpoint, VerifyingKey};
pub use proof::{
    Nodes, consistency_proof, inclusion_proof, root_at, verify_consistency, verify_inclusion,
};
pub use reader::{Entry, Reader};
pub use text::{Kek, TextReader};
pub use tiles::TileDir;
pub use tree::{Frontier, Hash, empty_root, leaf_hash, node_hash};
pub use verify::{Report, verify};
