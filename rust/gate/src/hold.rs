//! Held statements: they wait for an approval, and run once.
//!
//! ```text
//!   hold ─► Held ──poll or wake──► consume ─┬─ wait ─► Held
//!             │                             ├─ go ───► forward (intent names the approval)
//!             │                             └─ end ──► failure
//!             └─ cancel, logout, kill ─► cancel_hold, failure
//! ```
//!
//! # Rules
//!
//! - `consume` is asked from the statement's one task, so an approval releases one waiter, and only
//!   while a client waits (F13).
//! - It is asked with the session's place held: the context that the approval is compared with is the
//!   one the statement then runs in.
//! - Approval never removes a mask: the released verdict carries its plan (F12). It is that plan which
//!   shows in clear what a rule unmasks; judged again it may show less, and never another tag.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use snowgate_session::{Decision, Verdict};
use tokio::time::Instant;

use crate::{
    ask::{Consume, ConsumeAnswer, HeldStatement, Hold, HoldAnswer},
    forward::{Forwarded, forward},
    judge,
    life::{Job, Order, Stop},
    race::{First, race},
    reply::{Refusal, codes},
    session::{Place, now_s},
    state::count,
    statement::{End, Phase},
};

/// After the end of an approval's time the control plane is asked once more, to hear its words.
const EXPIRY_GRACE: Duration = Duration::from_secs(1);

/// Times a released statement is judged again because the epoch changes.
const MAX_ATTEMPTS: usize = 32;

/// Longest time a held statement waits without asking, should its expiry be unreadable.
const LONGEST_WAIT: Duration = Duration::from_hours(30 * 24);

/// Why the wait was interrupted.
enum Event {
    /// A client waits, or the approval was decided.
    Poked,
    /// The approval's time is over.
    Expired,
}

/// One held statement.
struct Waiting<'a> {
    job: &'a Job,
    approval: String,
    until: Instant,
    barrier: bool,
}

/// Ask for an approval, and wait for it.
pub(crate) async fn hold(job: &Job, verdict: Arc<Verdict>, place: &Place) -> Result<End, Stop> {
    let (state, statement) = (&job.state, &job.statement);
    let session = &statement.session;
    if session.is_ahead_of_store() {
        // The approval will be bound to a context that a restart must find again.
        state.session_changed(session).await?;
    }
    let digest = hex::encode(statement.digest);
    let binds = job.request.bindings_json().unwrap_or_default();
    let question = Hold {
        reference: &statement.reference,
        session: session.actor(),
        database: &place.database,
        schema: &place.schema,
        query_id: &statement.query_id.to_string(),
        sql: &job.asked.sql,
        binds: &binds,
        parameters: &job.request.parameters_json(),
        context_digest: &session.context_digest(place),
        statement_digest: &digest,
        verdict: &verdict,
    };
    let limit = state.limits.judge_limit();
    let answer: HoldAnswer = state.bridge.question("hold", &question, limit).await?;
    let held = match answer {
        HoldAnswer::Approval(held) => held,
        HoldAnswer::Deny { rule, reason, remedy } => {
            return Err(Stop::Refused(
                Box::new(Refusal::denied(&rule, reason, remedy)),
                Some(verdict),
            ));
        }
    };
    count(&state.counters.holds);
    statement.tally.waive(&verdict.over);
    let until = moment(held.expires_at_s);
    Waiting { job, approval: held.id, until, barrier: verdict.barrier }.wait().await
}

/// Wait again for an approval that was asked for before a restart.
pub(crate) async fn resume(job: &Job, held: HeldStatement) -> Result<End, Stop> {
    if held.statement_digest != hex::encode(job.statement.digest) {
        return Err(Refusal::control_plane("the held statement is another one").into());
    }
    job.statement.tally.waive(&held.verdict.over);
    let until = moment(held.expires_at_s);
    Waiting { job, approval: held.approval, until, barrier: held.verdict.barrier }.wait().await
}

/// The moment of a Unix time.
fn moment(at_s: f64) -> Instant {
    let left = Duration::try_from_secs_f64(at_s - now_s()).unwrap_or(Duration::ZERO);
    Instant::now() + left.min(LONGEST_WAIT)
}

impl Waiting<'_> {
    async fn wait(&self) -> Result<End, Stop> {
        let statement = &self.job.statement;
        statement.enter(Phase::Held);
        let _held = statement.session.hold();
        loop {
            let expiry = tokio::time::sleep_until(self.until + EXPIRY_GRACE);
            let event = match self.job.unless_stopped(race(statement.poke.notified(), expiry)).await
            {
                Ok(First::One(())) => Event::Poked,
                Ok(First::Other(())) => Event::Expired,
                Err(stop) => {
                    self.withdraw(&stop);
                    return Err(stop);
                }
            };
            if matches!(event, Event::Poked) && !statement.has_waiter() {
                continue;
            }
            let answered = self.consume().await;
            match answered {
                Ok(Some(end)) => return Ok(end),
                Ok(None) if matches!(event, Event::Expired) => {
                    return Ok(self.ended("expired", codes::CANCELLED, "the approval has expired"));
                }
                Ok(None) => {}
                Err(stop) => {
                    self.withdraw(&stop);
                    return Err(stop);
                }
            }
        }
    }

    /// Ask whether the statement may run, and run it if so. `None`: not decided yet.
    async fn consume(&self) -> Result<Option<End>, Stop> {
        let job = self.job;
        let (state, statement) = (&job.state, &job.statement);
        let session = &statement.session;
        if session.place().unknown && job.resynchronise().await.is_err() {
            // Upstream cannot be asked now: the statement keeps waiting.
            job.check_stopped()?;
            return Ok(None);
        }
        let order = job.unless_stopped(Order::take(&session.order, self.barrier)).await?;
        let place = session.place();
        let digest = hex::encode(statement.digest);
        let question = Consume {
            reference: &statement.reference,
            approval: &self.approval,
            query_id: &statement.query_id.to_string(),
            session: session.actor(),
            database: &place.database,
            schema: &place.schema,
            context_digest: &session.context_digest(&place),
            statement_digest: &digest,
            epoch: state.epoch(),
        };
        let limit = state.limits.judge_limit();
        let answer: Result<ConsumeAnswer, Refusal> =
            state.bridge.question("consume", &question, limit).await;
        let verdict: Arc<Verdict> = match answer {
            Ok(ConsumeAnswer::Go(verdict)) => {
                if verdict.changes_catalog {
                    job.may_change_something();
                }
                Arc::from(verdict)
            }
            Ok(ConsumeAnswer::Wait(_)) => return Ok(None),
            Ok(ConsumeAnswer::End { state, code, sqlstate, message }) => {
                return Ok(Some(self.ended(&state, (&code, &sqlstate), &message)));
            }
            // Whether the approval was consumed is not known: the statement keeps waiting, and the
            // control plane says so when it is asked again.
            Err(refusal) => {
                job.may_change_something();
                tracing::warn!(reference = statement.reference, reason = refusal.reason, "consume");
                return Ok(None);
            }
        };
        job.released();
        self.run(verdict, &place, order).await.map(Some)
    }

    /// Run the released statement. Should the epoch change now, it is judged again: the approval is
    /// consumed, and what policy no longer holds for the same reason does not run.
    async fn run(&self, released: Arc<Verdict>, place: &Place, order: Order) -> Result<End, Stop> {
        let job = self.job;
        let (state, session) = (&job.state, &job.statement.session);
        let rule = |verdict: &Verdict| verdict.hold.as_ref().map(|terms| terms.rule.clone());
        let held_by = rule(&released);
        let shown = released.unmasked().to_vec();
        let mut verdict = released;
        let mut order = Some(order);
        for _ in 0..MAX_ATTEMPTS {
            if verdict.decision == Decision::Deny {
                return Err(Stop::denied(verdict));
            }
            let other_rule = verdict.decision == Decision::Hold && rule(&verdict) != held_by;
            let barrier_now = verdict.barrier && !self.barrier;
            let shows_more = verdict.unmasked().iter().any(|tag| !shown.contains(tag));
            if place.unknown || barrier_now || other_rule || shows_more {
                break;
            }
            if judge::still_good(state, &verdict)
                && let Some(held) = order.take()
            {
                if !job.begin_under(&verdict, true)?.is_empty() {
                    return Ok(self.ended(
                        "abandoned",
                        codes::CANCELLED,
                        "a budget was used up while the approval was pending; run the statement \
                         again",
                    ));
                }
                let approval = Some(self.approval.as_str());
                match forward(job, &verdict, self.barrier, approval, held).await? {
                    Forwarded::Ended(end) => return Ok(end),
                    Forwarded::Stale(back) => order = Some(back),
                }
            }
            let reference = &job.statement.reference;
            let answer =
                judge::judge(state, session, place, &job.asked, reference, true, &[]).await;
            job.may_change(&answer);
            verdict = answer?;
        }
        Ok(self.abandoned())
    }

    /// The approval was consumed, but what it was given for changed in the same moment.
    fn abandoned(&self) -> End {
        self.ended(
            "abandoned",
            codes::CANCELLED,
            "policy or session changed while the approval was consumed; run the statement again",
        )
    }

    fn ended(&self, state: &str, codes: (&str, &str), message: &str) -> End {
        let refusal = Refusal::with(codes, state, message, "");
        let statement = &self.job.statement;
        let failure = refusal.failure(&statement.reference, Some(&statement.query_id));
        End::cancelled(failure.render())
    }

    /// Tell the control plane that nobody waits any more.
    fn withdraw(&self, stop: &Stop) {
        let why = match stop {
            Stop::Cancelled(why) => why,
            Stop::Over("logout") => "logout",
            Stop::Over(_) => "killed",
            Stop::Refused(..) => return,
        };
        let query_id = self.job.statement.query_id.to_string();
        self.job.state.bridge.notice("cancel_hold", &json!({"query_id": query_id, "why": why}));
    }
}
