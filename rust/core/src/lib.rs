//! The Python face of the Rust crates: the only crate that knows `PyO3`.
//!
//! Each module wraps one crate. A wrapper converts arguments, releases the interpreter, calls the
//! crate, and converts the result: it decides nothing. The stub is `python/snowgate/_core.pyi`;
//! `make lint` proves with stubtest that the two agree.

mod bridge;
mod gate;
mod ledger;
mod log;
mod mask;
mod sql;

/// The extension module `snowgate._core`.
#[pyo3::pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use crate::bridge::Bridge;
    #[pymodule_export]
    use crate::gate::{Gate, GateError};
    #[pymodule_export]
    use crate::ledger::{
        LedgerEntry, LedgerFailure, LedgerReader, LedgerReport, LedgerWriter, TextDestroyed,
        TextKeys, prove_entry, prove_extension, verify_ledger,
    };
    #[pymodule_export]
    use crate::log::log_to_stderr;
    #[pymodule_export]
    use crate::mask::{MaskError, mask_arrow_stream, mask_json_rowset};
    #[pymodule_export]
    use crate::sql::{
        Classified, SqlError, StatementHead, classify, lex, object_kinds, string_value, template,
    };
}
