//! Reads entries in order, with their texts. Takes no lock: a running ledger can be read.
//!
//! A reader checks frames and order, not tree and signatures: that is [`crate::verify`].

use std::{collections::VecDeque, path::Path};

use crate::{
    LedgerError, TextRef,
    batch::{Batches, Item, Listing},
    entry,
    text::TextReader,
};

/// One entry as stored.
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// Canonical JSON.
    pub json: Vec<u8>,
    blobs: Vec<Vec<u8>>,
}

impl Entry {
    /// The texts beside this entry: member, reference.
    pub fn texts(&self) -> Result<Vec<(String, TextRef)>, LedgerError> {
        let fields = entry::parse(&self.json).map_err(LedgerError::entry)?;
        entry::texts(&fields).map_err(LedgerError::entry)
    }

    /// Decrypts the text of a member; None where the entry has no such text.
    ///
    /// # Errors
    ///
    /// [`LedgerError::TextGone`] when its key was destroyed, [`LedgerError::Key`] when the keys do not
    /// fit.
    pub fn text(&self, field: &str, keys: &TextReader) -> Result<Option<Vec<u8>>, LedgerError> {
        let texts = self.texts()?;
        let mut beside = texts.iter().zip(&self.blobs);
        match beside.find(|((name, _), _)| name == field) {
            Some(((_, text), blob)) => keys.read(text, blob).map(Some),
            None => Ok(None),
        }
    }
}

/// Iterates over the entries that are committed when it comes to them.
pub struct Reader {
    batches: Batches,
    ready: VecDeque<Item>,
    from: u64,
    failed: bool,
}

impl Reader {
    /// Reads the ledger in `dir` from entry `from` on.
    pub fn open(dir: &Path, from: u64) -> Result<Self, LedgerError> {
        let batches = Batches::new(dir, Listing::read(dir)?.segments, from);
        Ok(Self { batches, ready: VecDeque::new(), from, failed: false })
    }

    fn read(&mut self) -> Result<Option<Entry>, LedgerError> {
        loop {
            while let Some(Item { seq, json, blobs, .. }) = self.ready.pop_front() {
                if seq >= self.from {
                    return Ok(Some(Entry { seq, json, blobs }));
                }
            }
            match self.batches.next()? {
                Some(batch) => self.ready = batch.items.into(),
                None => return Ok(None),
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}
