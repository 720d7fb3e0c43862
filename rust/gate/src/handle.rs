//! The running gate, as its owner holds it.
//!
//! # Rules
//!
//! - Every method returns at once and may be called from any thread; results come over the bridge
//!   as `done` notices: `{"call":n,"ok":…}` or `{"call":n,"error":{"code","message"}}`.
//! - The gate owns its runtime: no thread of the caller ever runs gate code.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use snowgate_ledger::{Kek, Ledger, Settings, TextReader};
use snowgate_upstream::Upstream;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    GateConfig, GateError, account,
    bridge::Bridge,
    cancel,
    own::{self, OwnSession},
    past::Builder,
    record::{Fields, Recorder, text},
    server::Server,
    spent::Spent,
    state::{GateKeys, Parts, State},
    tls::Certificates,
};

/// Threads that serve clients. The control plane needs a core, too.
const WORKERS: usize = 2;

/// How often sessions, tickets and results are looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// An entry says every minute that the gateway lives: a gap is a finding (F22).
const SWEEPS_PER_HEARTBEAT: u32 = 6;

/// Longest grace of a shutdown.
const LONGEST_GRACE_S: f64 = 3600.0;

/// The data plane.
pub struct Gate;

/// A started gate. Dropping it stops everything without a drain.
pub struct RunningGate {
    address: SocketAddr,
    state: Arc<State>,
    runtime: Option<Runtime>,
    certificates: Option<(Arc<Certificates>, crate::Tls)>,
    stop: watch::Sender<Option<Duration>>,
    connections: Arc<AtomicUsize>,
}

impl Gate {
    /// Open the ledger, restore the sessions, bind the listener and serve.
    ///
    /// Blocks for as long as the ledger's recovery takes.
    pub fn start(mut config: GateConfig, bridge: Arc<Bridge>) -> Result<RunningGate, GateError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("snowgate")
            .enable_all()
            .build()
            .map_err(GateError::Runtime)?;
        let listen = SocketAddr::new(config.listen.address, config.listen.port);
        let tls = config.listen.tls.take();
        let rows = std::mem::take(&mut config.sessions);
        let root = store_key(&config.store_key_file)?;
        let failed = |error: snowgate_upstream::UpstreamError| GateError::Upstream {
            reason: error.to_string(),
        };
        let keys = GateKeys::new(*root).map_err(failed)?;
        let upstream = Upstream::new(&config.upstream).map_err(failed)?;
        let own = OwnSession::new(&upstream, config.gateway_session.clone()).map_err(failed)?;
        let certificates = tls.as_ref().map(Certificates::load).transpose()?;
        let acceptor = certificates.as_ref().map(Certificates::acceptor).transpose()?;
        // Bound before the ledger is opened: a port that is taken leaves no trace.
        let listener = runtime
            .block_on(TcpListener::bind(listen))
            .map_err(|source| GateError::Listen { address: listen, source })?;
        let address = listener
            .local_addr()
            .map_err(|source| GateError::Listen { address: listen, source })?;
        let mut past = Builder::new(rows.iter().map(|row| row.id.clone()));
        let mut spent = Spent::new(&config.budgets);
        let kek = Kek::from_root(&root)
            .map_err(|error| GateError::Ledger { reason: error.to_string() })?;
        let ledger = open_ledger(&config, kek.clone(), |seq, kind, fields| {
            past.visit(seq, kind, fields);
            spent.visit(seq, kind, fields);
        })?;
        let (past, unknown) = past.finish();
        let text_keys = TextReader::open(&config.text_keys_dir, &kek).ok();
        let budgets = spent.finish(&config.ledger.dir, text_keys.as_ref());
        let ledger = Recorder::new(ledger);
        ledger.later("start", Fields::new().put("gateway", config.gateway.as_str()));
        for seq in unknown {
            let fields = Fields::new().put("intent", seq).put("status", "unknown");
            ledger.later("outcome", fields.put("code", "restart"));
        }
        let parts = Parts { bridge, ledger, upstream, own, keys, past, budgets };
        let state = Arc::new(State::new(config, parts));
        for row in rows {
            let id = row.id.clone();
            if state.restore(row).is_none() {
                state.alert("session", None, &id, "a stored session cannot be restored");
            }
        }
        let (stop, stopped) = watch::channel(None);
        let connections = Arc::new(AtomicUsize::new(0));
        let server = Server {
            listener,
            acceptor,
            state: Arc::clone(&state),
            open: Arc::clone(&connections),
        };
        runtime.spawn(serve(server, stopped));
        runtime.spawn(sweep(Arc::clone(&state)));
        Ok(RunningGate {
            address,
            state,
            runtime: Some(runtime),
            certificates: certificates.zip(tls),
            stop,
            connections,
        })
    }
}

/// Serve, then close the ledger and say so.
async fn serve(server: Server, stopped: watch::Receiver<Option<Duration>>) {
    let state = Arc::clone(&server.state);
    server.run(stopped).await;
    own::close(&state).await;
    state.tell_missed();
    let _ = state.ledger.append("stop", Fields::new(), Vec::new()).await;
    let ledger = state.ledger.ledger().clone();
    let closed = tokio::task::spawn_blocking(move || ledger.close()).await;
    if !matches!(closed, Ok(Ok(()))) {
        tracing::error!("the ledger was not closed cleanly");
    }
    state.bridge.notice("stopped", &json!({}));
}

async fn sweep(state: Arc<State>) {
    loop {
        for _ in 0..SWEEPS_PER_HEARTBEAT {
            tokio::time::sleep(SWEEP).await;
            account::sweep(&state).await;
        }
        let fields = Fields::new()
            .put("epoch", state.epoch())
            .put("sessions", state.sessions.len())
            .put("statements", state.statements.len());
        state.ledger.later("heartbeat", fields);
    }
}

/// Read the 32 bytes every key of the gate is derived from.
fn store_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, GateError> {
    let unusable = |reason: String| GateError::File { what: "the store key", reason };
    let bytes = fs::read(path).map(Zeroizing::new).map_err(|error| unusable(error.to_string()))?;
    let key: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| unusable("the file does not hold exactly 32 bytes".to_owned()))?;
    Ok(Zeroizing::new(key))
}

fn open_ledger(
    config: &GateConfig,
    kek: Kek,
    mut visit: impl FnMut(u64, &str, &Map<String, Value>),
) -> Result<Ledger, GateError> {
    let failed =
        |error: snowgate_ledger::LedgerError| GateError::Ledger { reason: error.to_string() };
    let settings = Settings {
        known: config
            .ledger
            .known
            .as_ref()
            .map(|known| snowgate_ledger::Known { size: known.size, root: known.root.clone() }),
        ..Settings::new(
            &config.ledger.dir,
            &config.ledger.origin,
            &config.ledger.key_file,
            &config.text_keys_dir,
            kek,
        )
    };
    Ledger::open(settings, &mut visit).map_err(failed)
}

/// A command to append an entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    kind: String,
    #[serde(default)]
    fields: Map<String, Value>,
    #[serde(default)]
    texts: Vec<RecordText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordText {
    field: String,
    subject: String,
    text: String,
}

/// A command to run one of the gateway's own statements.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnQuery {
    sql: String,
    purpose: String,
    /// As the user that logs in for clients.
    #[serde(default)]
    as_clients: bool,
}

fn done(state: &State, call: u64, result: &Result<impl Serialize, impl Serialize>) {
    match result {
        Ok(ok) => state.bridge.notice("done", &json!({"call": call, "ok": ok})),
        Err(error) => state.bridge.notice("done", &json!({"call": call, "error": error})),
    }
}

fn unreadable(state: &State, call: u64, error: &serde_json::Error) {
    let message = format!("the command cannot be read (column {})", error.column());
    let error: Result<(), Value> = Err(json!({"code": "command", "message": message}));
    done(state, call, &error);
}

impl RunningGate {
    /// Address and port that are bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// A held statement was decided: its waiter asks `consume` now.
    pub fn wake(&self, query_id: &str) {
        let statement = Uuid::try_parse(query_id).ok();
        if let Some(statement) = statement.and_then(|id| self.state.statements.any(&id)) {
            statement.poke.notify_one();
        }
    }

    /// Policy, catalog or identity changed: verdicts of other epochs end.
    pub fn set_epoch(&self, epoch: u64) {
        self.state.set_epoch(epoch);
    }

    /// Run one of the gateway's own statements. `payload` is `{"sql","purpose","as_clients"?}`; the
    /// completion is `{"names":[…],"rows":[[text|null]]}`.
    pub fn query(&self, call: u64, payload: &[u8]) {
        let query: OwnQuery = match serde_json::from_slice(payload) {
            Ok(query) => query,
            Err(error) => return unreadable(&self.state, call, &error),
        };
        let state = Arc::clone(&self.state);
        self.spawn(async move {
            let rows = if query.as_clients {
                own::query_as_clients(&state, &query.sql, &query.purpose).await
            } else {
                own::query(&state, &query.sql, &query.purpose).await
            };
            done(&state, call, &rows);
        });
    }

    /// Append a ledger entry. `payload` is `{"kind","fields","texts"?:[{"field","subject","text"}]}`;
    /// the completion is `{"seq":n}`, sent once the entry is durable.
    pub fn record(&self, call: u64, payload: &[u8]) {
        let record: Record = match serde_json::from_slice(payload) {
            Ok(record) => record,
            Err(error) => return unreadable(&self.state, call, &error),
        };
        let state = Arc::clone(&self.state);
        self.spawn(async move {
            let fields = Fields::of(record.fields);
            let texts = record
                .texts
                .into_iter()
                .map(|entry| text(&entry.field, &entry.subject, entry.text))
                .collect();
            let result = state.ledger.append(&record.kind, fields, texts).await;
            let result = result.map(|seq| json!({"seq": seq})).map_err(
                |refusal| json!({"code": "ledger-unavailable", "message": refusal.reason}),
            );
            done(&state, call, &result);
        });
    }

    /// End a session: its holds are cancelled, its statements aborted, its streams stopped.
    pub fn kill(&self, session: &str) {
        let (state, id) = (Arc::clone(&self.state), session.to_owned());
        self.spawn(async move { account::end(&state, &id, "killed").await });
    }

    /// Cancel one held or running statement.
    pub fn cancel(&self, query_id: &str) {
        let statement = Uuid::try_parse(query_id).ok();
        if let Some(statement) = statement.and_then(|id| self.state.statements.any(&id)) {
            self.spawn(async move { cancel::stop(&statement, "cancelled") });
        }
    }

    /// Read certificate and key again. On an error the old ones stay in use.
    pub fn reload_certificate(&self) -> Result<(), GateError> {
        match &self.certificates {
            Some((certificates, files)) => certificates.reload(files),
            None => Ok(()),
        }
    }

    /// Stop accepting, let running answers end within `grace_s` seconds, close the ledger, and tell
    /// the bridge `stopped`.
    pub fn shutdown(&self, grace_s: f64) {
        self.state.begin_stop();
        let grace = Duration::try_from_secs_f64(grace_s.clamp(0.0, LONGEST_GRACE_S));
        self.stop.send_replace(Some(grace.unwrap_or_default()));
    }

    /// Counters and states as JSON, for telemetry.
    pub fn status(&self) -> String {
        let state = &self.state;
        let ledger = state.ledger.ledger().status();
        let counters = &state.counters;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "address": self.address.to_string(),
            "epoch": state.epoch(),
            "stopping": state.is_stopping(),
            "connections": self.connections.load(Ordering::Relaxed),
            "sessions": state.sessions.len(),
            "statements": state.statements.len(),
            "tickets": state.tickets.len(),
            "verdicts": state.verdicts.len(),
            "budget_accounts": state.budgets.len(),
            "statement_bytes": state.room.taken(),
            "result_bytes": state.results.taken(),
            "open_questions": state.bridge.open_questions(),
            "ledger": {
                "size": ledger.size,
                "root": hex::encode(ledger.root),
                "poisoned": ledger.poisoned,
                "healthy": state.ledger.healthy(),
            },
            "logins": count(&counters.logins),
            "logins_refused": count(&counters.logins_refused),
            "statements_total": count(&counters.statements),
            "denials": count(&counters.denials),
            "holds": count(&counters.holds),
            "judged": count(&counters.judged),
            "cache_hits": count(&counters.cache_hits),
            "template_hits": count(&counters.template_hits),
            "chunks": count(&counters.chunks),
            "alerts": count(&counters.alerts),
            "strangers": count(&counters.strangers),
        })
        .to_string()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }
}

impl Drop for RunningGate {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
