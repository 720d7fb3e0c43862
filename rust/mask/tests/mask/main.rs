//! The masking engine from outside: what a reader gets, and what no input may do.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may panic as the test may"
)]

mod arrow;
mod canary;
mod common;
mod json;
