//! Frames in a segment file: `length u32 | crc32c u32 | type u8 | payload`, numbers big-endian.
//!
//! The checksum covers length, type and payload, so that no byte of a frame is unguarded. It finds
//! accidents early and says where; what finds forgery is the tree.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use crate::{Broken, LedgerError, entry::MAX_TEXT_BYTES, files::failed, text::OVERHEAD_BYTES};

const HEADER_BYTES: usize = 9;

/// Longest payload: an encrypted text.
const MAX_PAYLOAD_BYTES: usize = MAX_TEXT_BYTES + OVERHEAD_BYTES;

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Signed checkpoint of everything before it: commits its batch.
    Checkpoint = b'C',
    /// Ciphertext of a text of the next entry.
    Blob = b'B',
    /// Canonical JSON of an entry.
    Entry = b'E',
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Checkpoint, Self::Blob, Self::Entry].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Appends a frame to `out`.
///
/// # Errors
///
/// [`LedgerError::Entry`] when the payload is longer than a frame may be.
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) -> Result<(), LedgerError> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_PAYLOAD_BYTES)
        .ok_or_else(|| LedgerError::entry("a frame is too long"))?
        .to_be_bytes();
    out.extend(length);
    out.extend(checksum(length, kind as u8, payload).to_be_bytes());
    out.push(kind as u8);
    out.extend_from_slice(payload);
    Ok(())
}

fn checksum(length: [u8; 4], kind: u8, payload: &[u8]) -> u32 {
    let [a, b, c, d] = length;
    crc32c::crc32c_append(crc32c::crc32c(&[a, b, c, d, kind]), payload)
}

/// One intact frame.
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
    /// Where it begins in the file.
    pub(crate) offset: u64,
}

/// What comes next in a segment.
pub(crate) enum Step {
    Frame(Frame),
    /// The file ends after a whole frame.
    End,
    /// The file ends within a frame, as a crash leaves it.
    Torn,
}

/// Reads the frames of one segment, up to the length it has when opened.
pub(crate) struct Frames {
    file: BufReader<File>,
    path: std::path::PathBuf,
    /// Where the next frame begins.
    offset: u64,
    length: u64,
}

impl Frames {
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        let file = File::open(path).map_err(failed("open", path))?;
        let length = file.metadata().map_err(failed("read", path))?.len();
        let file = BufReader::with_capacity(256 * 1024, file);
        Ok(Self { file, path: path.to_owned(), offset: 0, length })
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Broken`], with the offset, when the bytes are neither a frame nor a torn end.
    pub(crate) fn next(&mut self) -> Result<Step, LedgerError> {
        let left = self.length - self.offset;
        if left == 0 {
            return Ok(Step::End);
        }
        let mut header = [0; HEADER_BYTES];
        if left < HEADER_BYTES as u64 {
            return self.tail(true);
        }
        self.file.read_exact(&mut header).map_err(failed("read", &self.path))?;
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind] = header;
        let length = [l0, l1, l2, l3];
        let size = u64::from(u32::from_be_bytes(length));
        if size > MAX_PAYLOAD_BYTES as u64 {
            return self.tail(false);
        }
        if HEADER_BYTES as u64 + size > left {
            return self.tail(true);
        }
        let mut payload = Vec::new();
        self.file
            .by_ref()
            .take(size)
            .read_to_end(&mut payload)
            .map_err(failed("read", &self.path))?;
        if checksum(length, kind, &payload) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return self.tail(false);
        }
        let Some(kind) = Kind::of(kind) else {
            return Err(self.broken("unknown frame type"));
        };
        let offset = self.offset;
        self.offset += HEADER_BYTES as u64 + payload.len() as u64;
        Ok(Step::Frame(Frame { kind, payload, offset }))
    }

    /// Judges what is not a frame, from `offset` to the end of the file. A crash leaves the beginning
    /// of a frame (`short`: the file ends before the frame does), or zeros where the file system had
    /// lengthened the file but not yet written it. All else is damage; so is a frame that seems short
    /// only because its length was changed, which whole frames after it give away.
    fn tail(&mut self, short: bool) -> Result<Step, LedgerError> {
        // Of a live file: what came since it was opened belongs to nobody yet, and would end the frame.
        let left = self.length - self.offset;
        let most = left.min((HEADER_BYTES + MAX_PAYLOAD_BYTES) as u64);
        let mut rest = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.offset))
            .and_then(|_| self.file.by_ref().take(most).read_to_end(&mut rest))
            .map_err(failed("read", &self.path))?;
        let whole = rest.len() as u64 >= left;
        if whole && rest.iter().all(|byte| *byte == 0) {
            return Ok(Step::Torn);
        }
        if !short || holds_a_frame(&rest) {
            return Err(self.broken("crc mismatch"));
        }
        Ok(Step::Torn)
    }

    fn broken(&self, what: &str) -> LedgerError {
        Broken::new(what).offset(self.offset).into()
    }
}

/// Whether a whole frame begins anywhere after the first byte.
fn holds_a_frame(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|start| {
        let Some(([l0, l1, l2, l3, c0, c1, c2, c3, kind], rest)) =
            bytes.get(start..).and_then(|rest| rest.split_first_chunk::<HEADER_BYTES>())
        else {
            return false;
        };
        let length = [*l0, *l1, *l2, *l3];
        Kind::of(*kind).is_some()
            && rest.get(..u32::from_be_bytes(length) as usize).is_some_and(|payload| {
                checksum(length, *kind, payload) == u32::from_be_bytes([*c0, *c1, *c2, *c3])
            })
    })
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    #[test]
    fn a_frame_that_is_being_written_is_torn_though_more_comes_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live");
        let mut bytes = Vec::new();
        for payload in [b"first".as_slice(), b"second"] {
            put(&mut bytes, Kind::Entry, payload).unwrap();
        }
        for length in 0..bytes.len() {
            let (begun, rest) = bytes.split_at(length);
            std::fs::write(&path, begun).unwrap();
            let mut frames = Frames::open(&path).unwrap();
            OpenOptions::new().append(true).open(&path).unwrap().write_all(rest).unwrap();

            let whole = std::iter::from_fn(|| match frames.next().unwrap() {
                Step::Frame(frame) => Some(frame),
                Step::End | Step::Torn => None,
            });

            assert_eq!(whole.count(), usize::from(length >= HEADER_BYTES + 5), "{length}");
        }
    }
}
