//! The batch as it goes out: nodes, buffers, and metadata that says where they lie.

use arrow_ipc::{
    Buffer, FieldNode, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder,
    convert::IpcSchemaEncoder,
};
use arrow_schema::Schema;

use super::{
    frame,
    schema::{Layout, Offsets},
};
use crate::{
    error::MaskError,
    text::{Keep, STARS},
};

/// Buffers start at multiples of this (Arrow, "Encapsulated message format").
const ALIGNMENT: usize = 8;

/// A body in the making. Nothing is copied before all of it is known to fit.
#[derive(Debug)]
pub(super) struct Body<'a> {
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    parts: Vec<Part<'a>>,
    bytes: usize,
    limit_bytes: usize,
}

/// The content of a buffer.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Of a clear column.
    Copied(&'a [u8]),
    /// Of a masked one.
    Made(Vec<u8>),
    /// Of a masked one: so many zeros.
    Zeros(usize),
}

impl Part<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Copied(bytes) => bytes.len(),
            Self::Made(bytes) => bytes.len(),
            Self::Zeros(length) => *length,
        }
    }
}

impl<'a> Body<'a> {
    /// An empty body that may grow to this size.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { nodes: vec![], buffers: vec![], parts: vec![], bytes: 0, limit_bytes }
    }

    /// Adds a node.
    pub(super) fn node(&mut self, rows: usize, nulls: usize) -> Result<(), MaskError> {
        self.nodes.push(FieldNode::new(self.number(rows)?, self.number(nulls)?));
        Ok(())
    }

    /// Adds a buffer.
    pub(super) fn buffer(&mut self, part: Part<'a>) -> Result<(), MaskError> {
        let (start, length) = (self.number(self.bytes)?, self.number(part.len())?);
        self.bytes = part
            .len()
            .checked_next_multiple_of(ALIGNMENT)
            .and_then(|padded| self.bytes.checked_add(padded))
            .filter(|bytes| *bytes <= self.limit_bytes)
            .ok_or(self.too_long())?;
        self.buffers.push(Buffer::new(start, length));
        self.parts.push(part);
        Ok(())
    }

    /// Adds a column of NULLs.
    pub(super) fn nulls(&mut self, layout: &Layout, rows: usize) -> Result<(), MaskError> {
        self.zeros(layout, rows, rows)
    }

    /// Adds a column of zeros, of which all are NULL or none is. Children are never NULL: no reader
    /// looks at them, and their fields may not allow it.
    fn zeros(&mut self, layout: &Layout, rows: usize, nulls: usize) -> Result<(), MaskError> {
        if *layout == Layout::Null {
            return self.node(rows, rows);
        }
        self.node(rows, nulls)?;
        self.buffer(Part::Zeros(if nulls == 0 { 0 } else { rows.div_ceil(8) }))?;
        match layout {
            Layout::Null => Ok(()),
            Layout::Bits => self.buffer(Part::Zeros(rows.div_ceil(8))),
            Layout::Fixed(width) => self.buffer(Part::Zeros(self.product(rows, *width)?)),
            Layout::Bytes { offsets, .. } => {
                self.zero_offsets(*offsets, rows)?;
                self.buffer(Part::Zeros(0))
            }
            Layout::List { offsets, child } => {
                self.zero_offsets(*offsets, rows)?;
                self.zeros(child, 0, 0)
            }
            Layout::FixedList { size, child } => self.zeros(child, self.product(rows, *size)?, 0),
            Layout::Struct(children) => {
                children.iter().try_for_each(|child| self.zeros(child, rows, 0))
            }
        }
    }

    fn zero_offsets(&mut self, offsets: Offsets, rows: usize) -> Result<(), MaskError> {
        self.buffer(Part::Zeros(self.product(rows.saturating_add(1), offsets.width())?))
    }

    /// Adds a column of stars.
    pub(super) fn stars(&mut self, offsets: Offsets, rows: usize) -> Result<(), MaskError> {
        // Measured before it is made.
        if self.product(rows, STARS.len() + offsets.width())? > self.limit_bytes {
            return Err(self.too_long());
        }
        let mut texts = self.texts(offsets, rows);
        (0..rows).try_for_each(|_| texts.push_stars())?;
        texts.finish()
    }

    /// Starts a column of texts, which is added once it is finished.
    pub(super) fn texts(&mut self, offsets: Offsets, rows: usize) -> Texts<'_, 'a> {
        Texts {
            body: self,
            width: offsets,
            validity: vec![0; rows.div_ceil(8)],
            offsets: Vec::with_capacity(rows.saturating_add(1).saturating_mul(offsets.width())),
            data: Vec::with_capacity(rows.saturating_mul(STARS.len())),
            rows: 0,
            nulls: 0,
        }
    }

    /// Writes the message.
    pub(super) fn write(self, rows: i64, out: &mut Vec<u8>) -> Result<(), MaskError> {
        // The encoder of schemas is where arrow-ipc gives away a builder.
        let mut builder = IpcSchemaEncoder::new().schema_to_fb(&Schema::empty());
        builder.reset();
        let nodes = builder.create_vector(&self.nodes);
        let buffers = builder.create_vector(&self.buffers);
        let mut batch = RecordBatchBuilder::new(&mut builder);
        batch.add_length(rows);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        let batch = batch.finish();
        let mut message = MessageBuilder::new(&mut builder);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(MessageHeader::RecordBatch);
        message.add_bodyLength(self.number(self.bytes)?);
        message.add_header(batch.as_union_value());
        let message = message.finish();
        builder.finish(message, None);

        frame::write_metadata(builder.finished_data(), out)?;
        out.reserve(self.bytes);
        for part in &self.parts {
            match part {
                Part::Copied(bytes) => out.extend_from_slice(bytes),
                Part::Made(bytes) => out.extend_from_slice(bytes),
                Part::Zeros(length) => out.resize(out.len() + length, 0),
            }
            let padding = part.len().next_multiple_of(ALIGNMENT) - part.len();
            out.resize(out.len() + padding, 0);
        }
        Ok(())
    }

    fn number(&self, count: usize) -> Result<i64, MaskError> {
        i64::try_from(count).map_err(|_| self.too_long())
    }

    fn product(&self, a: usize, b: usize) -> Result<usize, MaskError> {
        a.checked_mul(b).ok_or(self.too_long())
    }

    fn too_long(&self) -> MaskError {
        MaskError::TooLong { limit_bytes: self.limit_bytes }
    }
}

/// A column of texts in the making. Its rows were counted in a column that came, so that it cannot be
/// much larger than that.
#[derive(Debug)]
pub(super) struct Texts<'b, 'a> {
    body: &'b mut Body<'a>,
    width: Offsets,
    validity: Vec<u8>,
    offsets: Vec<u8>,
    data: Vec<u8>,
    rows: usize,
    nulls: usize,
}

impl Texts<'_, '_> {
    pub(super) fn push_null(&mut self) -> Result<(), MaskError> {
        self.nulls += 1;
        self.end_of_last()?;
        self.rows += 1;
        Ok(())
    }

    pub(super) fn push_stars(&mut self) -> Result<(), MaskError> {
        self.push(&[STARS])
    }

    /// Adds what is kept of a text.
    pub(super) fn push_ends(&mut self, text: &str, keep: Keep) -> Result<(), MaskError> {
        match keep.cut(text).and_then(|(head, tail)| Some((text.get(..head)?, text.get(tail..)?))) {
            Some((head, tail)) => self.push(&[head, STARS, tail]),
            None => self.push_stars(),
        }
    }

    fn push(&mut self, parts: &[&str]) -> Result<(), MaskError> {
        self.end_of_last()?;
        for part in parts {
            self.data.extend_from_slice(part.as_bytes());
        }
        if let Some(byte) = self.validity.get_mut(self.rows / 8) {
            *byte |= 1 << (self.rows % 8);
        }
        self.rows += 1;
        Ok(())
    }

    /// Writes where the last text ended and the next one starts.
    fn end_of_last(&mut self) -> Result<(), MaskError> {
        let end = self.data.len();
        match self.width {
            Offsets::Four => {
                let end = i32::try_from(end).map_err(|_| self.body.too_long())?;
                self.offsets.extend_from_slice(&end.to_le_bytes());
            }
            Offsets::Eight => self.offsets.extend_from_slice(&self.body.number(end)?.to_le_bytes()),
        }
        Ok(())
    }

    /// Adds the column to the body.
    pub(super) fn finish(mut self) -> Result<(), MaskError> {
        self.end_of_last()?;
        self.body.node(self.rows, self.nulls)?;
        self.body.buffer(if self.nulls == 0 {
            Part::Zeros(0)
        } else {
            Part::Made(self.validity)
        })?;
        self.body.buffer(Part::Made(self.offsets))?;
        self.body.buffer(Part::Made(self.data))
    }
}
