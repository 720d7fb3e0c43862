//! Masks JSON rows and Arrow streams.
