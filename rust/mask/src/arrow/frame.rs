//! How messages follow one another in a stream.
//!
//! ```text
//!   ffffffff │ length of metadata, i32 │ metadata, flatbuffer │ body, as long as the metadata says
//! ```
//!
//! Source: Arrow, "Encapsulated message format". The form of before 0.15, without the leading mark,
//! is read too; the form written is always the current one.

use arrow_ipc::{Message, MetadataVersion, root_as_message};

use crate::error::MaskError;

const MARK: [u8; 4] = [0xff; 4];

/// Longest metadata read. A batch of a thousand columns has 64 KiB.
const METADATA_LIMIT_BYTES: usize = 16 << 20;

/// What stands at the start of some bytes.
pub(super) enum Frame<'a> {
    /// A message cut short: to go on, there must be `needed` bytes.
    Short {
        /// Never more than one message, so that nothing behind it is held.
        needed: usize,
    },
    /// The end of the stream, a mark of `length` bytes.
    End {
        /// In bytes.
        length: usize,
    },
    /// A whole message, its frame included in `length`.
    Message {
        /// Verified: every offset in it is in bounds.
        message: Message<'a>,
        /// As long as the metadata says.
        body: &'a [u8],
        /// In bytes.
        length: usize,
    },
}

/// Reads the message at the start of `bytes`, whose body may have `limit_bytes` at most.
pub(super) fn next(bytes: &[u8], limit_bytes: usize) -> Result<Frame<'_>, MaskError> {
    let Some((first, after)) = bytes.split_first_chunk::<4>() else {
        return Ok(Frame::Short { needed: 4 });
    };
    let (length, prefix) = if *first == MARK {
        let Some((length, _)) = after.split_first_chunk::<4>() else {
            return Ok(Frame::Short { needed: 8 });
        };
        (u32::from_le_bytes(*length), 8)
    } else {
        (u32::from_le_bytes(*first), 4)
    };
    if length == 0 {
        return Ok(Frame::End { length: prefix });
    }
    let body_start = match usize::try_from(length) {
        Ok(length) if length <= METADATA_LIMIT_BYTES => prefix + length,
        _ => return Err(MaskError::TooLong { limit_bytes: METADATA_LIMIT_BYTES }),
    };
    let Some(metadata) = bytes.get(prefix..body_start) else {
        return Ok(Frame::Short { needed: body_start });
    };
    let message = root_as_message(metadata)
        .map_err(|_| MaskError::NotArrow { reason: "the metadata of a message is broken" })?;
    if !matches!(message.version(), MetadataVersion::V4 | MetadataVersion::V5) {
        return Err(MaskError::Unsupported { feature: "another version than 4 or 5" });
    }
    let body_bytes = usize::try_from(message.bodyLength())
        .map_err(|_| MaskError::NotArrow { reason: "a message has a body of negative length" })?;
    if body_bytes > limit_bytes {
        return Err(MaskError::TooLong { limit_bytes });
    }
    let needed = body_start.saturating_add(body_bytes);
    Ok(match bytes.get(body_start..needed) {
        Some(body) => Frame::Message { message, body, length: needed },
        None => Frame::Short { needed },
    })
}

/// Writes the start of a message: all but its body, which must follow, padded to eight bytes.
pub(super) fn write_metadata(metadata: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
    let padded = metadata.len().next_multiple_of(8);
    let length = u32::try_from(padded)
        .ok()
        .filter(|_| padded <= METADATA_LIMIT_BYTES)
        .ok_or(MaskError::TooLong { limit_bytes: METADATA_LIMIT_BYTES })?;
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(metadata);
    out.resize(out.len() + padded - metadata.len(), 0);
    Ok(())
}

/// Writes the end of the stream.
pub(super) fn write_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[0; 4]);
}
