//! The data plane as Python sees it: started once, then commands that return at once.

use std::sync::Arc;

use pyo3::{exceptions::PyException, prelude::*};
use snowgate_gate::{Gate as Inner, GateConfig, RunningGate};

use crate::bridge::Bridge;

pyo3::create_exception!(
    snowgate._core,
    GateError,
    PyException,
    "The gate could not start. Nothing listens; the message says why."
);

/// A running data plane. Results of its commands come back over the bridge as `done` notices.
#[pyclass(frozen, module = "snowgate._core")]
pub(crate) struct Gate {
    running: RunningGate,
}

#[pymethods]
impl Gate {
    #[new]
    fn new(py: Python<'_>, config: &[u8], bridge: &Bridge) -> PyResult<Self> {
        let bridge = Arc::clone(&bridge.inner);
        let config =
            GateConfig::from_json(config).map_err(|error| GateError::new_err(error.to_string()))?;
        let running = py
            .detach(move || Inner::start(config, bridge))
            .map_err(|error| GateError::new_err(error.to_string()))?;
        Ok(Self { running })
    }

    /// Bound address and port.
    fn local_addr(&self) -> (String, u16) {
        let address = self.running.local_addr();
        (address.ip().to_string(), address.port())
    }

    /// A held statement was decided: its waiter asks again now.
    fn wake(&self, query_id: &str) {
        self.running.wake(query_id);
    }

    /// Verdicts of other epochs end.
    fn set_epoch(&self, epoch: u64) {
        self.running.set_epoch(epoch);
    }

    /// Run one of the gateway's own statements.
    fn query(&self, call: u64, request: &[u8]) {
        self.running.query(call, request);
    }

    /// Append one ledger entry.
    fn record(&self, call: u64, entry: &[u8]) {
        self.running.record(call, entry);
    }

    /// End a session.
    fn kill(&self, session: &str) {
        self.running.kill(session);
    }

    /// Read certificate and key again, and use them for new connections.
    fn reload_certificate(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.running.reload_certificate())
            .map_err(|error| GateError::new_err(error.to_string()))
    }

    /// Drain and stop.
    fn shutdown(&self, grace_s: f64) {
        self.running.shutdown(grace_s);
    }

    /// Counters and states, JSON.
    fn status(&self, py: Python<'_>) -> String {
        py.detach(|| self.running.status())
    }
}
