//! Masks the cells of a result: JSON rows and Arrow streams.
//!
//! ```text
//!   rowset  [["1","a"],…] ──► mask_json_rowset ──┐
//!   chunk    ["1","a"],…  ──► JsonChunkMasker  ──┼──► the same form, masked
//!   Arrow IPC stream      ──► ArrowStreamMasker ─┘
//!                                  ▲
//!                   MaskPlan: a column and its mask, in output order
//! ```
//!
//! # Rules
//!
//! - This crate knows no socket, no clock, and no Python: bytes in, bytes out.
//! - A result that does not fit the plan is an error, never a pass-through: masking fails closed. An
//!   error ends the stream: every later call fails too.
//! - A masked column is written from nothing: no byte of the original, its lengths, its padding or
//!   its NULLs is copied (`attacks.md` F2, F19). Only `partial` reads the values it masks.
//! - JSON and Arrow of the same data decode to the same masked values.
//! - No input panics, and no input takes more memory than the limits say.
//!
//! # Sources
//!
//! - Rowsets, chunks and their cells: `protocol.md` §3.5, §7.1; JSON: RFC 8259
//! - Arrow: <https://arrow.apache.org/docs/format/Columnar.html>, version 1.5, "Serialization and
//!   Interprocess Communication"; Snowflake's types in it: `protocol.md` §7.2

mod arrow;
mod error;
mod json;
mod plan;
mod text;

pub use arrow::{ArrowStreamMasker, DEFAULT_MESSAGE_LIMIT_BYTES, mask_arrow_stream};
pub use error::MaskError;
pub use json::{DEFAULT_ROW_LIMIT_BYTES, JsonChunkMasker, mask_json_rowset};
pub use plan::{Column, LogicalType, Mask, MaskPlan, strictest};
