//! The Python face of the Rust crates: the only crate that knows `PyO3`.

/// The extension module `snowgate._core`.
#[pyo3::pymodule(gil_used = false)]
mod _core {}
