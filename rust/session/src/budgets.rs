//! Budgets: what one principal has taken within a window, and whether more still fits.
//!
//! ```text
//!              a window of BUCKETS buckets, and the one being filled
//!   ──┬──────┬──────┬── … ──┬──────┬──────┬───► time
//!     │ gone │  12  │       │  40  │  3   │ now
//! ```
//!
//! # Rules
//!
//! - What a bucket holds counts until all of it is older than the window. So no span of the window's
//!   length ever holds more than the budget, and what was taken is given back at most a sixtieth of
//!   the window late.
//! - To ask and to take is one step: however many ask at once, none of them overshoots. Of several
//!   budgets each takes, or none does.
//! - Time never runs backwards here: a clock that is put back gives nothing back.
//! - Tagged values are kept as keyed hashes only.
//! - The table is bounded. A principal for whom there is no room is over its budget.

use std::{collections::HashMap, sync::Mutex};

use serde::{Deserialize, Serialize};

use crate::{account::Account, lock};

/// Accounts in all: one for each principal and budget.
const ACCOUNTS: usize = 100_000;

/// Keyed hash of a tagged value.
pub type ValueHash = [u8; 16];

/// One budget, as a verdict carries it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Its name; it names the account.
    pub name: String,
    /// The window, in seconds.
    pub per_s: u64,
    /// Most statements.
    pub statements: Option<u64>,
    /// Most rows of results.
    pub rows: Option<u64>,
    /// Most bytes of results.
    pub bytes: Option<u64>,
    /// Most distinct values that tagged columns are compared with (F1).
    pub values: Option<u64>,
    /// The tags whose values count; all of them if it names none.
    pub tags: Vec<String>,
    /// What is over it waits for an approval; else it is denied.
    pub hold: bool,
}

/// A value that a tagged column is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaggedValue {
    /// The tag.
    pub tag: String,
    /// Its keyed hash.
    pub hash: ValueHash,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Measure {
    /// Statements that were sent.
    Statements,
    /// Rows of results.
    Rows,
    /// Bytes of results.
    Bytes,
    /// Distinct tagged values.
    Values,
    /// Not a measure of the budget: the table of accounts is full.
    Room,
}

/// An amount that was, or would be, taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Taken {
    /// Statements.
    pub statements: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Tagged values that cannot be told apart from others.
    pub values: u64,
}

impl Taken {
    /// Both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            statements: self.statements.saturating_add(other.statements),
            rows: self.rows.saturating_add(other.rows),
            bytes: self.bytes.saturating_add(other.bytes),
            values: self.values.saturating_add(other.values),
        }
    }

    /// What is left without `other`.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            statements: self.statements.saturating_sub(other.statements),
            rows: self.rows.saturating_sub(other.rows),
            bytes: self.bytes.saturating_sub(other.bytes),
            values: self.values.saturating_sub(other.values),
        }
    }
}

/// A budget that does not allow what was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    /// Its name.
    pub budget: String,
    /// Whether people may be asked.
    pub hold: bool,
    /// What there is too much of.
    pub measure: Measure,
    /// Most of it.
    pub limit: u64,
    /// The window, in seconds.
    pub per_s: u64,
    /// Unix time from which it may fit again; `None` if it is too much for the whole budget.
    pub frees_at_s: Option<f64>,
}

/// Whose budgets, and for which statement.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Account, issuer and subject.
    pub principal: &'a str,
    /// Digest of text, binds and parameters.
    pub statement: [u8; 32],
    /// Budgets that people let this statement go over.
    pub waived: &'a [String],
}

/// All accounts.
pub struct Budgets {
    accounts: Mutex<HashMap<(String, String), Account>>,
    capacity: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self::new(ACCOUNTS)
    }
}

impl Budgets {
    /// A table of at most `capacity` accounts.
    pub fn new(capacity: usize) -> Self {
        Self { accounts: Mutex::default(), capacity }
    }

    /// Count a statement that is about to be sent, with the tagged values it compares; without
    /// `commit`, only ask. A budget whose rows or bytes are used up lets none begin.
    pub fn begin(
        &self,
        asker: &Asker<'_>,
        budgets: &[Budget],
        values: &[TaggedValue],
        now_s: f64,
        commit: bool,
    ) -> Result<(), Vec<Over>> {
        let one = Taken { statements: 1, ..Taken::default() };
        self.take(asker, budgets, now_s, commit, |account, budget| {
            let values = if budget.values.is_some() { values } else { &[] };
            let counted = values.iter().filter(|value| budget.counts(&value.tag));
            let hashes: Vec<ValueHash> = counted.map(|value| value.hash).collect();
            let over = account.refuses_to_begin(budget, &asker.statement, &hashes);
            (over, one, hashes)
        })
    }

    /// Count rows and bytes that are about to be given. What does not fit must be withheld; a budget
    /// that may be approved remembers the statement, which is over it when it comes again.
    pub fn deliver(
        &self,
        asker: &Asker<'_>,
        budgets: &[Budget],
        rows: u64,
        bytes: u64,
        now_s: f64,
    ) -> Result<(), Vec<Over>> {
        let more = Taken { rows, bytes, ..Taken::default() };
        let taken = self.take(asker, budgets, now_s, true, |account, budget| {
            (account.refuses_to_add(budget, more), more, Vec::new())
        });
        if let Err(over) = &taken {
            let mut accounts = lock(&self.accounts);
            for over in over.iter().filter(|over| over.hold) {
                let key = (over.budget.clone(), asker.principal.to_owned());
                if let Some(account) = accounts.get_mut(&key) {
                    account.withhold(asker.statement);
                }
            }
        }
        taken
    }

    /// Count what was taken before a restart, at `at_s`. Nothing is refused: where the table is full,
    /// it grows, since what is not counted could be taken again.
    pub fn restore(
        &self,
        principal: &str,
        window: (&str, u64),
        taken: Taken,
        values: &[ValueHash],
        at_s: f64,
    ) {
        let (name, per_s) = window;
        let mut accounts = lock(&self.accounts);
        let key = (name.to_owned(), principal.to_owned());
        if accounts.len() >= self.capacity && !accounts.contains_key(&key) {
            accounts.retain(|_, account| {
                account.advance(at_s);
                !account.is_empty()
            });
        }
        let account = accounts.entry(key).or_insert_with(|| Account::new(per_s));
        account.advance(at_s);
        account.add(taken, values);
    }

    /// Drop accounts whose windows are empty.
    pub fn sweep(&self, now_s: f64) {
        lock(&self.accounts).retain(|_, account| {
            account.advance(now_s);
            !account.is_empty()
        });
    }

    /// Accounts held.
    pub fn len(&self) -> usize {
        lock(&self.accounts).len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(
        &self,
        asker: &Asker<'_>,
        budgets: &[Budget],
        now_s: f64,
        commit: bool,
        ask: impl Fn(&Account, &Budget) -> (Option<Over>, Taken, Vec<ValueHash>),
    ) -> Result<(), Vec<Over>> {
        let mut accounts = lock(&self.accounts);
        let mut over = Vec::new();
        let mut takings = Vec::with_capacity(budgets.len());
        for budget in budgets {
            let key = (budget.name.clone(), asker.principal.to_owned());
            if accounts.len() >= self.capacity && !accounts.contains_key(&key) {
                accounts.retain(|_, account| {
                    account.advance(now_s);
                    !account.is_empty()
                });
                if accounts.len() >= self.capacity {
                    over.push(budget.over(Measure::Room, 0, None));
                    continue;
                }
            }
            let account = accounts.entry(key.clone()).or_insert_with(|| Account::new(budget.per_s));
            account.resize(budget.per_s);
            account.advance(now_s);
            let (refused, taken, values) = ask(account, budget);
            let waived = budget.hold && asker.waived.contains(&budget.name);
            over.extend(refused.filter(|_| !waived));
            takings.push((key, taken, values));
        }
        if !over.is_empty() {
            return Err(over);
        }
        if commit {
            for (key, taken, values) in takings {
                if let Some(account) = accounts.get_mut(&key) {
                    account.settle(&asker.statement);
                    account.add(taken, &values);
                }
            }
        }
        Ok(())
    }
}

impl Budget {
    /// Whether values with this tag count; `""` could be any tag.
    pub fn counts(&self, tag: &str) -> bool {
        tag.is_empty() || self.tags.is_empty() || self.tags.iter().any(|known| known == tag)
    }

    /// That it does not allow something.
    pub(crate) fn over(&self, measure: Measure, limit: u64, frees_at_s: Option<f64>) -> Over {
        let (budget, hold, per_s) = (self.name.clone(), self.hold, self.per_s);
        // Nobody can approve room that is not there.
        Over { budget, hold: hold && measure != Measure::Room, measure, limit, per_s, frees_at_s }
    }
}
