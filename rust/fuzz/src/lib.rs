//! What must hold for any bytes: the bodies of the fuzz targets, by the name of their target.
//!
//! A body panics when something does not hold. Tests replay the committed corpus through the same bodies
//! (`rust/gate/tests/fuzz_corpus.rs`).

mod targets;

pub use targets::*;
