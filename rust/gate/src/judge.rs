//! Verdicts: from the cache, or from the control plane.
//!
//! # Rules
//!
//! - A verdict is used only in the epoch it was asked in (F8); an answer of another one is asked for
//!   again, and after [`MAX_ATTEMPTS`] the statement is denied.
//! - A verdict that cannot be had is a denial.

use std::sync::Arc;

use snowgate_session::{Decision, Verdict};
use snowgate_sql::{Classified, Limits as SqlLimits};

use crate::{
    ask::Judge,
    reply::Refusal,
    session::{Place, Session, now_s},
    state::{State, count},
    statement::{Asked, Ran},
};

/// Times a verdict is asked for while the epoch keeps changing.
const MAX_ATTEMPTS: usize = 4;

/// The verdict on a statement, in this epoch. With `run` it is to be forwarded: the control plane moves
/// its tags and quarantines what it changes (F8, F16).
pub(crate) async fn judge(
    state: &State,
    session: &Session,
    place: &Place,
    asked: &Asked,
    reference: &str,
    run: bool,
) -> Result<Arc<Verdict>, Refusal> {
    for _ in 0..MAX_ATTEMPTS {
        let epoch = state.epoch();
        let key =
            session.verdict_key(place, epoch, &asked.sql, &asked.bind_types, asked.describe_only);
        if let Some(verdict) = state.verdicts.get(&key, now_s()) {
            count(&state.counters.cache_hits);
            return Ok(verdict);
        }
        count(&state.counters.judged);
        let question = Judge {
            reference,
            epoch,
            session: session.actor(),
            database: &place.database,
            schema: &place.schema,
            sql: &asked.sql,
            binds: &asked.bind_types,
            describe_only: asked.describe_only,
            run,
        };
        let limit = state.limits.judge_limit();
        let verdict: Verdict = state.bridge.question("judge", &question, limit).await?;
        if verdict.epoch == epoch && state.epoch() == epoch && verdict.valid_at(now_s()) {
            let verdict = Arc::new(verdict);
            state.verdicts.insert(key, &verdict);
            return Ok(verdict);
        }
    }
    Err(Refusal::control_plane("policy and catalog keep changing"))
}

/// The verdict for fetching a result again: of now, tightened by that of then (F5).
pub(crate) async fn now_and_then(
    state: &State,
    session: &Session,
    ran: &Ran,
    reference: &str,
) -> Result<Verdict, Refusal> {
    let then = &ran.verdict;
    if still_good(state, then) {
        return Ok(Verdict::clone(then));
    }
    let Some(asked) = &ran.asked else {
        return Ok(Verdict { void_all: true, ..Verdict::clone(then) });
    };
    let now = judge(state, session, &ran.place, asked, reference, false).await?;
    if now.decision == Decision::Deny {
        return Err(denial(&now));
    }
    Ok(Verdict::clone(&now).tighten(then))
}

/// Whether a verdict may be used now (F8).
pub(crate) fn still_good(state: &State, verdict: &Verdict) -> bool {
    verdict.epoch == state.epoch() && verdict.valid_at(now_s())
}

/// A denial by policy.
pub(crate) fn denial(verdict: &Verdict) -> Refusal {
    Refusal {
        rules: verdict.rules.clone(),
        ..Refusal::denied("", verdict.reason.clone(), verdict.remedy.clone())
    }
}

/// What no policy can allow: texts out of bounds, without one reading, or of several statements.
pub(crate) fn classify(state: &State, sql: &str) -> Result<Classified, Refusal> {
    let limits = SqlLimits { bytes: state.limits.statement_bytes, ..SqlLimits::default() };
    let classified = snowgate_sql::classify(sql, &limits)
        .map_err(|error| Refusal::denied("unparsed", error.to_string(), error.remedy()))?;
    match classified.refusal() {
        Some(refusal) => Err(Refusal::denied(refusal.rule, refusal.reason, refusal.remedy)),
        None => Ok(classified),
    }
}
