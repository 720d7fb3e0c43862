//! Masks an Arrow IPC stream, message by message.
//!
//! ```text
//!   ┌ ffffffff, length, metadata, body ┐ … ┌ ffffffff, 0 ┐
//!   frame ──► schema ──► layouts          (once)
//!         └─► batch  ──► metadata written anew, body: clear buffers copied, masked ones made
//! ```
//!
//! Nothing is decoded into arrays: a batch is a list of buffers in the order the schema dictates, so
//! a clear column is copied buffer by buffer, and a masked one is made from its type and the number
//! of rows. Metadata is never copied, it is written from what was understood (F19).
//!
//! Between two calls at most one unfinished message is held.

mod batch;
mod body;
mod frame;
mod schema;

use arrow_ipc::MessageHeader;

use self::{frame::Frame, schema::Columns};
use crate::{error::MaskError, plan::MaskPlan};

/// Largest message the gate holds. Snowflake cuts results into chunks of some ten megabytes.
pub const DEFAULT_MESSAGE_LIMIT_BYTES: usize = 256 << 20;

/// Masks a whole stream and appends it to `out`. Returns the number of rows. No bytes at all, as
/// Snowflake sends for an inline result without rows, stay no bytes.
///
/// On an error `out` is as before.
///
/// # Errors
///
/// [`MaskError::NotArrow`] or [`MaskError::Unsupported`] when it is not such a stream,
/// [`MaskError::ColumnCount`] when its schema and the plan differ in width.
pub fn mask_arrow_stream(
    plan: &MaskPlan,
    stream: &[u8],
    out: &mut Vec<u8>,
) -> Result<u64, MaskError> {
    let start = out.len();
    let mut masker = ArrowStreamMasker::new(plan);
    let rows = masker.push(stream, out).and_then(|()| masker.finish(out));
    if rows.is_err() {
        out.truncate(start);
    }
    rows
}

/// How much larger a masked body may be than the limit of messages. What grows most is a column of
/// short texts, four bytes of offset each, to which three stars are added; the rest is for padding.
const GROWTH: usize = 4;

/// Masks a stream as its bytes arrive.
///
/// Memory: at most one message and the masked columns of one batch, four times the message limit.
#[derive(Debug)]
pub struct ArrowStreamMasker {
    plan: MaskPlan,
    message_limit_bytes: usize,
    state: State,
    /// The start of a message, and the length it must have before it is looked at again.
    ///
    /// Invariant: `held` is empty or shorter than `needed`.
    held: Vec<u8>,
    needed: usize,
    rows: u64,
}

#[derive(Debug)]
enum State {
    Start,
    Batches(Columns),
    Ended,
    Failed,
}

/// What became of the bytes at hand.
enum Step {
    /// This many made a whole message.
    Taken(usize),
    /// They are fewer than this many.
    Short(usize),
}

impl ArrowStreamMasker {
    /// A masker at the start of a stream.
    pub fn new(plan: &MaskPlan) -> Self {
        Self {
            plan: plan.clone(),
            message_limit_bytes: DEFAULT_MESSAGE_LIMIT_BYTES,
            state: State::Start,
            held: Vec::new(),
            needed: 0,
            rows: 0,
        }
    }

    /// Sets the largest body of a message that may be held, in bytes.
    #[must_use]
    pub fn with_message_limit(mut self, bytes: usize) -> Self {
        self.message_limit_bytes = bytes;
        self
    }

    /// Takes the next bytes, cut anywhere, and appends what is masked of them to `out`.
    ///
    /// # Errors
    ///
    /// As [`mask_arrow_stream`], and [`MaskError::TooLong`]. The stream is then lost.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
        if matches!(self.state, State::Failed) {
            return Err(MaskError::GivenUp);
        }
        let result = self.take(bytes, out);
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// Ends the stream and appends its end mark to `out`. Returns the number of rows. A stream that
    /// ends between two messages without a mark of its own is whole (Arrow, "IPC Streaming Format").
    ///
    /// # Errors
    ///
    /// [`MaskError::NotArrow`] when the stream ends within a message.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<u64, MaskError> {
        match self.state {
            State::Failed => return Err(MaskError::GivenUp),
            _ if !self.held.is_empty() => {
                return Err(MaskError::NotArrow { reason: "the stream ends within a message" });
            }
            State::Start => {}
            State::Batches(_) | State::Ended => frame::write_end(out),
        }
        Ok(self.rows)
    }

    fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
        while !bytes.is_empty() {
            if self.held.is_empty() {
                match self.message(bytes, out)? {
                    Step::Taken(length) => bytes = bytes.get(length..).unwrap_or_default(),
                    Step::Short(needed) => {
                        self.needed = needed;
                        self.held.extend_from_slice(bytes);
                        return Ok(());
                    }
                }
                continue;
            }
            let missing = self.needed.saturating_sub(self.held.len());
            let (more, rest) = bytes.split_at(missing.min(bytes.len()));
            self.held.extend_from_slice(more);
            bytes = rest;
            if self.held.len() >= self.needed {
                let mut held = std::mem::take(&mut self.held);
                match self.message(&held, out)? {
                    Step::Taken(_) => held.clear(),
                    Step::Short(needed) => self.needed = needed,
                }
                self.held = held;
            }
        }
        Ok(())
    }

    /// Masks the message at the start of `bytes`, once it is whole.
    fn message(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Step, MaskError> {
        if matches!(self.state, State::Ended) {
            return Err(MaskError::NotArrow { reason: "bytes follow the end of the stream" });
        }
        let (message, body, length) = match frame::next(bytes, self.message_limit_bytes)? {
            Frame::Short { needed } => return Ok(Step::Short(needed)),
            Frame::End { length } => {
                if matches!(self.state, State::Start) {
                    return Err(MaskError::NotArrow { reason: "the stream has no schema" });
                }
                self.state = State::Ended;
                return Ok(Step::Taken(length));
            }
            Frame::Message { message, body, length } => (message, body, length),
        };
        match (message.header_type(), &self.state) {
            (MessageHeader::Schema, State::Start) if body.is_empty() => {
                let columns = Columns::read(message, &self.plan, out)?;
                self.state = State::Batches(columns);
            }
            (MessageHeader::RecordBatch, State::Batches(columns)) => {
                let limit = self.message_limit_bytes.saturating_mul(GROWTH);
                self.rows += batch::mask(message, body, columns, limit, out)?;
            }
            (MessageHeader::DictionaryBatch, _) => {
                return Err(MaskError::Unsupported { feature: "a dictionary" });
            }
            _ => return Err(MaskError::NotArrow { reason: "a message is out of place" }),
        }
        Ok(Step::Taken(length))
    }
}
