//! The one thread that writes segments: group commit.
//!
//! Takes all entries that wait, writes them and the checkpoint that closes them in one write, syncs
//! once, and only then says `done`. Entries that come meanwhile form the next batch. An entry that
//! nobody waits for lies until another takes it along, [`LATER`] at most: a statement then costs one
//! sync, not two.

use std::{
    fs::File,
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::{
    LedgerError, NewEntry,
    batch::segment_name,
    entry, files,
    frame::{self, Kind},
    ledger::{Done, Shared},
    note::Signer,
    publisher::Committed,
    story::Story,
    text::TextKeys,
    tree::{Frontier, Hash, leaf_hash},
};

/// Bytes after which a batch is closed although more entries wait: about 10 ms of writing.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Longest time an entry that nobody waits for lies in memory. Long beside a sync, short beside the
/// time in which anybody looks for it.
const LATER: Duration = Duration::from_millis(20);

/// When an entry has to be on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pace {
    /// Somebody waits for it.
    Now,
    /// Nobody does; see [`LATER`].
    Later,
}

/// What the writer is asked.
pub(crate) enum Message {
    Append(NewEntry, Done, Pace),
    /// Write what came before, and end.
    Close,
}

/// The writer's state, as recovery left it.
pub(crate) struct Writer {
    pub(crate) dir: PathBuf,
    pub(crate) file: File,
    /// Bytes in the current segment.
    pub(crate) length: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) tree: Frontier,
    pub(crate) story: Story,
    pub(crate) last_time: String,
    /// The last checkpoint written.
    pub(crate) note: Vec<u8>,
    pub(crate) keys: TextKeys,
    pub(crate) signer: Signer,
    pub(crate) shared: Arc<Shared>,
    pub(crate) publisher: SyncSender<Committed>,
}

/// A batch being put together.
#[derive(Default)]
struct Draft {
    bytes: Vec<u8>,
    entries: Vec<(Vec<u8>, Hash)>,
    done: Vec<(Done, u64)>,
}

impl Writer {
    /// Writes until told to close, or until every handle is gone.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        let mut closing = false;
        while !closing {
            let mut draft = Draft::default();
            let mut due: Option<Instant> = None;
            while draft.bytes.len() < BATCH_BYTES {
                let next = match due {
                    None => messages.recv().map_err(RecvTimeoutError::from),
                    Some(due) => {
                        messages.recv_timeout(due.saturating_duration_since(Instant::now()))
                    }
                };
                match next {
                    Ok(Message::Append(entry, done, pace)) => {
                        let latest = match pace {
                            Pace::Now => Instant::now(),
                            Pace::Later => Instant::now() + LATER,
                        };
                        due = Some(due.map_or(latest, |due| due.min(latest)));
                        self.take(entry, done, &mut draft);
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => {
                        closing = true;
                        break;
                    }
                }
            }
            self.commit(draft);
        }
    }

    /// Adds an entry to the batch, or refuses it.
    fn take(&mut self, new: NewEntry, done: Done, draft: &mut Draft) {
        let before = draft.bytes.len();
        match self.shared.check().and_then(|()| self.encode(new, &mut draft.bytes)) {
            Ok(entry) => {
                let leaf = leaf_hash(&entry);
                draft.done.push((done, self.tree.size()));
                draft.entries.push((entry, leaf));
                self.tree.push(leaf);
            }
            Err(error) => {
                draft.bytes.truncate(before);
                done.call(Err(error));
            }
        }
    }

    /// Appends the frames of an entry and its texts to `out`.
    fn encode(&mut self, new: NewEntry, out: &mut Vec<u8>) -> Result<Vec<u8>, LedgerError> {
        new.check()?;
        let NewEntry { kind, mut fields, mut texts } = new;
        let seq = self.tree.size();
        // A clock set back must not reorder the log: time stands still until it has caught up.
        let time = entry::timestamp(SystemTime::now()).max(self.last_time.clone());
        let day = time.get(..10).unwrap_or_default();
        // Blobs lie in the order of their members, which is how the reader pairs them.
        texts.sort_by(|one, other| one.field.cmp(&other.field));
        for text in texts {
            let (reference, blob) = self.keys.seal(&text, day)?;
            let reference = serde_json::to_value(reference)
                .map_err(|_| LedgerError::entry("its texts cannot be referred to"))?;
            fields.insert(text.field, reference);
            frame::put(out, Kind::Blob, &blob)?;
        }
        let part = self.story.admit(&kind, &fields).map_err(LedgerError::entry)?;
        let json = entry::render(seq, &time, kind, fields)?;
        frame::put(out, Kind::Entry, &json)?;
        self.story.take(seq, part);
        self.last_time = time;
        Ok(json)
    }

    /// Makes the batch durable and says so. A failure poisons the ledger: what is on disk is unknown,
    /// and a retried sync may claim what the first one lost.
    fn commit(&mut self, draft: Draft) {
        let Draft { bytes, entries, done } = draft;
        if entries.is_empty() {
            return;
        }
        match self.write(bytes) {
            Ok(()) => {
                self.shared.advance(self.tree.size(), self.tree.root());
                for (done, seq) in done {
                    done.call(Ok(seq));
                }
                // A publisher that is gone has poisoned the ledger already.
                let _ = self.publisher.send(Committed { entries, note: self.note.clone() });
            }
            Err(error) => {
                let poisoned = self.shared.poison(&error);
                for (done, _) in done {
                    done.call(Err(poisoned.clone()));
                }
            }
        }
    }

    fn write(&mut self, mut bytes: Vec<u8>) -> Result<(), LedgerError> {
        if self.length >= self.segment_bytes {
            let first = self.shared.status().size;
            (self.file, self.length) = open_segment(&self.dir, first, &self.note)?;
        }
        let note = self.signer.sign(self.tree.size(), self.tree.root())?;
        frame::put(&mut bytes, Kind::Checkpoint, &note)?;
        let path = &self.dir;
        self.file.write_all(&bytes).map_err(files::failed("write a segment in", path))?;
        self.file.sync_data().map_err(files::failed("sync a segment in", path))?;
        self.length += bytes.len() as u64;
        self.note = note;
        Ok(())
    }
}

/// Begins the segment whose first entry is `first` with the checkpoint of all before it, and gives the
/// file, ready to append, with its length.
pub(crate) fn open_segment(
    dir: &std::path::Path,
    first: u64,
    note: &[u8],
) -> Result<(File, u64), LedgerError> {
    let mut opening = Vec::new();
    frame::put(&mut opening, Kind::Checkpoint, note)?;
    let file = files::write(&dir.join(segment_name(first)), &opening, 0o600)?;
    Ok((file, opening.len() as u64))
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, sync::mpsc};

    use serde_json::Map;

    use super::*;
    use crate::Kek;

    /// A writer whose segment can be read only, as a full or failed disk would have it.
    fn broken_writer(dir: &std::path::Path) -> (Writer, Receiver<Committed>) {
        let signer = Signer::create(&dir.join("key"), "snowgate/gw").unwrap();
        let tree = Frontier::default();
        let note = signer.sign(0, tree.root()).unwrap();
        let (_, length) = open_segment(dir, 0, &note).unwrap();
        let file = OpenOptions::new().read(true).open(dir.join(segment_name(0))).unwrap();
        let (publisher, batches) = mpsc::sync_channel(1);
        let kek = Kek::from_root(&[7; 32]).unwrap();
        let writer = Writer {
            dir: dir.to_owned(),
            file,
            length,
            segment_bytes: u64::MAX,
            shared: Arc::new(Shared::new(0, tree.root())),
            tree,
            story: Story::default(),
            last_time: String::new(),
            note,
            keys: TextKeys::open(&dir.join("keys"), &kek).unwrap(),
            signer,
            publisher,
        };
        (writer, batches)
    }

    fn append(writer: &mut Writer) -> Result<u64, LedgerError> {
        let (sender, receiver) = mpsc::channel();
        let new = NewEntry { kind: "heartbeat".into(), fields: Map::new(), texts: Vec::new() };
        let done =
            Done::new(&writer.shared, 1, Box::new(move |result| sender.send(result).unwrap()));
        let mut draft = Draft::default();
        writer.take(new, done, &mut draft);
        writer.commit(draft);
        receiver.recv().unwrap()
    }

    #[test]
    fn a_write_that_fails_poisons_the_ledger_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, batches) = broken_writer(dir.path());

        let first = append(&mut writer).unwrap_err();
        writer.file =
            OpenOptions::new().append(true).open(dir.path().join(segment_name(0))).unwrap();
        let second = append(&mut writer).unwrap_err();

        assert!(first.to_string().contains("cannot write a segment in"), "{first}");
        assert_eq!(first, second);
        assert_eq!(writer.shared.status().size, 0);
        assert!(batches.try_recv().is_err());
    }

    #[test]
    fn time_stands_still_while_the_clock_is_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _batches) = broken_writer(dir.path());
        let ahead = "2999-01-01T00:00:00.000000Z";
        writer.last_time = ahead.to_owned();
        let new = NewEntry { kind: "heartbeat".into(), fields: Map::new(), texts: Vec::new() };

        let json = writer.encode(new, &mut Vec::new()).unwrap();

        assert!(String::from_utf8(json).unwrap().contains(ahead));
    }
}
