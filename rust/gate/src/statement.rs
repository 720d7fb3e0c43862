//! A statement as its clients see it: submit, retry, poll, fetch again.
//!
//! ```text
//!   POST query-request ─┐                     ┌─ Working ──────────────┐
//!   the same, again    ─┼─ register ─► task ──┼─ Held ── go ─► Working ─┼─► Finished
//!   GET …/result       ─┘                     └────────────────────────┘
//! ```
//!
//! # Rules
//!
//! - The statement lives in a task of its own: a client that goes away stops nothing, and a retry
//!   with the same bytes finds it (F11).
//! - An answer is held for at most `poll_hold_s`; then the client is told to ask again. Drivers ask
//!   at once, so the hold sets the pace (`protocol.md` section 4).
//! - Rows are handed out once and not kept. Who asks again gets them from upstream by query id, under
//!   a verdict of now and of then, whichever is stricter (F5).

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use snowgate_session::{BodyDigest, Identity, Registered, Verdict};
use snowgate_wire::{QueryReply, QueryRequest, QueryString, in_progress};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use crate::{
    judge, life,
    reply::{Refusal, Reply, codes, ok},
    result,
    routes::Call,
    session::{Place, Session},
    state::{State, count},
};

/// Code of a statement that still runs or waits.
const IN_PROGRESS: &str = "333333";

/// Time within which a waiter must have been seen for an approval to be consumed (F13).
const WAITER_S: u64 = 60;

/// Where a statement is.
#[derive(Clone)]
pub(crate) enum Phase {
    /// It is judged, recorded, or runs upstream.
    Working,
    /// It waits for an approval.
    Held,
    /// It came to its end.
    Finished(Arc<Finished>),
}

/// How a statement ended.
pub(crate) struct Finished {
    pub(crate) end: End,
    pub(crate) at: Instant,
}

/// What its clients get.
pub(crate) enum End {
    /// Rows, until somebody took them.
    Rows(Mutex<Option<Bytes>>),
    /// A failure or denial; small, so every retry gets it.
    Failed(Failed),
}

/// A statement that gave no result.
pub(crate) struct Failed {
    pub(crate) body: Bytes,
    /// Cancelled, rather than wrong.
    pub(crate) cancelled: bool,
}

impl End {
    /// The end of a statement with a result.
    pub(crate) fn rows(body: Vec<u8>) -> Self {
        Self::Rows(Mutex::new(Some(Bytes::from(body))))
    }

    /// The end of a statement whose rows lie upstream.
    pub(crate) fn fetch_again() -> Self {
        Self::Rows(Mutex::new(None))
    }

    /// The end of a statement that was refused or failed.
    pub(crate) fn failed(body: Vec<u8>) -> Self {
        Self::Failed(Failed { body: Bytes::from(body), cancelled: false })
    }

    /// The end of a statement that was cancelled.
    pub(crate) fn cancelled(body: Vec<u8>) -> Self {
        Self::Failed(Failed { body: Bytes::from(body), cancelled: true })
    }

    fn take(&self) -> Option<Bytes> {
        match self {
            Self::Rows(rows) => rows.lock().unwrap_or_else(PoisonError::into_inner).take(),
            Self::Failed(failed) => Some(failed.body.clone()),
        }
    }
}

/// What is kept of a statement that ran, to judge and fetch its result again.
#[derive(Clone)]
pub(crate) struct Ran {
    pub(crate) upstream_query_id: String,
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) place: Place,
    /// Text and bind types; `None` if the text is too long to keep.
    pub(crate) asked: Option<Asked>,
}

/// What a verdict is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) sql: Arc<str>,
    pub(crate) bind_types: Arc<[String]>,
    pub(crate) describe_only: bool,
}

/// Longest text that is kept to judge a later fetch. The result of a longer one is voided when it is
/// fetched again under another epoch.
const KEPT_SQL_BYTES: usize = 64 * 1024;

impl Asked {
    /// What to ask about a request.
    pub(crate) fn of(request: &QueryRequest) -> Self {
        Self {
            sql: request.sql.as_str().into(),
            bind_types: request.bind_types().into_iter().map(str::to_owned).collect(),
            describe_only: request.describe_only,
        }
    }

    /// The same, if it is short enough to keep.
    pub(crate) fn kept(&self) -> Option<Self> {
        (self.sql.len() <= KEPT_SQL_BYTES).then(|| self.clone())
    }
}

/// One statement of one session.
pub(crate) struct Statement {
    pub(crate) query_id: Uuid,
    pub(crate) upstream_request_id: Uuid,
    /// Digest of text, binds, parameters and flags.
    pub(crate) digest: BodyDigest,
    pub(crate) reference: String,
    pub(crate) session: Arc<Session>,
    /// `scheme://host:port` for chunk URLs.
    pub(crate) base: String,
    pub(crate) started: Instant,
    /// A byte of it may have gone upstream.
    pub(crate) sent: AtomicBool,
    /// A held statement has a waiter, or was decided: ask again.
    pub(crate) poke: Notify,
    phase: watch::Sender<Phase>,
    cancelled: watch::Sender<Option<&'static str>>,
    waiter_s: AtomicU64,
    ran: Mutex<Option<Ran>>,
}

impl Statement {
    /// A statement in its first moment.
    pub(crate) fn new(
        ids: Identity,
        digest: BodyDigest,
        reference: String,
        session: Arc<Session>,
        base: String,
    ) -> Self {
        Self {
            query_id: ids.query_id,
            upstream_request_id: ids.upstream_request_id,
            digest,
            reference,
            session,
            base,
            started: Instant::now(),
            sent: AtomicBool::new(false),
            poke: Notify::new(),
            phase: watch::Sender::new(Phase::Working),
            cancelled: watch::Sender::new(None),
            waiter_s: AtomicU64::new(0),
            ran: Mutex::default(),
        }
    }

    /// Where it is.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Go on to another phase. The last one stays.
    pub(crate) fn enter(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            let open = !matches!(phase, Phase::Finished(_));
            if open {
                *phase = next;
            }
            open
        });
    }

    /// Come to the end.
    pub(crate) fn finish(&self, end: End) {
        self.enter(Phase::Finished(Arc::new(Finished { end, at: Instant::now() })));
    }

    /// Somebody wants it to stop. The first reason stays.
    pub(crate) fn cancel(&self, why: &'static str) {
        self.cancelled.send_if_modified(|cancelled| {
            let first = cancelled.is_none();
            if first {
                *cancelled = Some(why);
            }
            first
        });
    }

    /// Why it shall stop, if it shall.
    pub(crate) fn cancel_reason(&self) -> Option<&'static str> {
        *self.cancelled.borrow()
    }

    /// Returns when it shall stop. Cancel-safe.
    pub(crate) async fn until_cancelled(&self) -> &'static str {
        let mut cancelled = self.cancelled.subscribe();
        match cancelled.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or("cancelled"),
            Err(_) => "cancelled",
        }
    }

    /// Returns when it has finished. Cancel-safe.
    pub(crate) async fn until_finished(&self) {
        let mut phase = self.phase.subscribe();
        let _ = phase.wait_for(|phase| matches!(phase, Phase::Finished(_))).await;
    }

    /// Whether it has finished.
    pub(crate) fn has_finished(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Finished(_))
    }

    /// Whether a client asked for it within the last minute (F13).
    pub(crate) fn has_waiter(&self) -> bool {
        let seen = self.waiter_s.load(Ordering::Acquire);
        self.started.elapsed().as_secs().saturating_sub(seen) <= WAITER_S
    }

    fn seen(&self) {
        self.waiter_s.store(self.started.elapsed().as_secs(), Ordering::Release);
    }

    /// Remember how to fetch its result again.
    pub(crate) fn keep(&self, ran: Ran) {
        *self.ran.lock().unwrap_or_else(PoisonError::into_inner) = Some(ran);
    }

    fn ran(&self) -> Option<Ran> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drop rows that nobody took; they can be fetched again.
    pub(crate) fn forget_rows(&self, older_than: std::time::Duration) {
        if let Phase::Finished(finished) = self.phase()
            && matches!(finished.end, End::Rows(_))
            && finished.at.elapsed() >= older_than
        {
            drop(finished.end.take());
        }
    }
}

/// `POST /queries/v1/query-request`.
pub(crate) async fn submit(state: &Arc<State>, call: &Call, body: &[u8]) -> Reply {
    let session = match state.session(call) {
        Ok(session) => session,
        Err(refusal) => return refusal.render(&call.reference, None),
    };
    let (request, request_id) = match read(call, body) {
        Ok(read) => read,
        Err(refusal) => return state.deny(call, Some(&session), None, refusal).await,
    };
    count(&state.counters.statements);
    let digest: BodyDigest = Sha256::digest(request.digest_input()).into();
    let ids = Identity::derive(&state.keys.retry, &session.id, &request_id, &digest);
    let registered = state.statements.register(&session.id, request_id, &digest, ids.query_id, {
        let (session, reference) = (Arc::clone(&session), call.reference.clone());
        || Statement::new(ids, digest, reference, session, call.base.clone())
    });
    let refusal = match registered {
        Registered::New(statement) => {
            tokio::spawn(life::run(Arc::clone(state), Arc::clone(&statement), request));
            return wait(state, call, &statement, true).await;
        }
        Registered::Same(statement) => return wait(state, call, &statement, true).await,
        Registered::Differs => Refusal::denied(
            "request-id-reuse",
            "the requestId was used before for another statement",
            "send every statement with a requestId of its own",
        ),
        Registered::Busy => Refusal::denied(
            "busy",
            "too many statements of this session are under way",
            "wait for some of them to end",
        ),
    };
    state.deny(call, Some(&session), None, refusal).await
}

/// The request and its id. Neither may be missing: without an id a retry would run twice.
fn read(call: &Call, body: &[u8]) -> Result<(QueryRequest, Uuid), Refusal> {
    let malformed = |reason: String| Refusal::denied("request-body", reason, "");
    let query = QueryString::parse(call.query()).map_err(|error| malformed(error.to_string()))?;
    let request_id = query.get("requestId").and_then(|id| Uuid::try_parse(id).ok());
    let request_id =
        request_id.ok_or_else(|| malformed("the requestId is missing or no UUID".to_owned()))?;
    let request = QueryRequest::parse(body).map_err(|error| malformed(error.to_string()))?;
    Ok((request, request_id))
}

/// `GET /queries/{id}/result`: a poll, or a fetch of a finished result.
pub(crate) async fn fetch(state: &Arc<State>, call: &Call, id: Uuid) -> Reply {
    let session = match state.session(call) {
        Ok(session) => session,
        Err(refusal) => return refusal.render(&call.reference, None),
    };
    if let Some(statement) = find(state, &session, &id).await {
        statement.poke.notify_one();
        return wait(state, call, &statement, false).await;
    }
    let refusal = match state.past.by_query(&session.id, &id) {
        Some(past) => past.answer_without_text(),
        None => not_yours(),
    };
    state.deny(call, Some(&session), Some(&id), refusal).await
}

/// The session's own statement with this id, also one that is held since before a restart.
pub(crate) async fn find(
    state: &Arc<State>,
    session: &Arc<Session>,
    id: &Uuid,
) -> Option<Arc<Statement>> {
    if let Some(statement) = state.statements.by_query(&session.id, id) {
        return Some(statement);
    }
    if !session.restored || state.past.by_query(&session.id, id).is_some() {
        return None;
    }
    life::revive(state, session, id).await
}

/// The refusal of an id that is not the session's own: also of one that does not exist.
pub(crate) fn not_yours() -> Refusal {
    Refusal::denied(
        "not-your-query",
        "the query id belongs to no statement of this session",
        "fetch results in the session that ran the statement",
    )
}

/// Answer when the statement has finished, or after the longest hold. With `tell_held`, a held
/// statement is answered at once, so that the client learns its query id.
async fn wait(state: &State, call: &Call, statement: &Arc<Statement>, tell_held: bool) -> Reply {
    let deadline = Instant::now() + state.poll_hold();
    let mut phase = statement.phase.subscribe();
    loop {
        statement.seen();
        let now = phase.borrow_and_update().clone();
        match now {
            Phase::Finished(finished) => return deliver(state, call, statement, &finished).await,
            Phase::Held if tell_held => break,
            Phase::Held | Phase::Working => {}
        }
        if timeout_at(deadline, phase.changed()).await.is_err() {
            break;
        }
    }
    statement.seen();
    ok(in_progress(&statement.query_id.to_string(), IN_PROGRESS))
}

async fn deliver(
    state: &State,
    call: &Call,
    statement: &Arc<Statement>,
    finished: &Finished,
) -> Reply {
    if statement.session.over().is_some() && matches!(finished.end, End::Rows(_)) {
        let refusal =
            Refusal::with(codes::SESSION_GONE, "session", "the session is over", "log in again");
        return refusal.render(&call.reference, Some(&statement.query_id));
    }
    if let Some(body) = finished.end.take() {
        return ok(body);
    }
    match again(state, call, statement).await {
        Ok(body) => ok(body),
        Err(refusal) => {
            let (session, id) = (&statement.session, &statement.query_id);
            state.deny(call, Some(session), Some(id), refusal).await
        }
    }
}

/// Fetch a result again, judged for the fetcher, now (F5).
async fn again(state: &State, call: &Call, statement: &Arc<Statement>) -> Result<Vec<u8>, Refusal> {
    let session = &statement.session;
    let ran = statement.ran().ok_or_else(gone)?;
    let verdict = judge::now_and_then(state, session, &ran, &call.reference).await?;
    let reply = session.upstream.result(&ran.upstream_query_id).await.map_err(|error| {
        Refusal::with(codes::UPSTREAM, "upstream", error.to_string(), "try again")
    })?;
    match reply {
        QueryReply::Done(head) => {
            let shown = result::Show {
                state,
                session,
                verdict: &verdict,
                query_id: &statement.query_id.to_string(),
                reference: &call.reference,
                base: &call.base,
            };
            shown.render(&head).map(|rendered| rendered.body)
        }
        QueryReply::InProgress(_) => Ok(in_progress(&statement.query_id.to_string(), IN_PROGRESS)),
        QueryReply::Failed(failure) => Err(Refusal::with(
            (&failure.code, failure.sqlstate.as_deref().unwrap_or("02000")),
            "upstream",
            format!("the result cannot be fetched again ({})", failure.code),
            "run the statement again",
        )),
    }
}

/// The refusal of a result that is not there any more.
fn gone() -> Refusal {
    Refusal::denied("result-gone", "the result is no longer there", "run the statement again")
}
