//! Verdicts: from the cache, or from the control plane.
//!
//! # Rules
//!
//! - A verdict is used only in the epoch it was made in (F8); in another one it is asked for again, and
//!   after [`MAX_ATTEMPTS`] the statement is denied. It is cached if that was the epoch of the question.
//! - A verdict that cannot be had is a denial.
//! - Verdicts are found by the exact text, else by the statement's template. The control plane judges
//!   the template itself; unless that verdict lets it run, the exact text is judged.
//! - Who wants a verdict that is being asked for waits for it.

use std::{cell::OnceCell, sync::Arc};

use snowgate_session::{Decision, KeyText, Known, Verdict, VerdictKey};
use snowgate_sql::{Classified, Limits as SqlLimits};

use crate::{
    ask::Judge,
    reply::Refusal,
    session::{Place, Session, now_s},
    state::{State, count},
    statement::{Asked, Ran},
};

/// Times a verdict is asked for while the epoch keeps changing.
const MAX_ATTEMPTS: usize = 8;

/// The verdict on a statement, in this epoch. With `run` it is to be forwarded: the control plane moves
/// its tags and quarantines what it changes (F8, F16). Over a budget it is asked for anew: whether
/// and by whom it may be approved is said of this one statement.
pub(crate) async fn judge(
    state: &State,
    session: &Session,
    place: &Place,
    asked: &Asked,
    reference: &str,
    run: bool,
    over: &[String],
) -> Result<Arc<Verdict>, Refusal> {
    let exact = KeyText { sql: &asked.sql, bind_types: &asked.bind_types, template: false };
    let asking = Asking { state, session, place, reference, run, over, shape: asked.describe_only };
    let template = OnceCell::new();
    let mut exact_only = false;
    for _ in 0..MAX_ATTEMPTS {
        let epoch = state.epoch();
        let keys = session.verdict_keys(place, epoch, asked.describe_only);
        if !over.is_empty() {
            match asking.ask(epoch, &exact).await? {
                Some(verdict) => return Ok(verdict),
                None => continue,
            }
        }
        let key = keys.key(&exact);
        if let Some(verdict) = asking.cached(&key) {
            return Ok(verdict);
        }
        if !exact_only
            && let Some((text, bind_types)) = template.get_or_init(|| template_of(state, asked))
        {
            let general = KeyText { sql: text, bind_types, template: true };
            match asking.template(epoch, keys.key(&general), &general).await? {
                Some(Known::Usable(verdict)) => return Ok(verdict),
                Some(Known::Exact) => exact_only = true,
                None => continue,
            }
        }
        if let Some(verdict) = asking.exact(epoch, key, &exact).await? {
            return Ok(verdict);
        }
    }
    Err(Refusal::control_plane("policy and catalog keep changing"))
}

/// The template of a statement and the types of its binds.
fn template_of(state: &State, asked: &Asked) -> Option<(String, Vec<String>)> {
    let template = snowgate_sql::template(&asked.sql, &sql_limits(state))?;
    let bind_types = template.bind_types(&asked.bind_types)?;
    Some((template.text, bind_types))
}

/// Who asks for a verdict, and what for.
struct Asking<'a> {
    state: &'a State,
    session: &'a Session,
    place: &'a Place,
    reference: &'a str,
    run: bool,
    over: &'a [String],
    /// Only the shape of the result is wanted.
    shape: bool,
}

impl Asking<'_> {
    /// What is known of a template; `None` when the epoch changed while it was asked for.
    async fn template(
        &self,
        epoch: u64,
        key: VerdictKey,
        text: &KeyText<'_>,
    ) -> Result<Option<Known>, Refusal> {
        let state = self.state;
        if let Some(known) = self.cached_template(&key) {
            return Ok(Some(known));
        }
        // What is asked for a result that is there already is not worth a second question.
        if !self.run {
            return Ok(Some(Known::Exact));
        }
        let _flight = state.flights.join(key).await;
        // Somebody's question has ended: the one that was waited for, or one just before.
        if let Some(known) = self.cached_template(&key) {
            return Ok(Some(known));
        }
        let verdict = self.ask(epoch, text).await?;
        Ok(verdict.map(|verdict| state.verdicts.insert_template(key, &verdict)))
    }

    /// The verdict on the exact text; `None` when the epoch changed while it was asked for.
    async fn exact(
        &self,
        epoch: u64,
        key: VerdictKey,
        text: &KeyText<'_>,
    ) -> Result<Option<Arc<Verdict>>, Refusal> {
        // Without `run` the control plane does not look whether DDL is under way.
        if !self.run {
            return self.ask(epoch, text).await;
        }
        let _flight = self.state.flights.join(key).await;
        if let Some(verdict) = self.cached(&key) {
            return Ok(Some(verdict));
        }
        let verdict = self.ask(epoch, text).await?;
        if let Some(verdict) = &verdict {
            self.state.verdicts.insert(key, verdict);
        }
        Ok(verdict)
    }

    fn cached(&self, key: &VerdictKey) -> Option<Arc<Verdict>> {
        let verdict = self.state.verdicts.get(key, now_s())?;
        count(&self.state.counters.cache_hits);
        Some(verdict)
    }

    fn cached_template(&self, key: &VerdictKey) -> Option<Known> {
        let known = self.state.verdicts.template(key, now_s())?;
        if matches!(known, Known::Usable(_)) {
            count(&self.state.counters.cache_hits);
            count(&self.state.counters.template_hits);
        }
        Some(known)
    }

    /// The control plane's verdict; `None` when it is not of this epoch.
    async fn ask(&self, epoch: u64, text: &KeyText<'_>) -> Result<Option<Arc<Verdict>>, Refusal> {
        let state = self.state;
        count(&state.counters.judged);
        let question = Judge {
            reference: self.reference,
            epoch,
            session: self.session.actor(),
            database: &self.place.database,
            schema: &self.place.schema,
            sql: text.sql,
            binds: text.bind_types,
            template: text.template,
            describe_only: self.shape,
            run: self.run,
            over: self.over,
        };
        let limit = state.limits.judge_limit();
        let verdict: Verdict = state.bridge.question("judge", &question, limit).await?;
        // To let the statement run may itself have raised the epoch: its verdict is of the new one, and
        // nobody looks for it under the key of the old one.
        Ok(still_good(state, &verdict).then(|| Arc::new(verdict)))
    }
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
    let now = judge(state, session, &ran.place, asked, reference, false, &[]).await?;
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
    let classified = snowgate_sql::classify(sql, &sql_limits(state))
        .map_err(|error| Refusal::denied("unparsed", error.to_string(), error.remedy()))?;
    match classified.refusal() {
        Some(refusal) => Err(Refusal::denied(refusal.rule, refusal.reason, refusal.remedy)),
        None => Ok(classified),
    }
}

pub(crate) fn sql_limits(state: &State) -> SqlLimits {
    SqlLimits { bytes: state.limits.statement_bytes, ..SqlLimits::default() }
}
