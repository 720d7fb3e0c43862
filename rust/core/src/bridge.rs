//! The bridge as Python sees it: take questions, answer in batches, and measure the crossing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pyo3::{exceptions::PyOSError, prelude::*, types::PyBytes};
use snowgate_gate::bridge::Bridge as Inner;

/// Questions from the gate to the control plane.
#[pyclass(frozen, module = "snowgate._core")]
pub(crate) struct Bridge {
    pub(crate) inner: Arc<Inner>,
}

#[pymethods]
impl Bridge {
    #[new]
    #[pyo3(signature = (capacity = 16384))]
    fn new(capacity: usize) -> PyResult<Self> {
        let inner = Inner::new(capacity).map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Descriptor that is readable while questions wait; owned by the bridge.
    fn wake_fd(&self) -> i32 {
        self.inner.wake_fd()
    }

    /// Take at most `limit` questions: (id, kind, payload).
    fn take<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
    ) -> Vec<(u64, &'static str, Bound<'py, PyBytes>)> {
        self.inner
            .take(limit)
            .into_iter()
            .map(|question| (question.id, question.kind, PyBytes::new(py, &question.payload)))
            .collect()
    }

    /// Answer a batch of (id, payload).
    fn answer(&self, answers: Vec<(u64, Vec<u8>)>) {
        self.inner.answer(answers);
    }

    /// Refuse every question from now on.
    fn stop(&self) {
        self.inner.stop();
    }

    /// Questions that wait for an answer.
    fn open_questions(&self) -> usize {
        self.inner.open_questions()
    }

    /// Ask `total` questions of `size_bytes` each, `in_flight` at a time, from a runtime of its own.
    ///
    /// Returns the wall time in seconds and the sorted latencies in microseconds of all that were answered.
    fn measure(
        &self,
        py: Python<'_>,
        total: u32,
        in_flight: u32,
        size_bytes: usize,
    ) -> PyResult<(f64, Vec<f64>)> {
        let bridge = Arc::clone(&self.inner);
        py.detach(move || measure(&bridge, total, in_flight, size_bytes))
            .map_err(|error| PyOSError::new_err(error.to_string()))
    }
}

fn measure(
    bridge: &Arc<Inner>,
    total: u32,
    in_flight: u32,
    size_bytes: usize,
) -> std::io::Result<(f64, Vec<f64>)> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    let start = Instant::now();
    let askers: Vec<_> = (0..in_flight)
        .map(|_| {
            let bridge = Arc::clone(bridge);
            runtime.spawn(async move {
                let mut latencies = Vec::new();
                for _ in 0..total / in_flight.max(1) {
                    let asked = Instant::now();
                    let payload = vec![b'x'; size_bytes];
                    if bridge.ask("measure", payload, Duration::from_secs(30)).await.is_ok() {
                        latencies.push(asked.elapsed().as_secs_f64() * 1e6);
                    }
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for asker in askers {
        latencies.extend(runtime.block_on(asker).unwrap_or_default());
    }
    latencies.sort_by(f64::total_cmp);
    Ok((start.elapsed().as_secs_f64(), latencies))
}
