//! Reads a ledger's segments batch by batch: the order of frames, and where the log ends.
//!
//! Only batches closed by a checkpoint come out. What follows the last one is the [`Tail`].

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Broken, LedgerError,
    files::{UNFINISHED, failed},
    frame::{Frame, Frames, Kind, Step},
};

/// Directory of the segments, below the ledger directory.
pub(crate) const SEGMENTS: &str = "segments";

/// Name below the ledger directory of the segment whose first entry is `first`.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{SEGMENTS}/{first:020}.seg")
}

/// One entry with its ciphertexts, as stored.
pub(crate) struct Item {
    pub(crate) seq: u64,
    pub(crate) json: Vec<u8>,
    pub(crate) blobs: Vec<Vec<u8>>,
    /// Where its frame begins in its segment.
    pub(crate) offset: u64,
}

/// Entries that became durable together.
pub(crate) struct Batch {
    /// Empty for the checkpoint that opens a segment.
    pub(crate) items: Vec<Item>,
    /// The signed checkpoint that closes it.
    pub(crate) note: Vec<u8>,
    /// Where the checkpoint begins in the segment.
    pub(crate) offset: u64,
    /// Segment, below the ledger directory.
    pub(crate) file: String,
}

/// The end of the last segment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tail {
    pub(crate) file: String,
    /// Bytes up to and with the last checkpoint.
    pub(crate) committed_bytes: u64,
    /// Bytes of a batch that was never closed; they do not count.
    pub(crate) uncommitted_bytes: u64,
}

/// The segments of a ledger, in order, and files there that are still being written.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) segments: VecDeque<u64>,
    pub(crate) unfinished: Vec<String>,
}

impl Listing {
    /// # Errors
    ///
    /// [`LedgerError::Broken`] for a file that is no segment.
    pub(crate) fn read(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join(SEGMENTS);
        let mut listing = Self::default();
        for file in fs::read_dir(&path).map_err(failed("list", &path))? {
            let file = file.map_err(failed("list", &path))?;
            let name = format!("{SEGMENTS}/{}", file.file_name().to_string_lossy());
            let whole = name.strip_suffix(UNFINISHED).unwrap_or(&name);
            let first = whole
                .strip_prefix("segments/")
                .and_then(|name| name.strip_suffix(".seg"))
                .and_then(|digits| digits.parse::<u64>().ok())
                .filter(|first| segment_name(*first) == whole);
            match first {
                Some(first) if file.file_type().is_ok_and(|kind| kind.is_file()) => {
                    if whole == name {
                        listing.segments.push_back(first);
                    } else {
                        listing.unfinished.push(name);
                    }
                }
                _ => return Err(Broken::new("unexpected file").file(&name).into()),
            }
        }
        listing.segments.make_contiguous().sort_unstable();
        Ok(listing)
    }
}

/// The segment being read.
struct Open {
    frames: Frames,
    file: String,
    committed_bytes: u64,
}

/// Reads batches.
pub(crate) struct Batches {
    dir: PathBuf,
    left: VecDeque<u64>,
    open: Option<Open>,
    next_seq: u64,
    tail: Tail,
}

impl Batches {
    /// Reads the listed segments from the one that holds entry `from`.
    pub(crate) fn new(dir: &Path, mut left: VecDeque<u64>, from: u64) -> Self {
        while left.get(1).is_some_and(|second| *second <= from) {
            left.pop_front();
        }
        let next_seq = if from == 0 { 0 } else { left.front().copied().unwrap_or(0) };
        Self { dir: dir.to_owned(), left, open: None, next_seq, tail: Tail::default() }
    }

    /// Where the log ends; of meaning once [`Self::next`] has said that it does.
    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The next batch, or None at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, LedgerError> {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.left.pop_front() {
                    Some(first) => self.enter(first)?,
                    None => return Ok(None),
                },
            };
            if let Some(batch) = self.read(&mut open)? {
                self.open = Some(open);
                return Ok(Some(batch));
            }
            self.tail = Tail {
                committed_bytes: open.committed_bytes,
                uncommitted_bytes: open.frames.length() - open.committed_bytes,
                file: open.file,
            };
            if self.tail.uncommitted_bytes > 0 && !self.left.is_empty() {
                let broken = Broken::new("segment ends within a batch, and others follow");
                let at = self.tail.committed_bytes;
                return Err(broken.file(&self.tail.file).offset(at).seq(self.next_seq).into());
            }
        }
    }

    fn enter(&self, first: u64) -> Result<Open, LedgerError> {
        let file = segment_name(first);
        if first != self.next_seq {
            let what = format!("segment begins at entry {first}, but {} is due", self.next_seq);
            return Err(Broken::new(what).file(&file).seq(self.next_seq).into());
        }
        let frames = Frames::open(&self.dir.join(&file))?;
        Ok(Open { frames, file, committed_bytes: 0 })
    }

    /// Reads up to the next checkpoint; None where there is no further one in the segment.
    fn read(&mut self, open: &mut Open) -> Result<Option<Batch>, LedgerError> {
        let (mut items, mut blobs) = (Vec::new(), Vec::new());
        let opening = open.committed_bytes == 0;
        loop {
            let seq = self.next_seq + items.len() as u64;
            let place = |broken: Broken| broken.file(&open.file).seq(seq);
            let step = open.frames.next().map_err(|error| match error {
                LedgerError::Broken(broken) => place(broken).into(),
                other => other,
            })?;
            let Frame { kind, payload, offset } = match step {
                Step::Frame(frame) => frame,
                // A segment gets its name together with the checkpoint that opens it.
                Step::End | Step::Torn if opening => {
                    let broken = Broken::new("segment does not begin with a checkpoint");
                    return Err(place(broken).offset(0).into());
                }
                Step::End | Step::Torn => return Ok(None),
            };
            let misplaced = |what: &str| Err(place(Broken::new(what)).offset(offset).into());
            match kind {
                Kind::Blob if !opening => blobs.push(payload),
                Kind::Entry if !opening => {
                    let blobs = std::mem::take(&mut blobs);
                    items.push(Item { seq, json: payload, blobs, offset });
                }
                Kind::Checkpoint if !blobs.is_empty() => {
                    return misplaced("text without an entry");
                }
                Kind::Checkpoint if opening != items.is_empty() => {
                    return misplaced("checkpoint without entries");
                }
                Kind::Checkpoint => {
                    open.committed_bytes = open.frames.offset();
                    self.next_seq = seq;
                    let file = open.file.clone();
                    return Ok(Some(Batch { items, note: payload, offset, file }));
                }
                _ => return misplaced("segment does not begin with a checkpoint"),
            }
        }
    }
}
