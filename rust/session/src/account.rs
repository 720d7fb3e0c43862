//! One principal's account of one budget: the buckets of its window (`budgets`).

use std::collections::{HashMap, HashSet, VecDeque};

use crate::{Budget, Measure, Over, Taken, ValueHash};

/// Buckets of a window.
const BUCKETS: u64 = 60;

/// Tagged values of one account that are known by their hash. Only approvals lead beyond it; what is
/// above is counted without being told apart.
const KNOWN_VALUES: usize = 20_000;

/// Statements of one account that are remembered since their result did not fit.
const WITHHELD: usize = 32;

/// What one principal has taken of one budget.
pub(crate) struct Account {
    /// Length of a bucket.
    width_ms: u64,
    /// The bucket being filled. Never falls.
    now: u64,
    /// Oldest first, those with something in them.
    buckets: VecDeque<(u64, Taken)>,
    total: Taken,
    /// When each value was last compared.
    values: HashMap<ValueHash, u64>,
    /// Statements whose results did not fit.
    withheld: VecDeque<[u8; 32]>,
}

impl Account {
    /// An account of a budget with this window.
    pub(crate) fn new(per_s: u64) -> Self {
        Self {
            width_ms: width_ms(per_s),
            now: 0,
            buckets: VecDeque::new(),
            total: Taken::default(),
            values: HashMap::new(),
            withheld: VecDeque::new(),
        }
    }

    /// Whether nothing counts any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.values.is_empty()
    }

    /// Go on to the present, and forget what has left the window.
    pub(crate) fn advance(&mut self, now_s: f64) {
        let index = millis(now_s) / self.width_ms;
        if index <= self.now {
            return;
        }
        self.now = index;
        let counts = |bucket: u64| bucket.saturating_add(BUCKETS) >= index;
        while let Some((bucket, taken)) = self.buckets.front().copied()
            && !counts(bucket)
        {
            self.buckets.pop_front();
            self.total = self.total.minus(taken);
        }
        self.values.retain(|_, seen| counts(*seen));
        if self.is_empty() {
            self.withheld.clear();
        }
    }

    /// The policy gave the budget another window. What was taken counts from the end of its bucket.
    pub(crate) fn resize(&mut self, per_s: u64) {
        let (old, new) = (self.width_ms, width_ms(per_s));
        if old == new {
            return;
        }
        let moved = |bucket: u64| (bucket + 1).saturating_mul(old).saturating_sub(1) / new;
        self.width_ms = new;
        self.now = self.now.saturating_mul(old) / new;
        for (bucket, _) in &mut self.buckets {
            *bucket = moved(*bucket);
        }
        for seen in self.values.values_mut() {
            *seen = moved(*seen);
        }
    }

    /// Count what was taken, now.
    pub(crate) fn add(&mut self, taken: Taken, values: &[ValueHash]) {
        let mut taken = taken;
        for hash in values {
            if self.values.len() < KNOWN_VALUES || self.values.contains_key(hash) {
                self.values.insert(*hash, self.now);
            } else {
                taken.values += 1;
            }
        }
        if taken == Taken::default() {
            return;
        }
        self.total = self.total.plus(taken);
        match self.buckets.back_mut() {
            Some((bucket, held)) if *bucket >= self.now => *held = held.plus(taken),
            _ => self.buckets.push_back((self.now, taken)),
        }
    }

    /// Remember a statement whose result did not fit.
    pub(crate) fn withhold(&mut self, statement: [u8; 32]) {
        if self.withheld.contains(&statement) {
            return;
        }
        if self.withheld.len() >= WITHHELD {
            self.withheld.pop_front();
        }
        self.withheld.push_back(statement);
    }

    /// A statement may run after all.
    pub(crate) fn settle(&mut self, statement: &[u8; 32]) {
        self.withheld.retain(|known| known != statement);
    }

    /// Why one more statement with these values may not begin.
    pub(crate) fn refuses_to_begin(
        &self,
        budget: &Budget,
        statement: &[u8; 32],
        values: &[ValueHash],
    ) -> Option<Over> {
        // Of rows and bytes one must be left: how many will come is not known yet.
        let one = Taken { statements: 1, rows: 1, bytes: 1, values: 0 };
        let refused = self.refuses_to_add(budget, one);
        let refused = refused.or_else(|| self.refuses_values(budget, values));
        if refused.is_none() && budget.hold && self.withheld.contains(statement) {
            let (measure, limit) = match (budget.rows, budget.bytes) {
                (Some(rows), _) => (Measure::Rows, rows),
                (None, bytes) => (Measure::Bytes, bytes.unwrap_or_default()),
            };
            return Some(budget.over(measure, limit, None));
        }
        refused
    }

    /// Why so much more may not be taken.
    pub(crate) fn refuses_to_add(&self, budget: &Budget, more: Taken) -> Option<Over> {
        let amount = |measure: Measure, of: fn(&Taken) -> u64, limit: Option<u64>| {
            let limit = limit?;
            let (more, total) = (of(&more), of(&self.total));
            if more == 0 || total.saturating_add(more) <= limit {
                return None;
            }
            let mut left = total;
            let frees = self.buckets.iter().find_map(|(bucket, taken)| {
                left = left.saturating_sub(of(taken));
                (left.saturating_add(more) <= limit).then(|| self.end_s(*bucket))
            });
            Some(budget.over(measure, limit, frees))
        };
        amount(Measure::Statements, |taken| taken.statements, budget.statements)
            .or_else(|| amount(Measure::Rows, |taken| taken.rows, budget.rows))
            .or_else(|| amount(Measure::Bytes, |taken| taken.bytes, budget.bytes))
    }

    fn refuses_values(&self, budget: &Budget, values: &[ValueHash]) -> Option<Over> {
        let limit = budget.values?;
        let new: HashSet<&ValueHash> =
            values.iter().filter(|hash| !self.values.contains_key(*hash)).collect();
        if new.is_empty() {
            return None;
        }
        let room = limit.checked_sub(new.len() as u64);
        let known = (self.values.len() as u64).saturating_add(self.total.values);
        if room.is_some_and(|room| known <= room) {
            return None;
        }
        let frees = room.and_then(|room| self.values_fit_at_s(room, values));
        Some(budget.over(Measure::Values, limit, frees))
    }

    /// When at most `room` values beside `kept` still count.
    fn values_fit_at_s(&self, room: u64, kept: &[ValueHash]) -> Option<f64> {
        let mut ends: Vec<(u64, u64)> = self
            .buckets
            .iter()
            .filter(|(_, taken)| taken.values > 0)
            .map(|(bucket, taken)| (*bucket, taken.values))
            .collect();
        let known = self.values.iter().filter(|(hash, _)| !kept.contains(hash));
        ends.extend(known.map(|(_, seen)| (*seen, 1)));
        ends.sort_unstable();
        let mut left = (self.values.len() as u64).saturating_add(self.total.values);
        ends.into_iter().find_map(|(bucket, values)| {
            left = left.saturating_sub(values);
            (left <= room).then(|| self.end_s(bucket))
        })
    }

    /// Unix time from which a bucket counts no more.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^52")]
    fn end_s(&self, bucket: u64) -> f64 {
        (bucket + BUCKETS + 1).saturating_mul(self.width_ms) as f64 / 1000.0
    }
}

fn width_ms(per_s: u64) -> u64 {
    per_s.saturating_mul(1000).div_ceil(BUCKETS).max(1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole milliseconds since 1970; what is before counts as 1970"
)]
fn millis(at_s: f64) -> u64 {
    (at_s * 1000.0) as u64
}
