//! The upstream client against a small server on this machine.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod chunks;
mod sessions;
mod support;
