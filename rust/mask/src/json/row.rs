//! Scans one row: `["text",null,…]`, strictly as RFC 8259 has it, cells text or null only.
//!
//! Strings are read eight bytes at a time: most cells are shorter than what a vector search needs to
//! pay off, and four things are looked for at once (quote, backslash, control, not ASCII).

use crate::error::MaskError;

/// A cell, from its first byte to just behind its last, quotes included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_null: bool,
    /// Whether a text holds escapes.
    pub(super) is_escaped: bool,
}

/// The cells of the row scanned last.
#[derive(Debug, Default)]
pub(super) struct Row {
    cells: Vec<Cell>,
}

/// How a scan ended that met no fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scan {
    /// A well-formed row, `end` just behind it.
    Row {
        /// Offset in the bytes scanned.
        end: usize,
    },
    /// The bytes end within the row.
    Unfinished,
}

/// Why a scan stops before the end of a row. One byte, since every step of a scan returns it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    Unfinished,
    TooWide,
    NotUtf8,
    NoComma,
    NoCell,
    Control,
    HalfPair,
    UnknownEscape,
    NoDigit,
}

impl Stop {
    fn reason(self) -> &'static str {
        match self {
            Self::Unfinished => "a row ends too early",
            Self::TooWide => "a row has too many cells",
            Self::NotUtf8 => "a text is not UTF-8",
            Self::NoComma => "a cell is not followed by a comma",
            Self::NoCell => "a cell is neither text nor null",
            Self::Control => "a text holds a control character",
            Self::HalfPair => "a text holds half of a surrogate pair",
            Self::UnknownEscape => "a text holds an unknown escape",
            Self::NoDigit => "an escape lacks a digit",
        }
    }
}

impl Row {
    /// The cells found; whole only after [`Scan::Row`].
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Scans the row that starts at `start`, at its bracket. A row with more cells than `columns` is
    /// an error at once; one with fewer is for the caller to see. `offset` is that of `bytes` in the
    /// stream, for messages.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        start: usize,
        columns: usize,
        offset: u64,
    ) -> Result<Scan, MaskError> {
        self.cells.clear();
        let mut scanner = Scanner { bytes, at: start + 1, is_ascii: true };
        let result = self.scan_cells(&mut scanner, columns).and_then(|()| {
            let row = bytes.get(start..scanner.at).unwrap_or_default();
            if scanner.is_ascii || str::from_utf8(row).is_ok() {
                Ok(Scan::Row { end: scanner.at })
            } else {
                Err(Stop::NotUtf8)
            }
        });
        match result {
            Err(Stop::Unfinished) => Ok(Scan::Unfinished),
            Err(Stop::TooWide) => {
                Err(MaskError::ColumnCount { found: columns + 1, planned: columns })
            }
            Err(stop) => Err(MaskError::NotRows {
                reason: stop.reason(),
                at: offset + super::as_offset(scanner.at),
            }),
            Ok(scan) => Ok(scan),
        }
    }

    fn scan_cells(&mut self, scanner: &mut Scanner, columns: usize) -> Result<(), Stop> {
        if scanner.token()? == b']' {
            scanner.at += 1;
            return Ok(());
        }
        loop {
            if self.cells.len() == columns {
                return Err(Stop::TooWide);
            }
            self.cells.push(scanner.cell()?);
            match scanner.token()? {
                b',' => scanner.at += 1,
                b']' => {
                    scanner.at += 1;
                    return Ok(());
                }
                _ => return Err(Stop::NoComma),
            }
        }
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether every text so far is. What stands outside texts always is.
    is_ascii: bool,
}

impl Scanner<'_> {
    /// The next byte that is not blank; it is not consumed.
    fn token(&mut self) -> Result<u8, Stop> {
        loop {
            match self.bytes.get(self.at) {
                None => return Err(Stop::Unfinished),
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(&byte) => return Ok(byte),
            }
        }
    }

    fn cell(&mut self) -> Result<Cell, Stop> {
        let token = self.token()?;
        let start = self.at;
        let is_escaped = match token {
            b'"' => self.text()?,
            b'n' => {
                self.null()?;
                false
            }
            _ => return Err(Stop::NoCell),
        };
        Ok(Cell { start, end: self.at, is_null: token == b'n', is_escaped })
    }

    fn null(&mut self) -> Result<(), Stop> {
        for expected in *b"null" {
            match self.bytes.get(self.at) {
                None => return Err(Stop::Unfinished),
                Some(&byte) if byte == expected => self.at += 1,
                Some(_) => return Err(Stop::NoCell),
            }
        }
        Ok(())
    }

    /// Consumes a text, quotes included. Returns whether it holds escapes.
    fn text(&mut self) -> Result<bool, Stop> {
        let mut is_escaped = false;
        self.at += 1;
        loop {
            match self.next_special()? {
                b'"' => {
                    self.at += 1;
                    return Ok(is_escaped);
                }
                b'\\' => {
                    is_escaped = true;
                    self.escape()?;
                }
                _ => return Err(Stop::Control),
            }
        }
    }

    /// Moves to the next quote, backslash or control character, and notes what is not ASCII.
    fn next_special(&mut self) -> Result<u8, Stop> {
        while let Some(chunk) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*chunk);
            let special = specials(word);
            if special == 0 {
                self.is_ascii &= word & HIGH_BITS == 0;
                self.at += 8;
                continue;
            }
            // The lowest mark is exact; its byte index is the number of bytes before it. Bytes behind
            // it may count as not ASCII too early, which costs a check and no more.
            self.is_ascii &= word & HIGH_BITS == 0;
            self.at += (special.trailing_zeros() / 8) as usize;
            break;
        }
        loop {
            match self.bytes.get(self.at) {
                None => return Err(Stop::Unfinished),
                Some(&byte @ (b'"' | b'\\' | 0..=0x1f)) => return Ok(byte),
                Some(&byte) => {
                    self.is_ascii &= byte.is_ascii();
                    self.at += 1;
                }
            }
        }
    }

    /// Consumes an escape: RFC 8259 section 7; a surrogate only in a pair, since nothing else is text.
    fn escape(&mut self) -> Result<(), Stop> {
        let start = self.at;
        match self.bytes.get(start + 1) {
            None => return Err(Stop::Unfinished),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit()? {
                0xd800..=0xdbff => {
                    for expected in *b"\\u" {
                        match self.bytes.get(self.at) {
                            None => return Err(Stop::Unfinished),
                            Some(&byte) if byte == expected => self.at += 1,
                            Some(_) => return Err(Stop::HalfPair),
                        }
                    }
                    self.at -= 2;
                    if !matches!(self.unit()?, 0xdc00..=0xdfff) {
                        return Err(Stop::HalfPair);
                    }
                }
                0xdc00..=0xdfff => return Err(Stop::HalfPair),
                _ => {}
            },
            Some(_) => return Err(Stop::UnknownEscape),
        }
        Ok(())
    }

    /// Consumes `\uXXXX`, known to start so, and returns its value.
    fn unit(&mut self) -> Result<u32, Stop> {
        self.at += 2;
        let mut value = 0;
        for _ in 0..4 {
            let byte = *self.bytes.get(self.at).ok_or(Stop::Unfinished)?;
            let digit = char::from(byte).to_digit(16);
            value = value * 16 + digit.ok_or(Stop::NoDigit)?;
            self.at += 1;
        }
        Ok(value)
    }
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;

/// Marks, by its high bit, each byte that is a quote, a backslash or a control character. Only the
/// lowest mark is exact: a borrow may set false ones above a true one.
///
/// Source: "Bit Twiddling Hacks", S. E. Anderson, "Determine if a word has a byte less than n".
fn specials(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(LOW_BITS) & !word;
    let quote = zero(word ^ (LOW_BITS * 0x22));
    let backslash = zero(word ^ (LOW_BITS * 0x5c));
    let control = word.wrapping_sub(LOW_BITS * 0x20) & !word;
    (quote | backslash | control) & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_lowest_mark_is_the_first_special_byte(bytes in any::<[u8; 8]>()) {
            let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));

            let mark = specials(u64::from_le_bytes(bytes));

            prop_assert_eq!(first, (mark != 0).then(|| (mark.trailing_zeros() / 8) as usize));
        }
    }

    #[test]
    fn every_single_byte_is_marked_or_not_as_it_should() {
        for byte in 0..=u8::MAX {
            let expected = matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let word = u64::from_le_bytes([b'a', b'b', b'c', byte, b'd', b'e', b'f', b'g']);
            assert_eq!(specials(word) != 0, expected, "{byte}");
        }
    }
}
