//! What a result may be at most, and where its rows and bytes are counted.
//!
//! ```text
//!   head of the reply ─► rows, bytes of all parts ─► limit, budgets ─► over: withheld whole
//!   a chunk streams ───► bytes beyond what the head said ─► limit, budgets ─► over: cut
//! ```
//!
//! # Rules
//!
//! - What does not fit is withheld before its first byte, or cut with the connection, so that no
//!   driver takes a part for the whole.
//! - A part of a result (its inline rows, one chunk) counts once, however often it is fetched.
//! - A result whose size nobody knows does not fit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snowgate_session::{Asker, BodyDigest, Bound, Budget, ResultLimit, Verdict};
use snowgate_wire::{InlineRows, ResultHead};

use crate::{
    budget::withheld_by,
    reply::Refusal,
    session::{Session, now_s},
    state::State,
    statement::Statement,
};

/// What of one statement has been counted.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counted>);

/// The numbers behind a [`Tally`].
#[derive(Default)]
pub(crate) struct Counted {
    /// Budgets that counted the statement.
    pub(crate) begun: Vec<String>,
    /// Budgets that people let it go over.
    pub(crate) waived: Vec<String>,
    rows: u64,
    /// Bytes of each part: the inline rows, then the chunks.
    parts: Vec<u64>,
    /// A chunk did not fit, and no further one is served.
    cut: bool,
}

impl Tally {
    /// The numbers, alone.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// People let the statement go over these budgets.
    pub(crate) fn waive(&self, budgets: &[String]) {
        budgets.clone_into(&mut self.lock().waived);
    }
}

/// Counts what is given of one result.
#[derive(Clone)]
pub(crate) struct Meter {
    tally: Arc<Tally>,
    statement: BodyDigest,
    limit: ResultLimit,
    budgets: Vec<Budget>,
}

impl Meter {
    /// The meter of a statement's result under a verdict.
    pub(crate) fn of(statement: &Statement, verdict: &Verdict) -> Self {
        Self {
            tally: Arc::clone(&statement.tally),
            statement: statement.digest,
            limit: verdict.limit.clone(),
            budgets: verdict.budgets.clone(),
        }
    }

    /// Count a result whose head is about to be given, `inline` bytes of rows with it. Returns its
    /// bytes, chunks included, as far as upstream told.
    pub(crate) fn head(
        &self,
        state: &State,
        session: &Session,
        head: &ResultHead,
        inline: usize,
    ) -> Result<u64, Refusal> {
        let sizes = head.chunks.iter().map(|chunk| size(chunk.uncompressed_size));
        let parts: Vec<Option<u64>> = std::iter::once(Some(inline as u64)).chain(sizes).collect();
        let bytes = parts.iter().flatten().fold(0, |sum: u64, part| sum.saturating_add(*part));
        if self.limit.is_open() && self.budgets.is_empty() {
            return Ok(bytes);
        }
        let rows = rows(head);
        let counts_rows = self.budgets.iter().find(|budget| budget.rows.is_some());
        let counts_bytes = self.budgets.iter().find(|budget| budget.bytes.is_some());
        let by_rows = rule(self.limit.rows.as_ref(), counts_rows);
        if let (None, Some(rule)) = (rows, by_rows) {
            return Err(unmeasured(rule));
        }
        let by_bytes = rule(self.limit.bytes.as_ref(), counts_bytes);
        if let (true, Some(rule)) = (parts.contains(&None), by_bytes) {
            return Err(unmeasured(rule));
        }
        let rows = rows.unwrap_or_default();
        if let Some(bound) = self.limit.rows.as_ref().filter(|bound| rows > bound.most) {
            return Err(too_large(bound, "rows"));
        }
        if let Some(bound) = self.limit.bytes.as_ref().filter(|bound| bytes > bound.most) {
            return Err(too_large(bound, "bytes"));
        }
        let mut counted = self.tally.lock();
        let length = counted.parts.len().max(parts.len());
        counted.parts.resize(length, 0);
        let grown = counted.parts.iter().zip(&parts);
        let more_bytes = grown.map(|(known, part)| part.unwrap_or_default().saturating_sub(*known));
        let more_bytes = more_bytes.fold(0, u64::saturating_add);
        let more_rows = rows.saturating_sub(counted.rows);
        self.deliver(state, session, &counted, more_rows, more_bytes)?;
        counted.rows = counted.rows.max(rows);
        for (known, part) in counted.parts.iter_mut().zip(&parts) {
            *known = (*known).max(part.unwrap_or_default());
        }
        counted.cut = false;
        Ok(bytes)
    }

    /// Count a chunk that is about to have given so many bytes.
    pub(crate) fn chunk(
        &self,
        state: &State,
        session: &Session,
        number: usize,
        bytes: u64,
    ) -> Result<(), Refusal> {
        if self.limit.is_open() && self.budgets.is_empty() {
            return Ok(());
        }
        let mut counted = self.tally.lock();
        let known = counted.parts.get(number + 1).copied().unwrap_or_default();
        if bytes <= known {
            return Ok(());
        }
        let more = bytes - known;
        let sum = counted.parts.iter().fold(more, |sum: u64, part| sum.saturating_add(*part));
        let too_much = self.limit.bytes.as_ref().filter(|bound| sum > bound.most);
        let fits = match too_much {
            Some(bound) => Err(too_large(bound, "bytes")),
            None => self.deliver(state, session, &counted, 0, more),
        };
        if let Err(refusal) = fits {
            counted.cut = true;
            return Err(refusal);
        }
        if let Some(part) = counted.parts.get_mut(number + 1) {
            *part = bytes;
        }
        Ok(())
    }

    /// Whether a chunk of the result did not fit.
    pub(crate) fn is_cut(&self) -> bool {
        self.tally.lock().cut
    }

    fn deliver(
        &self,
        state: &State,
        session: &Session,
        counted: &Counted,
        rows: u64,
        bytes: u64,
    ) -> Result<(), Refusal> {
        let principal = session.who.principal.key();
        let asker =
            Asker { principal: &principal, statement: self.statement, waived: &counted.waived };
        let taken = state.budgets.deliver(&asker, &self.budgets, rows, bytes, now_s());
        taken.map_err(|over| withheld_by(&over))
    }
}

/// The rule or budget that wants to know something.
fn rule<'a>(bound: Option<&'a Bound>, budget: Option<&'a Budget>) -> Option<&'a str> {
    bound.map(|bound| bound.rule.as_str()).or_else(|| budget.map(|budget| budget.name.as_str()))
}

/// Rows of the whole result; `None` if upstream does not say.
fn rows(head: &ResultHead) -> Option<u64> {
    let chunked: u64 = head.chunks.iter().filter_map(|chunk| size(Some(chunk.row_count))).sum();
    let told = size(head.total).max(size(head.returned));
    match (told, &head.rows) {
        (Some(told), _) => Some(told.max(chunked)),
        (None, InlineRows::None) if head.chunks.is_empty() => Some(0),
        (None, _) => None,
    }
}

fn size(told: Option<i64>) -> Option<u64> {
    told.and_then(|told| u64::try_from(told).ok())
}

fn too_large(bound: &Bound, what: &str) -> Refusal {
    let most = bound.most;
    Refusal::denied(
        &bound.rule,
        format!("the result has more than the {most} {what} that the rule lets through"),
        "ask for less: name fewer columns, filter, aggregate, or add a LIMIT; the statement itself \
         has run",
    )
}

fn unmeasured(rule: &str) -> Refusal {
    Refusal::denied(
        rule,
        "snowflake does not say how large the result is, and it may not be of any size",
        "report the reference; the statement itself has run",
    )
}
