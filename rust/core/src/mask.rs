//! Masking of results already in memory, for tests and tools: a live result never enters Python.

use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use snowgate_mask::{Column, Mask, MaskError as Inner, MaskPlan};

pyo3::create_exception!(
    snowgate._core,
    MaskError,
    PyValueError,
    "A plan that is none, or a result that does not fit it. Argument: reason."
);

type Masker = fn(&MaskPlan, &[u8], &mut Vec<u8>) -> Result<u64, Inner>;

/// Masks a rowset, `[[…],[…]]`. Returns it and its number of rows.
#[pyfunction]
pub(crate) fn mask_json_rowset<'py>(
    py: Python<'py>,
    plan: &str,
    rowset: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, u64)> {
    run(py, snowgate_mask::mask_json_rowset, plan, rowset)
}

/// Masks an Arrow IPC stream. Returns it and its number of rows.
#[pyfunction]
pub(crate) fn mask_arrow_stream<'py>(
    py: Python<'py>,
    plan: &str,
    stream: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, u64)> {
    run(py, snowgate_mask::mask_arrow_stream, plan, stream)
}

fn run<'py>(
    py: Python<'py>,
    masker: Masker,
    plan: &str,
    bytes: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, u64)> {
    let columns: Vec<(String, Mask)> = serde_json::from_str(plan)
        .map_err(|error| MaskError::new_err(format!("this is no mask plan: {error}")))?;
    let columns =
        columns.iter().map(|(name, mask)| (Column::from_rowtype(name, None), *mask)).collect();
    let plan = MaskPlan::new(columns);
    let mut out = Vec::new();
    let rows = py
        .detach(|| masker(&plan, bytes, &mut out))
        .map_err(|error| MaskError::new_err(error.to_string()))?;
    Ok((PyBytes::new(py, &out), rows))
}
