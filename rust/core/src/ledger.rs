//! Reading and verifying ledgers.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, mpsc},
};

use pyo3::{exceptions::PyException, prelude::*, types::PyBytes};
use serde::Deserialize;
use serde_json::{Map, Value};
use snowgate_ledger::{
    Entry, Kek, Ledger, LedgerError, NewEntry, Reader, Settings, Text, TextReader, TileDir,
    VerifyingKey, consistency_proof, verify,
};

pyo3::create_exception!(
    snowgate._core,
    LedgerFailure,
    PyException,
    "A ledger does not verify or cannot be read; the message names what and where."
);

pyo3::create_exception!(
    snowgate._core,
    TextDestroyed,
    LedgerFailure,
    "The key of a text has been destroyed; the message names it."
);

fn raise(error: LedgerError) -> PyErr {
    match error {
        LedgerError::TextGone { .. } => TextDestroyed::new_err(error.to_string()),
        other => LedgerFailure::new_err(other.to_string()),
    }
}

/// What a ledger that verifies holds.
#[pyclass(frozen, get_all, module = "snowgate._core")]
pub(crate) struct LedgerReport {
    origin: String,
    size: u64,
    root: String,
    checkpoint: String,
    published: u64,
    kinds: BTreeMap<String, u64>,
    texts: u64,
    segments: u64,
    first_time: Option<String>,
    last_time: Option<String>,
    open_intents: u64,
    uncommitted_bytes: u64,
}

/// Verify every byte of a ledger directory.
#[pyfunction]
#[pyo3(signature = (directory, vkey, extends = None))]
pub(crate) fn verify_ledger(
    py: Python<'_>,
    directory: PathBuf,
    vkey: &str,
    extends: Option<&[u8]>,
) -> PyResult<LedgerReport> {
    let report = py.detach(move || verify(&directory, vkey, extends)).map_err(raise)?;
    Ok(LedgerReport {
        origin: report.origin,
        size: report.size,
        root: report.root,
        checkpoint: report.checkpoint,
        published: report.published,
        kinds: report.kinds,
        texts: report.texts,
        segments: report.segments,
        first_time: report.first_time,
        last_time: report.last_time,
        open_intents: report.open_intents,
        uncommitted_bytes: report.uncommitted_bytes,
    })
}

fn tiles(directory: PathBuf, vkey: &str) -> Result<TileDir, LedgerError> {
    TileDir::open(directory, &VerifyingKey::parse(vkey)?)
}

/// Prove that an entry is in the published log.
#[pyfunction]
pub(crate) fn prove_entry<'py>(
    py: Python<'py>,
    directory: PathBuf,
    vkey: &str,
    seq: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let proof = py.detach(|| tiles(directory, vkey)?.prove(seq)).map_err(raise)?;
    Ok(PyBytes::new(py, &proof))
}

/// Prove that the published log extends its first `size` entries: the checkpoint, and the hashes.
#[pyfunction]
pub(crate) fn prove_extension<'py>(
    py: Python<'py>,
    directory: PathBuf,
    vkey: &str,
    size: u64,
) -> PyResult<(Bound<'py, PyBytes>, Vec<Bound<'py, PyBytes>>)> {
    let (note, hashes) = py
        .detach(|| {
            let tiles = tiles(directory, vkey)?;
            let hashes = consistency_proof(&tiles, size, tiles.checkpoint().size)?;
            Ok((tiles.note().to_vec(), hashes))
        })
        .map_err(raise)?;
    let hashes = hashes.iter().map(|hash| PyBytes::new(py, hash)).collect();
    Ok((PyBytes::new(py, &note), hashes))
}

/// The entries of a ledger, in order.
#[pyclass(frozen, module = "snowgate._core")]
pub(crate) struct LedgerReader {
    reader: Mutex<Reader>,
}

#[pymethods]
impl LedgerReader {
    #[new]
    #[pyo3(signature = (directory, start = 0))]
    fn new(py: Python<'_>, directory: PathBuf, start: u64) -> PyResult<Self> {
        let reader = py.detach(move || Reader::open(&directory, start)).map_err(raise)?;
        Ok(Self { reader: Mutex::new(reader) })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<LedgerEntry>> {
        let next = py.detach(|| {
            let mut reader = self.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            reader.next().transpose()
        });
        Ok(next.map_err(raise)?.map(|entry| LedgerEntry { entry }))
    }
}

/// One entry.
#[pyclass(frozen, module = "snowgate._core")]
pub(crate) struct LedgerEntry {
    entry: Entry,
}

#[pymethods]
impl LedgerEntry {
    #[getter]
    fn seq(&self) -> u64 {
        self.entry.seq
    }

    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.entry.json)
    }

    /// Decrypt the text of a member.
    fn text<'py>(
        &self,
        py: Python<'py>,
        field: &str,
        keys: &TextKeys,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let text = py.detach(|| self.entry.text(field, &keys.reader)).map_err(raise)?;
        Ok(text.map(|text| PyBytes::new(py, &text)))
    }
}

/// The keys of the texts in a ledger.
#[pyclass(frozen, module = "snowgate._core")]
pub(crate) struct TextKeys {
    reader: TextReader,
}

#[pymethods]
impl TextKeys {
    #[new]
    fn new(py: Python<'_>, directory: PathBuf, root_key_file: PathBuf) -> PyResult<Self> {
        let open = move || TextReader::open(directory, &Kek::from_root_file(&root_key_file)?);
        Ok(Self { reader: py.detach(open).map_err(raise)? })
    }
}

/// An entry as Python gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    kind: String,
    fields: Map<String, Value>,
    #[serde(default)]
    texts: Vec<GivenText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenText {
    field: String,
    subject: String,
    text: String,
}

/// Writes a ledger without a gate.
#[pyclass(frozen, module = "snowgate._core")]
pub(crate) struct LedgerWriter {
    ledger: Ledger,
}

#[pymethods]
impl LedgerWriter {
    #[new]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        origin: String,
        key_file: PathBuf,
        text_keys: PathBuf,
        root_key_file: PathBuf,
    ) -> PyResult<Self> {
        let open = move || {
            let kek = Kek::from_root_file(&root_key_file)?;
            let settings = Settings::new(directory, origin, key_file, text_keys, kek);
            Ledger::open(settings, &mut |_, _, _| {})
        };
        Ok(Self { ledger: py.detach(open).map_err(raise)? })
    }

    /// Append an entry and wait until it is on disk.
    fn append(&self, py: Python<'_>, entry: &[u8]) -> PyResult<u64> {
        let given: Given = serde_json::from_slice(entry)
            .map_err(|error| LedgerFailure::new_err(format!("not an entry: {error}")))?;
        let texts = given.texts.into_iter();
        let texts = texts
            .map(|GivenText { field, subject, text }| Text { field, subject, bytes: text.into() })
            .collect();
        let entry = NewEntry { kind: given.kind, fields: given.fields, texts };
        py.detach(|| {
            let (sender, receiver) = mpsc::channel();
            self.ledger.append(entry, move |result| {
                let _ = sender.send(result);
            });
            receiver.recv().unwrap_or(Err(LedgerError::Closed))
        })
        .map_err(raise)
    }

    /// Publish the last checkpoint and unlock the directory.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.ledger.close()).map_err(raise)
    }
}
