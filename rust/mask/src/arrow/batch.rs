//! One record batch: a list of nodes and a list of buffers, in the order of the schema.
//!
//! A buffer of a clear column is copied as far as its rows reach. What a masked column replaces is
//! measured before: a batch that lies about its size ends the stream, whatever the mask, and so no
//! batch makes us write much more than it brought along.
//!
//! Source: Arrow, "`RecordBatch` message".

use std::vec::IntoIter;

use arrow_ipc::{Buffer, FieldNode, Message};

use super::{
    body::{Body, Part},
    schema::{Columns, Layout, Offsets},
};
use crate::{error::MaskError, plan::Show, text::Keep};

/// Masks the batch of `message`, whose masked body may have `limit_bytes` at most, and appends it to
/// `out`. Returns its number of rows.
pub(super) fn mask(
    message: Message,
    body: &[u8],
    columns: &Columns,
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<u64, MaskError> {
    let batch = message.header_as_record_batch().ok_or(NO_BATCH)?;
    if batch.compression().is_some() {
        return Err(MaskError::Unsupported { feature: "compression of buffers" });
    }
    let nodes: Vec<FieldNode> = batch.nodes().into_iter().flatten().copied().collect();
    let buffers: Vec<Buffer> = batch.buffers().into_iter().flatten().copied().collect();
    let mut source =
        Source { body, nodes: nodes.into_iter(), buffers: buffers.into_iter(), end_of_last: 0 };
    let mut masked = Body::new(limit_bytes);

    let rows = count(batch.length())?;
    for (layout, show) in columns.iter() {
        let found = match (show, layout) {
            (Show::Clear, _) => source.column(layout, Some(&mut masked))?,
            (Show::Ends(keep), Layout::Bytes { offsets, .. }) => {
                source.ends(*keep, *offsets, &mut masked)?
            }
            (Show::Stars, Layout::Bytes { offsets, .. }) => {
                let found = source.column(layout, None)?;
                masked.stars(*offsets, found)?;
                found
            }
            _ => {
                let found = source.column(layout, None)?;
                masked.nulls(layout, found)?;
                found
            }
        };
        if found != rows {
            return Err(UNEQUAL);
        }
    }
    if source.nodes.next().is_some() || source.buffers.next().is_some() {
        return Err(MaskError::NotArrow { reason: "a batch has more columns than its schema" });
    }
    masked.write(batch.length(), out)?;
    Ok(rows as u64)
}

const NO_BATCH: MaskError = MaskError::NotArrow { reason: "a batch has no content" };
const FEW: MaskError = MaskError::NotArrow { reason: "a batch has fewer columns than its schema" };
const UNEQUAL: MaskError = MaskError::NotArrow { reason: "a column is not as long as its batch" };
const SHORT: MaskError = MaskError::NotArrow { reason: "a buffer is shorter than its rows" };
const PLACE: MaskError = MaskError::NotArrow { reason: "a buffer lies outside its place" };
const OFFSET: MaskError = MaskError::NotArrow { reason: "an offset is out of order" };
const NEGATIVE: MaskError = MaskError::NotArrow { reason: "a number in a batch is negative" };

/// The batch as it came, read from front to back.
struct Source<'a> {
    body: &'a [u8],
    nodes: IntoIter<FieldNode>,
    buffers: IntoIter<Buffer>,
    /// Where the last buffer ended. None may start before it: a clear column cannot point at the
    /// bytes of a masked one.
    end_of_last: usize,
}

impl<'a> Source<'a> {
    /// Reads a column and its children, and copies it if there is a body to copy to. Returns its
    /// number of rows.
    fn column(
        &mut self,
        layout: &Layout,
        mut copy: Option<&mut Body<'a>>,
    ) -> Result<usize, MaskError> {
        let (rows, nulls) = self.node()?;
        if let Some(copy) = copy.as_deref_mut() {
            copy.node(rows, nulls)?;
        }
        if *layout == Layout::Null {
            return Ok(rows);
        }
        let validity = self.validity(rows, nulls)?;
        put(&mut copy, validity)?;
        match layout {
            Layout::Null => {}
            Layout::Bits => put(&mut copy, first(self.buffer()?, rows.div_ceil(8))?)?,
            Layout::Fixed(width) => {
                let bytes = rows.checked_mul(*width).ok_or(SHORT)?;
                put(&mut copy, first(self.buffer()?, bytes)?)?;
            }
            Layout::Bytes { offsets, .. } => {
                let (bytes, end) = self.offsets(*offsets, rows)?;
                put(&mut copy, bytes)?;
                put(&mut copy, first(self.buffer()?, end)?)?;
            }
            Layout::List { offsets, child } => {
                let (bytes, end) = self.offsets(*offsets, rows)?;
                put(&mut copy, bytes)?;
                if self.column(child, copy)? < end {
                    return Err(SHORT);
                }
            }
            Layout::FixedList { size, child } => {
                if Some(self.column(child, copy)?) != rows.checked_mul(*size) {
                    return Err(UNEQUAL);
                }
            }
            Layout::Struct(children) => {
                for child in children {
                    if self.column(child, copy.as_deref_mut())? != rows {
                        return Err(UNEQUAL);
                    }
                }
            }
        }
        Ok(rows)
    }

    /// Reads a column of text, and makes it anew with the ends of each. Returns its number of rows.
    fn ends(
        &mut self,
        keep: Keep,
        offsets: Offsets,
        masked: &mut Body<'a>,
    ) -> Result<usize, MaskError> {
        let (rows, nulls) = self.node()?;
        let validity = self.validity(rows, nulls)?;
        let (bytes, end) = self.offsets(offsets, rows)?;
        let data = str::from_utf8(first(self.buffer()?, end)?)
            .map_err(|_| MaskError::NotArrow { reason: "a text is not UTF-8" })?;
        let is_null = |row: usize| {
            nulls > 0 && validity.get(row / 8).is_none_or(|byte| byte >> (row % 8) & 1 == 0)
        };

        let mut texts = masked.texts(offsets, rows);
        let mut positions = bytes.chunks_exact(offsets.width()).map(position);
        let mut start = positions.next().unwrap_or(Ok(0))?;
        for (row, position) in positions.enumerate() {
            let end = position?;
            // An offset out of order, out of bounds or within a character is caught here.
            let text = data.get(start..end).ok_or(OFFSET)?;
            start = end;
            if is_null(row) {
                texts.push_null()?;
            } else {
                texts.push_ends(text, keep)?;
            }
        }
        texts.finish()?;
        Ok(rows)
    }

    /// The next node: rows, and how many of them are NULL.
    fn node(&mut self) -> Result<(usize, usize), MaskError> {
        let node = self.nodes.next().ok_or(FEW)?;
        let (rows, nulls) = (count(node.length())?, count(node.null_count())?);
        if nulls > rows { Err(UNEQUAL) } else { Ok((rows, nulls)) }
    }

    fn buffer(&mut self) -> Result<&'a [u8], MaskError> {
        let buffer = self.buffers.next().ok_or(FEW)?;
        let (start, length) = (count(buffer.offset())?, count(buffer.length())?);
        // An empty buffer may be said to lie anywhere.
        if length == 0 {
            return Ok(&[]);
        }
        let end = start.checked_add(length).ok_or(PLACE)?;
        if start < self.end_of_last {
            return Err(PLACE);
        }
        self.end_of_last = end;
        self.body.get(start..end).ok_or(PLACE)
    }

    /// The bitmap of a column, which may be missing when nothing is NULL.
    fn validity(&mut self, rows: usize, nulls: usize) -> Result<&'a [u8], MaskError> {
        let bytes = self.buffer()?;
        if bytes.is_empty() && nulls == 0 { Ok(bytes) } else { first(bytes, rows.div_ceil(8)) }
    }

    /// The offsets of a column, and the last of them, which is where its content ends. They may be
    /// missing when there are no rows.
    fn offsets(&mut self, offsets: Offsets, rows: usize) -> Result<(&'a [u8], usize), MaskError> {
        let bytes = self.buffer()?;
        if bytes.is_empty() && rows == 0 {
            return Ok((bytes, 0));
        }
        let width = offsets.width();
        let length = rows.checked_add(1).and_then(|count| count.checked_mul(width)).ok_or(SHORT)?;
        let bytes = first(bytes, length)?;
        let last = bytes.get(length - width..).ok_or(SHORT)?;
        Ok((bytes, position(last)?))
    }
}

/// Copies a buffer of a clear column, if this is one.
fn put<'a>(copy: &mut Option<&mut Body<'a>>, bytes: &'a [u8]) -> Result<(), MaskError> {
    match copy {
        Some(copy) => copy.buffer(Part::Copied(bytes)),
        None => Ok(()),
    }
}

fn first(bytes: &[u8], length: usize) -> Result<&[u8], MaskError> {
    bytes.get(..length).ok_or(SHORT)
}

fn count(number: i64) -> Result<usize, MaskError> {
    usize::try_from(number).map_err(|_| NEGATIVE)
}

/// Reads an offset of four or eight bytes.
fn position(bytes: &[u8]) -> Result<usize, MaskError> {
    let offset = match (bytes.first_chunk::<8>(), bytes.first_chunk::<4>()) {
        (Some(eight), _) => i64::from_le_bytes(*eight),
        (None, Some(four)) => i32::from_le_bytes(*four).into(),
        (None, None) => return Err(SHORT),
    };
    count(offset)
}
