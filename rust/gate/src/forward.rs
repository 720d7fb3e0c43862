//! Forwarding one statement: intent, one byte upstream, reply, outcome.
//!
//! ```text
//!   verdict ─► intent durable ─► verdict still good? ─► upstream ─► verdict still good? ─► rows
//!                                      └─ no: not sent, judged again                └─► outcome
//! ```
//!
//! # Rules
//!
//! - Nothing is sent before its intent is durable, and nothing is sent twice (F11).
//! - The verdict is checked again after the intent's sync, and at the head of the reply (F8).
//! - A reply in another role than the pinned one is withheld and ends the session (F10).
//! - Whatever becomes of it, an outcome is recorded; where nobody knows, it says `unknown`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use snowgate_session::{Decision, Verdict};
use snowgate_upstream::UpstreamError;
use snowgate_wire::{CREDENTIAL_STATEMENT_TYPE, Failure, Parameters, QueryReply, ResultHead};
use uuid::Uuid;

use crate::{
    account,
    ask::{CatalogChanged, Noted},
    entries::{self, Outcome},
    judge,
    life::{Job, Order, PATH, Stop, over},
    meter::Meter,
    reply::{Refusal, codes},
    result::{Show, Withheld},
    session::Place,
    state::Denied,
    statement::{End, Phase, Ran},
    tag::query_tag,
};

/// Failed polls in a row before the outcome counts as unknown; the statement itself runs on.
const POLL_FAILURES: u32 = 6;

/// Pause before a failed poll is repeated, doubled each time.
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause between polls.
const POLL_PAUSE_MAX: Duration = Duration::from_secs(8);

/// Least time between two polls that were answered at once.
const POLL_PACE: Duration = Duration::from_millis(100);

/// Result of forwarding.
pub(crate) enum Forwarded {
    /// The statement came to its end.
    Ended(End),
    /// The verdict was overtaken before a byte was sent: judge again, in the same place.
    Stale(Order),
}

/// One statement with its verdict, about to be sent.
struct Sending<'a> {
    job: &'a Job,
    verdict: &'a Arc<Verdict>,
    place: Place,
    barrier: bool,
    seq: u64,
}

/// Forward a statement under a verdict that lets it run, holding its place in the session's order.
///
/// Not cancel-safe: it runs in the statement's own task, which nobody drops.
pub(crate) async fn forward(
    job: &Job,
    verdict: &Arc<Verdict>,
    looks_like_barrier: bool,
    approval: Option<&str>,
    order: Order,
) -> Result<Forwarded, Stop> {
    if !judge::still_good(&job.state, verdict) {
        return Ok(Forwarded::Stale(order));
    }
    let place = job.statement.session.place();
    let barrier = verdict.barrier || looks_like_barrier;
    if barrier {
        enter_barrier(job, verdict).await?;
    }
    let seq = entries::intent(job, verdict, &place, approval).await?;
    let sending = Sending { job, verdict, place, barrier, seq };
    if let Err(stop) = job.check_stopped() {
        sending.record(&Outcome::new("cancelled"));
        return Err(stop);
    }
    if !judge::still_good(&job.state, verdict) {
        sending.record(&Outcome { code: Some("stale-verdict"), ..Outcome::new("cancelled") });
        return Ok(Forwarded::Stale(order));
    }
    let end = sending.send().await;
    drop(order);
    Ok(Forwarded::Ended(end))
}

/// From here on the session's state may be another one. Where an approval may hang on it, the store
/// knows that before anything is sent: a crash must not make an approval fit again.
async fn enter_barrier(job: &Job, verdict: &Verdict) -> Result<(), Refusal> {
    let session = &job.statement.session;
    session.update(|place| {
        place.state += 1;
        if !matches!(verdict.class.as_str(), "use" | "transaction") {
            place.overlay += 1;
        }
    });
    if session.holds() { job.state.session_changed(session).await } else { Ok(()) }
}

impl Sending<'_> {
    async fn send(&self) -> End {
        let statement = &self.job.statement;
        let session = &statement.session;
        let client_tag = self.job.request.parameters.query_tag.as_deref();
        let client_tag = client_tag.or(self.place.client_tag.as_deref()).unwrap_or_default();
        let state = &self.job.state;
        let sql = &self.job.asked.sql;
        let mut ours = Parameters::new();
        let tag = query_tag(&state.keys.tag, &state.gateway, self.seq, sql, client_tag);
        ours.set("QUERY_TAG", tag.as_str());
        let body = Bytes::from(self.job.request.upstream_body(&ours));
        statement.read_only.store(self.verdict.read_only, Ordering::Release);
        statement.sent.store(true, Ordering::SeqCst);
        if statement.cancel_reason().is_some() {
            self.record(&Outcome::new("cancelled"));
            return self.job.cancelled();
        }
        let id = statement.upstream_request_id.to_string();
        match session.upstream.query(&id, body).await {
            Ok(reply) => self.follow(reply).await,
            Err(error) => self.broken(&error, None).await,
        }
    }

    /// Poll until the statement ends.
    async fn follow(&self, mut reply: QueryReply) -> End {
        let session = &self.job.statement.session;
        loop {
            let running = match reply {
                QueryReply::Done(head) => return self.done(*head).await,
                QueryReply::Failed(failure) => return self.failed(failure).await,
                QueryReply::InProgress(running) => running,
            };
            self.known_as(&running.query_id);
            let mut failures = 0;
            let mut pause = POLL_PAUSE;
            reply = loop {
                let started = tokio::time::Instant::now();
                match session.upstream.result(&running.query_id).await {
                    Ok(reply) => {
                        tokio::time::sleep_until(started + POLL_PACE).await;
                        break reply;
                    }
                    // A poll only reads: it may be repeated.
                    Err(error) if worth_polling(&error) && failures < POLL_FAILURES => {
                        failures += 1;
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(POLL_PAUSE_MAX);
                    }
                    Err(error) => return self.broken(&error, Some(&running.query_id)).await,
                }
            };
        }
    }

    /// Both ids work from now on.
    fn known_as(&self, upstream_query_id: &str) {
        if let Ok(id) = Uuid::try_parse(upstream_query_id) {
            self.job.state.statements.alias(&self.job.statement.query_id, id);
        }
    }

    /// No usable answer.
    async fn broken(&self, error: &UpstreamError, upstream_query_id: Option<&str>) -> End {
        let statement = &self.job.statement;
        let session = &statement.session;
        let state = &self.job.state;
        let did_not_run = error.did_not_run() && upstream_query_id.is_none();
        tracing::warn!(reference = statement.reference, %error, did_not_run, "upstream failed");
        let status = if did_not_run { "error" } else { "unknown" };
        self.record(&Outcome {
            code: Some(entries::word(error)),
            fault: Some("upstream"),
            upstream_query_id,
            ..Outcome::new(status)
        });
        if !did_not_run && self.barrier {
            session.update(|place| place.unknown = true);
        }
        if !did_not_run {
            self.catalog_changed(false, false).await;
        }
        if matches!(error, UpstreamError::SessionLost { .. }) {
            account::end(state, &session.id, "lost").await;
            return self.job.failed(&over());
        }
        if matches!(error, UpstreamError::Reply(_)) {
            state.alert("reply", Some(session), &statement.reference, &error.to_string());
        }
        let refusal = if did_not_run {
            let reason = format!("the statement did not run: {error}");
            Refusal::with(codes::UPSTREAM, "upstream", reason, "try again")
        } else {
            let reason = format!("the outcome of the statement is unknown: {error}");
            let remedy = "check its effect before you run it again";
            Refusal::with(codes::UPSTREAM, "upstream", reason, remedy)
        };
        self.job.failed(&refusal)
    }

    /// Snowflake's own refusal: its words reach the client, unless they may quote governed values.
    async fn failed(&self, failure: Failure) -> End {
        let statement = &self.job.statement;
        let cancelled = failure.code == codes::CANCELLED.0;
        self.record(&Outcome {
            code: Some(&failure.code),
            fault: Some("upstream"),
            upstream_query_id: failure.query_id.as_deref(),
            ..Outcome::new(if cancelled { "cancelled" } else { "error" })
        });
        if let Some(id) = &failure.query_id {
            self.known_as(id);
        }
        if cancelled && self.barrier {
            statement.session.update(|place| place.unknown = true);
        }
        self.catalog_changed(false, true).await;
        let message = if self.verdict.hide_errors {
            format!(
                "snowflake refused the statement with code {}; its message is withheld since it \
                 may quote governed values; reference {}",
                failure.code, statement.reference
            )
        } else {
            failure.message
        };
        let shown = Failure { message, query_id: Some(statement.query_id.to_string()), ..failure };
        let body = shown.render();
        if cancelled { End::cancelled(body) } else { End::failed(body) }
    }

    /// A result.
    async fn done(&self, head: ResultHead) -> End {
        let statement = &self.job.statement;
        let session = &statement.session;
        let state = &self.job.state;
        if let Some(id) = &head.query_id {
            self.known_as(id);
        }
        let upstream_query_id = head.query_id.as_deref();
        let withheld =
            |fault| Outcome { fault: Some(fault), upstream_query_id, ..Outcome::new("ok") };
        if account::left_role(state, session, &statement.reference, &head).await {
            self.record(&withheld("role"));
            return self.job.failed(&over());
        }
        session.update(|place| self.moved(place, &head));
        if head.statement_type_id == Some(CREDENTIAL_STATEMENT_TYPE) {
            self.record(&withheld("credential"));
            state.alert("credential", Some(session), &statement.reference, "a credential came");
            return self.job.failed(&Refusal::denied(
                "credential",
                "the result holds a credential and is withheld",
                "ask the operator",
            ));
        }
        let shown = match self.verdict_now().await {
            Ok(verdict) => verdict,
            Err(refusal) => {
                self.record(&withheld("verdict"));
                self.catalog_changed(true, true).await;
                return self.job.failed(&refusal);
            }
        };
        let show = Show {
            state,
            session,
            verdict: &shown,
            query_id: &statement.query_id.to_string(),
            reference: &statement.reference,
            base: &statement.base,
            meter: &Meter::of(statement, &shown),
        };
        let rendered = match show.render(&head) {
            Ok(rendered) => rendered,
            Err(why) => {
                self.record(&withheld(match &why {
                    Withheld::Masking(_) => "masking",
                    Withheld::Size(_) => "size",
                }));
                self.catalog_changed(true, true).await;
                return self.withhold(why).await;
            }
        };
        self.record(&Outcome {
            upstream_query_id,
            rendered: Some(&rendered),
            ..Outcome::new("ok")
        });
        if let Some(id) = upstream_query_id {
            statement.keep(Ran {
                upstream_query_id: id.to_owned(),
                verdict: Arc::clone(self.verdict),
                place: self.place.clone(),
                asked: self.job.asked.kept(),
            });
        }
        self.catalog_changed(true, true).await;
        if session.over().is_some() {
            return self.job.failed(&over());
        }
        End::rows(rendered.body, &state.results)
    }

    /// The end of a statement whose result is not given.
    async fn withhold(&self, why: Withheld) -> End {
        let refusal = match why {
            Withheld::Masking(refusal) => refusal,
            Withheld::Size(refusal) => {
                let what = Denied {
                    reference: &self.job.statement.reference,
                    path: PATH,
                    class: Some(&self.verdict.class),
                    policy: Some(&self.verdict.policy),
                    sql: Some(&self.job.asked.sql),
                };
                let session = &self.job.statement.session;
                self.job.state.denied(Some(session), &what, &refusal).await
            }
        };
        self.job.failed(&refusal)
    }

    /// Where the session stands after the statement.
    fn moved(&self, place: &mut Place, head: &ResultHead) {
        let (database, schema) = (head.final_database.clone(), head.final_schema.clone());
        if self.barrier {
            place.database = database.unwrap_or_default();
            place.schema = schema.unwrap_or_default();
        } else if let (Some(database), Some(schema)) = (database, schema) {
            place.database = database;
            place.schema = schema;
        }
        if self.verdict.class == "session"
            && let Some(tag) =
                snowgate_sql::query_tag(&self.job.asked.sql, &judge::sql_limits(&self.job.state))
        {
            place.client_tag = (!tag.is_empty()).then_some(tag);
        }
    }

    /// The verdict at the head of the reply: if it was overtaken, that of now, tightened (F8).
    async fn verdict_now(&self) -> Result<Arc<Verdict>, Refusal> {
        let (job, statement) = (self.job, &self.job.statement);
        if judge::still_good(&job.state, self.verdict) {
            return Ok(Arc::clone(self.verdict));
        }
        let now = judge::judge(
            &job.state,
            &statement.session,
            &self.place,
            &job.asked,
            &statement.reference,
            false,
            &[],
        )
        .await?;
        if now.decision == Decision::Deny {
            return Err(judge::denial(&now));
        }
        Ok(Arc::new(Verdict::clone(&now).tighten(self.verdict)))
    }

    /// Let the control plane read the catalog again before the client goes on (F8).
    async fn catalog_changed(&self, succeeded: bool, settled: bool) {
        if !self.verdict.changes_catalog {
            return;
        }
        let state = &self.job.state;
        let question = CatalogChanged {
            reference: &self.job.statement.reference,
            class: &self.verdict.class,
            objects: &self.verdict.objects,
            succeeded,
            settled,
        };
        let limit = state.limits.judge_limit();
        let noted: Result<Noted, Refusal> =
            state.bridge.question("catalog_changed", &question, limit).await;
        if !noted.is_ok_and(|noted| noted.done) {
            let reference = &self.job.statement.reference;
            tracing::error!(reference, "the catalog was not read again after a change");
        }
        self.job.change_told();
    }

    /// Record the outcome; it rides with a later commit.
    fn record(&self, outcome: &Outcome<'_>) {
        entries::outcome(self.job, self.seq, outcome);
    }
}

/// Whether a failed poll may be repeated.
fn worth_polling(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Unreachable { .. }
            | UpstreamError::Broken { .. }
            | UpstreamError::Timeout { .. }
            | UpstreamError::Status { .. }
    )
}

impl Job {
    /// The statement works again, after it was held.
    pub(crate) fn released(&self) {
        self.statement.enter(Phase::Working);
    }
}
