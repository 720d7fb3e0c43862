//! The life of a statement: checked, judged, held or forwarded, in a task of its own.
//!
//! # Rules
//!
//! - What no policy can allow is refused here, before the control plane is asked.
//! - A verdict is asked for under the session's order lock, so that the namespace it was judged in is
//!   the one the statement runs in (F9).
//! - A statement whose first attempt a restart cut short is not sent again unless it only reads (F11).

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;
use sha2::{Digest, Sha256};
use snowgate_session::{BodyDigest, Decision, Identity, Registered, Verdict};
use snowgate_wire::QueryRequest;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use uuid::Uuid;

use crate::{
    ask::{Held, HeldAnswer, HeldStatement},
    caught::caught,
    forward::{Forwarded, forward},
    hold, judge, own,
    past::PastStatement,
    race::{First, race},
    reply::{Refusal, codes},
    session::{Place, Session},
    state::{Denied, State},
    statement::{Asked, End, Statement},
};

/// Times a statement is judged anew because the epoch or the namespace changed meanwhile. Each change of
/// an object by others raises the epoch, and a build makes eight at a time.
const MAX_ATTEMPTS: usize = 32;

/// Path of statements, for the ledger.
pub(crate) const PATH: &str = "/queries/v1/query-request";

/// The order lock of a session, as a statement holds it.
pub(crate) enum Order {
    /// With others.
    Shared(#[expect(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<()>),
    /// Alone.
    Alone(#[expect(dead_code, reason = "held, not read")] OwnedRwLockWriteGuard<()>),
}

impl Order {
    /// Wait for the place of a statement; a barrier stands alone.
    pub(crate) async fn take(lock: &Arc<RwLock<()>>, barrier: bool) -> Self {
        let lock = Arc::clone(lock);
        if barrier {
            Self::Alone(lock.write_owned().await)
        } else {
            Self::Shared(lock.read_owned().await)
        }
    }
}

/// Why a statement did not run.
pub(crate) enum Stop {
    /// It was refused; the verdict says what of, where there is one.
    Refused(Box<Refusal>, Option<Arc<Verdict>>),
    /// It was cancelled.
    Cancelled(&'static str),
    /// Its session is over.
    Over(&'static str),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal), None)
    }
}

impl Stop {
    /// Denied by policy.
    pub(crate) fn denied(verdict: Arc<Verdict>) -> Self {
        Self::Refused(Box::new(judge::denial(&verdict)), Some(verdict))
    }
}

/// One statement on its way.
pub(crate) struct Job {
    pub(crate) state: Arc<State>,
    pub(crate) statement: Arc<Statement>,
    pub(crate) request: QueryRequest,
    pub(crate) asked: Asked,
    /// The control plane may have quarantined what it changes, and knows no end of it yet (F8).
    changes: AtomicBool,
}

/// Run a new statement to its end.
pub(crate) async fn run(state: Arc<State>, statement: Arc<Statement>, request: QueryRequest) {
    let job = Job::new(state, statement, request);
    job.supervised(|job| async move { job.attempt().await }).await;
}

/// Find a statement that is held since before a restart, and wait for its approval again.
pub(crate) async fn revive(
    state: &Arc<State>,
    session: &Arc<Session>,
    id: &Uuid,
) -> Option<Arc<Statement>> {
    let held = ask_held(state, session, id).await.ok().flatten()?;
    let binds = (!held.binds.is_empty()).then_some(held.binds.as_str());
    let parameters = if held.parameters.is_empty() { "{}" } else { &held.parameters };
    let request = QueryRequest::restore(&held.sql, binds, parameters).ok()?;
    let digest: BodyDigest = Sha256::digest(request.digest_input()).into();
    if hex::encode(digest) != held.statement_digest {
        state.alert("held-statement", Some(session), &id.to_string(), "its digest differs");
        return None;
    }
    let ids = Identity::of_query(&state.keys.retry, *id);
    let registered = state.statements.register(&session.id, *id, &digest, *id, || {
        Statement::new(ids, digest, id.to_string(), Arc::clone(session), String::new())
    });
    match registered {
        Registered::New(statement) => {
            let job = Job::new(Arc::clone(state), Arc::clone(&statement), request);
            tokio::spawn(async move {
                let resume = |job: Arc<Job>| async move { hold::resume(&job, *held).await };
                job.supervised(resume).await;
            });
            Some(statement)
        }
        Registered::Same(statement) => Some(statement),
        Registered::Differs | Registered::Busy => None,
    }
}

async fn ask_held(
    state: &State,
    session: &Session,
    id: &Uuid,
) -> Result<Option<Box<HeldStatement>>, Refusal> {
    let place = session.place();
    let question = Held {
        query_id: &id.to_string(),
        session: session.actor(),
        database: &place.database,
        schema: &place.schema,
    };
    let limit = state.limits.judge_limit();
    match state.bridge.question("held", &question, limit).await? {
        HeldAnswer::Held(held) => Ok(Some(held)),
        HeldAnswer::None(_) => Ok(None),
    }
}

impl Job {
    fn new(state: Arc<State>, statement: Arc<Statement>, request: QueryRequest) -> Arc<Self> {
        let asked = Asked::of(&request);
        Arc::new(Self { state, statement, request, asked, changes: AtomicBool::new(false) })
    }

    /// Run `work`, and finish the statement whatever comes: an end, a stop, or a panic.
    async fn supervised<Work, Running>(self: Arc<Self>, work: Work)
    where
        Work: FnOnce(Arc<Self>) -> Running,
        Running: Future<Output = Result<End, Stop>>,
    {
        let end = match caught(work(Arc::clone(&self))).await {
            Ok(Ok(end)) => end,
            Ok(Err(stop)) => self.stopped(stop).await,
            Err(_) => {
                let statement = &self.statement;
                self.state.alert(
                    "internal",
                    Some(&statement.session),
                    &statement.reference,
                    "the task of a statement failed",
                );
                self.failed(&Refusal::internal())
            }
        };
        if self.changes.load(Ordering::Acquire) {
            let over = json!({"reference": self.statement.reference});
            self.state.bridge.notice("statement_over", &over);
        }
        self.statement.finish(end);
        self.state.statements.finish(&self.statement.query_id);
        if self.statement.session.over().is_some() {
            // It may have begun in the very moment in which all others of its session were forgotten.
            self.state.statements.forget(&self.statement.query_id);
        }
    }

    async fn stopped(&self, stop: Stop) -> End {
        match stop {
            Stop::Refused(refusal, verdict) => {
                let what = Denied {
                    reference: &self.statement.reference,
                    path: PATH,
                    class: verdict.as_ref().map(|verdict| verdict.class.as_str()),
                    policy: verdict.as_ref().map(|verdict| verdict.policy.as_str()),
                    sql: Some(&self.asked.sql),
                };
                let session = &self.statement.session;
                let refusal = self.state.denied(Some(session), &what, &refusal).await;
                self.failed(&refusal)
            }
            Stop::Cancelled(_) => self.cancelled(),
            Stop::Over(_) => self.failed(&over()),
        }
    }

    /// The end for a refusal.
    pub(crate) fn failed(&self, refusal: &Refusal) -> End {
        let statement = &self.statement;
        let failure = refusal.failure(&statement.reference, Some(&statement.query_id));
        End::failed(failure.render())
    }

    /// The end of a statement that was cancelled before it ran.
    pub(crate) fn cancelled(&self) -> End {
        let statement = &self.statement;
        // Python's driver looks for these words.
        let refusal = Refusal::with(codes::CANCELLED, "cancelled", "SQL execution canceled", "");
        let failure = refusal.failure(&statement.reference, Some(&statement.query_id));
        End::cancelled(failure.render())
    }

    async fn attempt(&self) -> Result<End, Stop> {
        let barrier = self.check()?;
        let session = &self.statement.session;
        if let Some(past) = self.state.past.by_request(&self.statement.upstream_request_id) {
            if let Some(end) = self.known(past).await? {
                return Ok(end);
            }
        } else if session.restored {
            let held = ask_held(&self.state, session, &self.statement.query_id).await?;
            if let Some(held) = held {
                return hold::resume(self, *held).await;
            }
        }
        self.judged(barrier).await
    }

    /// What no policy can allow. Returns whether the statement looks like a barrier.
    fn check(&self) -> Result<bool, Refusal> {
        let request = &self.request;
        let denied =
            |reason: &str, remedy: &str| Err(Refusal::denied("unsupported", reason, remedy));
        if request.async_exec {
            return denied(
                "asynchronous statements are not offered here",
                "run the statement synchronously; it may take as long as it needs",
            );
        }
        if request.bind_stage.is_some() {
            return denied(
                "binds on a stage would go around the gateway",
                "set CLIENT_STAGE_ARRAY_BINDING_THRESHOLD to 0, or insert smaller batches",
            );
        }
        if request.parameters.statement_count.is_some() {
            return denied(
                "MULTI_STATEMENT_COUNT announces several statements",
                "send the statements one by one",
            );
        }
        let classified = judge::classify(&self.state, &request.sql)?;
        let mut calls = classified.statements.iter().flat_map(|head| &head.calls);
        if calls.any(|call| call.name.eq_ignore_ascii_case("RESULT_SCAN")) {
            return denied(
                "RESULT_SCAN reads results by their id, around their masks",
                "read the tables themselves",
            );
        }
        Ok(classified.statements.iter().any(|head| head.barrier))
    }

    async fn judged(&self, looks_like_barrier: bool) -> Result<End, Stop> {
        let session = &self.statement.session;
        // Barriers are judged beside others at first; one that was overtaken keeps the others out.
        let mut alone = false;
        let mut over: Vec<String> = Vec::new();
        for _ in 0..MAX_ATTEMPTS {
            let order = self.unless_stopped(Order::take(&session.order, alone)).await?;
            let place = session.place();
            if place.unknown {
                drop(order);
                self.resynchronise().await?;
                continue;
            }
            let verdict = self.unless_stopped(self.judge(&place, &over)).await??;
            match verdict.decision {
                Decision::Deny => {
                    return Err(Stop::denied(verdict));
                }
                Decision::Hold => {
                    drop(order);
                    let more = self.begin_under(&verdict, false)?;
                    if more.iter().any(|budget| !over.contains(budget)) {
                        over = more;
                        continue;
                    }
                    return hold::hold(self, verdict, &place).await;
                }
                Decision::Allow => {}
            }
            let order = if (verdict.barrier || looks_like_barrier) && !alone {
                drop(order);
                alone = true;
                let order = self.unless_stopped(Order::take(&session.order, true)).await?;
                if session.place() != place || !judge::still_good(&self.state, &verdict) {
                    continue;
                }
                order
            } else {
                order
            };
            let more = self.begin_under(&verdict, true)?;
            if !more.is_empty() {
                over = more;
                continue;
            }
            match forward(self, &verdict, looks_like_barrier, None, order).await? {
                Forwarded::Ended(end) => return Ok(end),
                Forwarded::Stale(_) => {}
            }
        }
        Err(Refusal::control_plane("policy and catalog keep changing").into())
    }

    /// [`Job::begin`]; a denial says what of.
    pub(crate) fn begin_under(
        &self,
        verdict: &Arc<Verdict>,
        commit: bool,
    ) -> Result<Vec<String>, Stop> {
        let begun = self.begin(verdict, commit);
        begun.map_err(|refusal| Stop::Refused(Box::new(refusal), Some(Arc::clone(verdict))))
    }

    async fn judge(&self, place: &Place, over: &[String]) -> Result<Arc<Verdict>, Refusal> {
        let statement = &self.statement;
        let answer = judge::judge(
            &self.state,
            &statement.session,
            place,
            &self.asked,
            &statement.reference,
            true,
            over,
        )
        .await;
        self.may_change(&answer);
        answer
    }

    /// Note whether the control plane may have quarantined something for this answer.
    pub(crate) fn may_change(&self, answer: &Result<Arc<Verdict>, Refusal>) {
        let harmless =
            |verdict: &Arc<Verdict>| verdict.decision == Decision::Deny || !verdict.changes_catalog;
        if !answer.as_ref().is_ok_and(harmless) {
            self.may_change_something();
        }
    }

    /// Note that the control plane may have quarantined something.
    pub(crate) fn may_change_something(&self) {
        self.changes.store(true, Ordering::Release);
    }

    /// Note that the control plane knows how the change ended.
    pub(crate) fn change_told(&self) {
        self.changes.store(false, Ordering::Release);
    }

    /// Ask upstream where the session stands, after a barrier whose reply was lost (F9).
    pub(crate) async fn resynchronise(&self) -> Result<(), Stop> {
        let session = &self.statement.session;
        let _alone = self.unless_stopped(Order::take(&session.order, true)).await?;
        if session.place().unknown {
            own::resynchronise(&self.state, session, &self.statement.reference).await?;
        }
        Ok(())
    }

    /// Wait for `work`, unless the statement or its session is stopped first.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        self.check_stopped()?;
        let stop = race(self.statement.session.until_over(), self.statement.until_cancelled());
        match race(work, stop).await {
            First::One(result) => Ok(result),
            First::Other(First::One(why)) => Err(Stop::Over(why)),
            First::Other(First::Other(why)) => Err(Stop::Cancelled(why)),
        }
    }

    /// Whether the statement may go on.
    pub(crate) fn check_stopped(&self) -> Result<(), Stop> {
        if let Some(why) = self.statement.session.over() {
            return Err(Stop::Over(why));
        }
        if let Some(why) = self.statement.cancel_reason() {
            return Err(Stop::Cancelled(why));
        }
        if !self.state.ledger.healthy() {
            return Err(Refusal::ledger().into());
        }
        Ok(())
    }

    /// A statement that was recorded before a restart: its end, or `None` if it may run again.
    async fn known(&self, past: PastStatement) -> Result<Option<End>, Stop> {
        if past.read_only {
            return Ok(None);
        }
        let session = &self.statement.session;
        if let (true, Some(upstream_query_id)) = (past.succeeded(), past.upstream_query_id.clone())
        {
            let place = session.place();
            let now = self.judge(&place, &[]).await?;
            if now.decision == Decision::Deny {
                return Err(Stop::denied(now));
            }
            let verdict = Arc::new(past.tighten(Verdict::clone(&now)));
            let asked = self.asked.kept();
            self.statement.keep(crate::statement::Ran { upstream_query_id, verdict, place, asked });
            return Ok(Some(End::fetch_again()));
        }
        Err(past.answer_without_text().into())
    }
}

/// The refusal of a session that is over.
pub(crate) fn over() -> Refusal {
    Refusal::with(codes::SESSION_GONE, "session", "the session is over", "log in again")
}
