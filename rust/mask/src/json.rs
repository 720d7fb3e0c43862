//! Masks rows in JSON, in one pass.
//!
//! ```text
//!   ["1","secret",null],["2","x",null]      rows, comma, rows: a chunk; in brackets: a rowset
//!    ^^^ copied as it is
//!        ^^^^^^^^ replaced
//! ```
//!
//! A row is scanned to its end and checked before one byte of it is written. What is not masked is
//! copied as it is, blanks included, so that the output does not depend on how the input was split.
//! Between two calls at most one unfinished row is held.

mod row;

use memchr::{memchr2, memchr3};

use self::row::{Cell, Row, Scan};
use crate::{
    error::MaskError,
    plan::{MaskPlan, Show},
    text::{Keep, STARS},
};

/// Longest row the gate holds: Snowflake's largest text (128 MiB), or many smaller ones.
pub const DEFAULT_ROW_LIMIT_BYTES: usize = 128 << 20;

/// Masks a whole rowset, `[[…],[…]]`, and appends it to `out`. Returns the number of rows.
///
/// On an error `out` is as before.
///
/// # Errors
///
/// [`MaskError::NotRows`] when it is not such rows, [`MaskError::ColumnCount`] when a row and the plan
/// differ in width.
pub fn mask_json_rowset(
    plan: &MaskPlan,
    rowset: &[u8],
    out: &mut Vec<u8>,
) -> Result<u64, MaskError> {
    let start = out.len();
    let rows = rowset
        .trim_ascii()
        .strip_prefix(b"[")
        .and_then(|rows| rows.strip_suffix(b"]"))
        .ok_or(MaskError::NotRows { reason: "a rowset is not an array", at: 0 })
        .and_then(|rows| {
            // A rowset is in memory already: no row of it can be too long to hold.
            let mut masker = JsonChunkMasker::new(plan).with_row_limit(usize::MAX);
            out.push(b'[');
            masker.push(rows, out)?;
            masker.finish()
        });
    match rows {
        Ok(_) => out.push(b']'),
        Err(_) => out.truncate(start),
    }
    rows
}

/// Masks a chunk, rows without outer brackets, as its bytes arrive.
///
/// Memory: at most one unfinished row, bounded by the row limit.
#[derive(Debug)]
pub struct JsonChunkMasker {
    plan: MaskPlan,
    row_limit_bytes: usize,
    expect: Expect,
    /// An unfinished row, from its bracket on, and where in it we are.
    held: Vec<u8>,
    search: EndSearch,
    row: Row,
    /// Bytes of the stream before the ones at hand (those held counted).
    offset: u64,
    rows: u64,
    failed: bool,
}

/// What may come next between rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expect {
    /// The first row, or the end.
    First,
    /// A comma, or the end.
    Comma,
    /// A row.
    Row,
}

impl JsonChunkMasker {
    /// A masker at the start of a chunk.
    pub fn new(plan: &MaskPlan) -> Self {
        Self {
            plan: plan.clone(),
            row_limit_bytes: DEFAULT_ROW_LIMIT_BYTES,
            expect: Expect::First,
            held: Vec::new(),
            search: EndSearch::default(),
            row: Row::default(),
            offset: 0,
            rows: 0,
            failed: false,
        }
    }

    /// Sets the longest row that may be held, in bytes.
    #[must_use]
    pub fn with_row_limit(mut self, bytes: usize) -> Self {
        self.row_limit_bytes = bytes;
        self
    }

    /// Takes the next bytes, cut anywhere, and appends what is masked of them to `out`.
    ///
    /// # Errors
    ///
    /// As [`mask_json_rowset`], and [`MaskError::TooLong`]. The chunk is then lost.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
        if self.failed {
            return Err(MaskError::GivenUp);
        }
        let result = self.take(bytes, out);
        self.failed = result.is_err();
        result
    }

    /// Ends the chunk. Returns the number of its rows.
    ///
    /// # Errors
    ///
    /// [`MaskError::NotRows`] when the chunk ends within a row or after a comma.
    pub fn finish(self) -> Result<u64, MaskError> {
        if self.failed {
            return Err(MaskError::GivenUp);
        }
        if self.expect == Expect::Row || !self.held.is_empty() {
            return Err(MaskError::NotRows { reason: "the rows end too early", at: self.offset });
        }
        Ok(self.rows)
    }

    fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
        if !self.held.is_empty() {
            let end = self.search.find(bytes);
            let (rest_of_row, after) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.hold(rest_of_row)?;
            if end.is_none() {
                return Ok(());
            }
            self.take_held(out)?;
            bytes = after;
        }

        let mut copy = Copy { input: bytes, copied: 0, out };
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match (byte, self.expect) {
                (b' ' | b'\t' | b'\n' | b'\r', _) => at += 1,
                (b',', Expect::Comma) => {
                    self.expect = Expect::Row;
                    at += 1;
                }
                (b'[', Expect::First | Expect::Row) => {
                    match self.row.scan(bytes, at, self.plan.columns(), self.offset)? {
                        Scan::Row { end } => {
                            write_row(&self.plan, &self.row, self.offset, &mut copy)?;
                            self.count_row();
                            at = end;
                        }
                        Scan::Unfinished => {
                            copy.up_to(at);
                            let (_, unfinished) = bytes.split_at(at);
                            self.offset += as_offset(at);
                            self.search = EndSearch::default();
                            self.search.find(unfinished);
                            return self.hold(unfinished);
                        }
                    }
                }
                _ => {
                    return Err(MaskError::NotRows {
                        reason: "something other than a row stands between rows",
                        at: self.offset + as_offset(at),
                    });
                }
            }
        }
        copy.up_to(at);
        self.offset += as_offset(at);
        Ok(())
    }

    /// Adds bytes to the unfinished row.
    fn hold(&mut self, bytes: &[u8]) -> Result<(), MaskError> {
        if bytes.len() > self.row_limit_bytes.saturating_sub(self.held.len()) {
            return Err(MaskError::TooLong { limit_bytes: self.row_limit_bytes });
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// Masks the held row, now complete.
    fn take_held(&mut self, out: &mut Vec<u8>) -> Result<(), MaskError> {
        let length = self.held.len();
        match self.row.scan(&self.held, 0, self.plan.columns(), self.offset)? {
            Scan::Row { end } if end == length => {}
            _ => {
                return Err(MaskError::NotRows { reason: "a row is broken", at: self.offset });
            }
        }
        let mut copy = Copy { input: &self.held, copied: 0, out };
        write_row(&self.plan, &self.row, self.offset, &mut copy)?;
        copy.up_to(length);
        self.held.clear();
        self.offset += as_offset(length);
        self.count_row();
        Ok(())
    }

    fn count_row(&mut self) {
        self.rows += 1;
        self.expect = Expect::Comma;
    }
}

/// Writes the masked cells of a row, and what of the input stands before each.
fn write_row(plan: &MaskPlan, row: &Row, offset: u64, copy: &mut Copy) -> Result<(), MaskError> {
    if row.cells().len() != plan.columns() {
        return Err(MaskError::ColumnCount { found: row.cells().len(), planned: plan.columns() });
    }
    for (cell, show) in row.cells().iter().zip(plan.shows()) {
        match show {
            Show::Clear => {}
            Show::Stars => copy.replace(cell, &[b"\"", STARS.as_bytes(), b"\""]),
            Show::Null => copy.replace(cell, &[b"null"]),
            Show::Ends(_) if cell.is_null => {}
            Show::Ends(keep) => {
                let (head, tail) = ends(*keep, cell, copy.input).ok_or(MaskError::NotRows {
                    reason: "a text is broken",
                    at: offset + as_offset(cell.start),
                })?;
                copy.replace(cell, &[b"\"", head, STARS.as_bytes(), tail, b"\""]);
            }
        }
    }
    Ok(())
}

/// The head and the tail of a text cell that stay. None if the cell was not a string after all.
fn ends<'a>(keep: Keep, cell: &Cell, input: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let inside = input.get(cell.start + 1..cell.end.checked_sub(1)?)?;
    let cut = if cell.is_escaped {
        keep.cut_escaped(inside)
    } else {
        keep.cut(str::from_utf8(inside).ok()?)
    };
    match cut {
        None => Some((&[], &[])),
        Some((head, tail)) => Some((inside.get(..head)?, inside.get(tail..)?)),
    }
}

/// The input, copied to the output save for what is replaced.
struct Copy<'a> {
    input: &'a [u8],
    copied: usize,
    out: &'a mut Vec<u8>,
}

impl Copy<'_> {
    /// Copies what is not yet copied, up to `end`.
    fn up_to(&mut self, end: usize) {
        self.out.extend_from_slice(self.input.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    /// Writes `parts` in place of a cell.
    fn replace(&mut self, cell: &Cell, parts: &[&[u8]]) {
        self.up_to(cell.start);
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.copied = cell.end;
    }
}

/// Finds the end of a row piece by piece: the first `]` outside a string. Whether the row is well
/// formed is for [`Row::scan`] to say, once it is whole.
#[derive(Debug, Default)]
struct EndSearch {
    in_string: bool,
    after_backslash: bool,
}

impl EndSearch {
    /// The offset just behind the end of the row, if it is in these bytes.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.after_backslash {
                bytes.get(at)?;
                self.after_backslash = false;
                at += 1;
            }
            let rest = bytes.get(at..)?;
            let found = if self.in_string {
                memchr2(b'"', b'\\', rest)?
            } else {
                memchr3(b'"', b'\\', b']', rest)?
            };
            at += found + 1;
            match rest.get(found) {
                Some(b'"') => self.in_string = !self.in_string,
                Some(b'\\') => self.after_backslash = true,
                _ => return Some(at),
            }
        }
    }
}

/// A length as an offset in a stream.
fn as_offset(length: usize) -> u64 {
    // Lossless: no supported platform has addresses wider than 64 bits.
    length as u64
}
