//! The running gate, as its owner holds it.
//!
//! # Rules
//!
//! - Every method returns at once and may be called from any thread; results come over the bridge
//!   as `done` notices: `{"call":n,"ok":…}` or `{"call":n,"error":{"code","message"}}`.
//! - The gate owns its runtime: no thread of the caller ever runs gate code.

use std::{net::SocketAddr, sync::Arc};

use crate::{GateConfig, GateError, bridge::Bridge};

/// The data plane.
pub struct Gate;

/// A started gate. Dropping it stops everything without a drain.
pub struct RunningGate {
    address: SocketAddr,
}

impl Gate {
    /// Open the ledger, restore the sessions, bind the listener and serve.
    ///
    /// Blocks for as long as the ledger's recovery takes.
    pub fn start(config: GateConfig, bridge: Arc<Bridge>) -> Result<RunningGate, GateError> {
        let _ = (config, bridge);
        Err(GateError::Config { reason: "the gate is not built yet".to_owned() })
    }
}

impl RunningGate {
    /// Address and port that are bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// A held statement was decided: its waiter asks `consume` now.
    pub fn wake(&self, query_id: &str) {
        let _ = query_id;
    }

    /// Policy, catalog or identity changed: verdicts of other epochs end.
    pub fn set_epoch(&self, epoch: u64) {
        let _ = epoch;
    }

    /// Run one of the gateway's own statements. `payload` is `{"sql","purpose"}`; the completion is
    /// `{"names":[…],"rows":[[text|null]]}`.
    pub fn query(&self, call: u64, payload: &[u8]) {
        let _ = (call, payload);
    }

    /// Append a ledger entry. `payload` is `{"kind","fields","texts"?:[{"field","subject","text"}]}`;
    /// the completion is `{"seq":n}`, sent once the entry is durable.
    pub fn record(&self, call: u64, payload: &[u8]) {
        let _ = (call, payload);
    }

    /// End a session: its holds are cancelled, its statements aborted, its streams stopped.
    pub fn kill(&self, session: &str) {
        let _ = session;
    }

    /// Stop accepting, let running answers end within `grace_s` seconds, close the ledger, and tell
    /// the bridge `stopped`.
    pub fn shutdown(&self, grace_s: f64) {
        let _ = grace_s;
    }

    /// Counters and states as JSON, for telemetry.
    pub fn status(&self) -> String {
        String::from("{}")
    }
}
