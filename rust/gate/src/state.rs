//! What every part of the running gate shares.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::header;
use serde_json::json;
use snowgate_session::{
    Budgets, Keys, Lookup, Sessions, Statements, Subkey, Tickets, VerdictCache,
};
use snowgate_upstream::{SealKey, Upstream, UpstreamError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    body::{Room, Turns},
    bridge::Bridge,
    chunk::ChunkContext,
    config::Limits,
    flights::Flights,
    own::OwnSession,
    past::Past,
    record::{Fields, Recorder, text},
    reply::{Refusal, Reply, codes},
    routes::Call,
    server::Peer,
    session::{Session, now_s},
    statement::Statement,
    strangers::Strangers,
};

/// The gate's keys, one per purpose.
pub(crate) struct GateKeys {
    /// Ids of retried statements (F11).
    pub(crate) retry: Subkey,
    /// `QUERY_TAG` (F24).
    pub(crate) tag: Subkey,
    /// Sealed upstream sessions.
    pub(crate) seal: SealKey,
    /// Hashes of tagged values.
    pub(crate) values: Subkey,
}

impl GateKeys {
    /// Derive them from the root.
    pub(crate) fn new(root: [u8; 32]) -> Result<Self, UpstreamError> {
        let keys = Keys::new(root);
        let mut seal = *keys.subkey("session-seal").bytes();
        Ok(Self {
            retry: keys.subkey("retry"),
            tag: keys.subkey("query-tag"),
            seal: SealKey::new(&mut seal)?,
            values: keys.subkey("tagged-values"),
        })
    }
}

/// Counters since the start, for telemetry.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) logins: AtomicU64,
    pub(crate) logins_refused: AtomicU64,
    pub(crate) statements: AtomicU64,
    pub(crate) denials: AtomicU64,
    pub(crate) holds: AtomicU64,
    pub(crate) cache_hits: AtomicU64,
    /// Those of the cache hits that a template gave.
    pub(crate) template_hits: AtomicU64,
    pub(crate) judged: AtomicU64,
    pub(crate) chunks: AtomicU64,
    pub(crate) alerts: AtomicU64,
    pub(crate) strangers: AtomicU64,
}

/// Add one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The shared state.
pub(crate) struct State {
    pub(crate) gateway: String,
    pub(crate) account: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) session_token_s: u64,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) ledger: Recorder,
    pub(crate) upstream: Upstream,
    pub(crate) keys: GateKeys,
    pub(crate) sessions: Sessions<Session>,
    pub(crate) statements: Statements<Statement>,
    pub(crate) tickets: Tickets<ChunkContext>,
    pub(crate) verdicts: VerdictCache,
    pub(crate) flights: Flights,
    pub(crate) budgets: Budgets,
    pub(crate) past: Past,
    pub(crate) own: OwnSession,
    pub(crate) counters: Counters,
    epoch: AtomicU64,
    /// Turns of those who send large bodies.
    pub(crate) large_bodies: Turns,
    /// What statements under way keep of their requests.
    pub(crate) room: Arc<Room>,
    /// What results keep until their clients take them.
    pub(crate) results: Arc<Room>,
    /// Refused logins.
    pub(crate) refused_logins: Strangers,
    /// Requests for what is not offered, without a session.
    pub(crate) strange_requests: Strangers,
    stopping: watch::Sender<bool>,
}

/// The parts of [`State`] that differ from one start to the next.
pub(crate) struct Parts {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) ledger: Recorder,
    pub(crate) upstream: Upstream,
    pub(crate) own: OwnSession,
    pub(crate) keys: GateKeys,
    pub(crate) past: Past,
    pub(crate) budgets: Budgets,
}

impl State {
    /// The state of a gate with this configuration.
    pub(crate) fn new(config: crate::GateConfig, parts: Parts) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of a token's life are far below 2^52"
        )]
        let token_s = config.session_token_s as f64;
        Self {
            gateway: config.gateway,
            account: config.account,
            hosts: config.listen.hosts,
            sessions: Sessions::new(config.limits.sessions, token_s),
            statements: Statements::new(snowgate_session::StatementLimits::default()),
            tickets: Tickets::default(),
            verdicts: VerdictCache::new(config.limits.cache_entries),
            flights: Flights::default(),
            limits: config.limits,
            session_token_s: config.session_token_s,
            own: parts.own,
            counters: Counters::default(),
            epoch: AtomicU64::new(0),
            large_bodies: Turns::default(),
            room: Arc::default(),
            results: Arc::default(),
            refused_logins: Strangers::default(),
            strange_requests: Strangers::default(),
            stopping: watch::Sender::new(false),
            bridge: parts.bridge,
            ledger: parts.ledger,
            upstream: parts.upstream,
            keys: parts.keys,
            past: parts.past,
            budgets: parts.budgets,
        }
    }

    /// Epoch of policy, catalog and identities.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Policy, catalog or an identity changed: no older verdict is used any more (F4).
    pub(crate) fn set_epoch(&self, epoch: u64) {
        if self.epoch.swap(epoch, Ordering::AcqRel) != epoch {
            self.verdicts.clear();
        }
    }

    /// The session of a request's token, or why there is none (`protocol.md` section 2.4).
    pub(crate) fn session(&self, call: &Call) -> Result<Arc<Session>, Refusal> {
        let login = "log in again";
        match call.token().map_or(Lookup::Unknown, |token| self.sessions.by_token(token, now_s())) {
            Lookup::Live(session) if session.over().is_none() => Ok(session),
            Lookup::Live(_) | Lookup::Gone => {
                Err(Refusal::with(codes::SESSION_GONE, "session", "the session is over", login))
            }
            Lookup::Expired => Err(Refusal::with(
                codes::TOKEN_EXPIRED,
                "session",
                "the session token has expired",
                "renew it",
            )),
            Lookup::Unknown => Err(Refusal::with(
                codes::TOKEN_UNKNOWN,
                "session",
                "the session token is not known here",
                login,
            )),
        }
    }

    /// `scheme://host:port` as the client reaches us, from the Host header. Only configured names are
    /// taken (F30): the answer goes into chunk URLs.
    pub(crate) fn base_url(
        &self,
        head: &http::request::Parts,
        peer: Peer,
    ) -> Result<String, Refusal> {
        let refused = || {
            Refusal::denied(
                "host",
                "the Host header names no host of this gateway",
                "add the name to listen.hosts",
            )
        };
        let mut values = head.headers.get_all(header::HOST).iter();
        let value = values.next().and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
        if values.next().is_some() {
            return Err(refused());
        }
        let authority: http::uri::Authority = value.parse().map_err(|_| refused())?;
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let known = self.hosts.iter().any(|known| known.eq_ignore_ascii_case(bare));
        let port = value.strip_prefix(host).ok_or_else(refused)?;
        let plain = match port.strip_prefix(':') {
            Some(digits) => {
                digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
            }
            None => port.is_empty(),
        };
        // A request line with another host than the header's has two readings.
        let one = head.uri.authority().is_none_or(|named| named == &authority);
        if !(known && plain && one) {
            return Err(refused());
        }
        let scheme = if peer.encrypted { "https" } else { "http" };
        Ok(format!("{scheme}://{value}"))
    }

    /// Refuse a request and record it, where a session is known.
    ///
    /// Ends with the refusal itself, or with the ledger's, if it cannot be recorded.
    pub(crate) async fn deny(
        &self,
        call: &Call,
        session: Option<&Arc<Session>>,
        query_id: Option<&Uuid>,
        refusal: Refusal,
    ) -> Reply {
        let found = match session {
            Some(session) => Some(Arc::clone(session)),
            None => self.session(call).ok(),
        };
        if found.is_none() {
            return refusal.render(&call.reference, query_id);
        }
        let refusal = self.record_denial(call, found.as_ref(), None, &refusal).await;
        refusal.render(&call.reference, query_id)
    }

    /// Record a denial; gives back what the client is told.
    pub(crate) async fn record_denial(
        &self,
        call: &Call,
        session: Option<&Arc<Session>>,
        sql: Option<&str>,
        refusal: &Refusal,
    ) -> Refusal {
        let path = call.head.uri.path();
        let what = Denied { reference: &call.reference, path, sql, ..Denied::default() };
        self.denied(session.map(AsRef::as_ref), &what, refusal).await
    }

    /// Record a denial; gives back what the client is told: the refusal, or the ledger's.
    pub(crate) async fn denied(
        &self,
        session: Option<&Session>,
        what: &Denied<'_>,
        refusal: &Refusal,
    ) -> Refusal {
        count(&self.counters.denials);
        let principal = session.map(|session| session.who.principal.name.clone());
        // Where the names of the text mean something.
        let place = session.filter(|_| what.sql.is_some()).map(Session::place);
        let fields = Fields::new()
            .put("reference", what.reference)
            .put("database", place.as_ref().map(|place| place.database.clone()))
            .put("schema", place.as_ref().map(|place| place.schema.clone()))
            .list("rules", &refusal.rules)
            .put("path", what.path)
            .put("principal", principal)
            .put("session", session.map(|session| session.id.clone()))
            .put("reason", refusal.reason.clone())
            .put("class", what.class)
            .put("policy", what.policy);
        let texts = match (session, what.sql) {
            (Some(session), Some(sql)) => vec![text("sql", &session.who.principal.key(), sql)],
            _ => Vec::new(),
        };
        match self.ledger.append("denial", fields, texts).await {
            Ok(_) => refusal.clone(),
            Err(unrecorded) => unrecorded,
        }
    }

    /// Whether a request without a session is recorded by itself.
    pub(crate) fn may_record_stranger(&self) -> bool {
        count(&self.counters.strangers);
        self.strange_requests.may_record()
    }

    /// Record how many refusals had no entry of their own.
    pub(crate) fn tell_missed(&self) {
        for (kind, strangers) in
            [("refused-logins", &self.refused_logins), ("strange-requests", &self.strange_requests)]
        {
            if let Some(missed) = strangers.missed() {
                count(&self.counters.alerts);
                tracing::warn!(kind, count = missed.count, "counted, not recorded one by one");
                let fields = Fields::new()
                    .put("alert", kind)
                    .put("count", missed.count)
                    .put("since_s", missed.since_s)
                    .put("detail", "they came faster than they are recorded one by one");
                self.ledger.later("alert", fields);
                self.bridge.notice("alert", &json!({"kind": kind, "count": missed.count}));
            }
        }
    }

    /// Tell people and the ledger that something happened that must not.
    pub(crate) fn alert(
        &self,
        kind: &str,
        session: Option<&Session>,
        reference: &str,
        detail: &str,
    ) {
        count(&self.counters.alerts);
        tracing::error!(kind, reference, detail, "alert");
        let session = session.map(|session| session.id.as_str());
        let fields = Fields::new()
            .put("alert", kind)
            .put("session", session)
            .put("reference", reference)
            .put("detail", detail);
        self.ledger.later("alert", fields);
        self.bridge.notice(
            "alert",
            &json!({"kind": kind, "session": session, "reference": reference, "detail": detail}),
        );
    }

    /// The gate is about to stop: those who wait for an approval are sent away.
    pub(crate) fn begin_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether it is.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when it is. Cancel-safe.
    pub(crate) async fn until_stopping(&self) {
        let mut stopping = self.stopping.subscribe();
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Longest answer to a poll.
    pub(crate) fn poll_hold(&self) -> Duration {
        self.limits.poll_hold()
    }
}

/// What was denied, for the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Denied<'a> {
    pub(crate) reference: &'a str,
    pub(crate) path: &'a str,
    pub(crate) class: Option<&'a str>,
    pub(crate) policy: Option<&'a str>,
    pub(crate) sql: Option<&'a str>,
}
