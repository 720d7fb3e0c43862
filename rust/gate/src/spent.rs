//! What was taken of budgets before the start, as the ledger tells it.
//!
//! ```text
//!   Ledger::open ──visit──► Spent ──► Budgets: statements, rows and bytes, at once
//!                             └─────► tagged values, once their texts can be read
//! ```
//!
//! Intents name the budgets that counted them, outcomes the rows and bytes that were given. Values are
//! kept as keyed hashes in a text of the intent, so that they end with its key; where it is gone,
//! each counts as a value of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
};

use serde_json::{Map, Value};
use snowgate_ledger::{Reader, TextReader, unix_seconds};
use snowgate_session::{Budget, Budgets, Principal, TaggedValue, Taken, ValueHash};

/// Intents whose values are read again. Those before count without being told apart.
const READ_AGAIN: usize = 100_000;

/// The member of an intent that holds its values.
pub(crate) const VALUES: &str = "values";

/// A statement that budgets counted.
struct Counted {
    principal: String,
    /// Positions in [`Spent::budgets`].
    budgets: Vec<usize>,
}

/// An intent with values.
struct Compared {
    seq: u64,
    counted: Counted,
    at_s: f64,
    count: u64,
}

/// Reads the ledger as it is opened.
pub(crate) struct Spent<'a> {
    budgets: &'a [Budget],
    accounts: Budgets,
    /// Without an outcome so far.
    open: BTreeMap<u64, Counted>,
    compared: VecDeque<Compared>,
}

/// The values of a statement as a text of its intent: `[[tag, hash], …]`.
pub(crate) fn values_text(values: &[TaggedValue]) -> Vec<u8> {
    let pairs: Vec<(&str, String)> =
        values.iter().map(|value| (value.tag.as_str(), hex::encode(value.hash))).collect();
    serde_json::to_vec(&pairs).unwrap_or_default()
}

impl<'a> Spent<'a> {
    /// A reader that counts in these budgets.
    pub(crate) fn new(budgets: &'a [Budget]) -> Self {
        Self {
            budgets,
            accounts: Budgets::default(),
            open: BTreeMap::new(),
            compared: VecDeque::new(),
        }
    }

    /// Take one entry.
    pub(crate) fn visit(&mut self, seq: u64, kind: &str, fields: &Map<String, Value>) {
        let at_s = fields.get("time").and_then(Value::as_str).and_then(unix_seconds);
        let Some(at_s) = at_s else { return };
        match kind {
            "intent" => self.intent(seq, fields, at_s),
            "outcome" => {
                let number = |name: &str| fields.get(name).and_then(Value::as_u64);
                let Some(counted) = number("intent").and_then(|seq| self.open.remove(&seq)) else {
                    return;
                };
                let taken = Taken {
                    rows: number("rows").unwrap_or_default(),
                    bytes: number("bytes").unwrap_or_default(),
                    ..Taken::default()
                };
                self.add(&counted, taken, at_s);
            }
            _ => {}
        }
    }

    fn intent(&mut self, seq: u64, fields: &Map<String, Value>, at_s: f64) {
        let names = fields.get("budgets").and_then(Value::as_array);
        let counts = |budget: &Budget| {
            names.is_some_and(|names| names.iter().any(|name| *name == budget.name.as_str()))
        };
        let of = |at: usize, budget: &Budget| counts(budget).then_some(at);
        let budgets: Vec<usize> =
            self.budgets.iter().enumerate().filter_map(|(at, budget)| of(at, budget)).collect();
        let Some(principal) = principal(fields).filter(|_| !budgets.is_empty()) else { return };
        let counted = Counted { principal, budgets };
        self.add(&counted, Taken { statements: 1, ..Taken::default() }, at_s);
        if let Some(count) = fields.get("values_count").and_then(Value::as_u64) {
            let counted =
                Counted { principal: counted.principal.clone(), budgets: counted.budgets.clone() };
            self.compared.push_back(Compared { seq, counted, at_s, count });
            if self.compared.len() > READ_AGAIN
                && let Some(oldest) = self.compared.pop_front()
            {
                self.unnamed(&oldest);
            }
        }
        self.open.insert(seq, counted);
    }

    /// Read the values, and give what is counted.
    pub(crate) fn finish(mut self, ledger: &Path, keys: Option<&TextReader>) -> Budgets {
        let first = self.compared.front().map(|compared| compared.seq);
        let mut entries =
            first.and_then(|first| Reader::open(ledger, first).ok()).into_iter().flatten();
        while let Some(compared) = self.compared.pop_front() {
            let entry = entries.by_ref().find_map(|entry| match entry {
                Ok(entry) => (entry.seq >= compared.seq).then_some(Some(entry)),
                Err(_) => Some(None),
            });
            let text = entry
                .flatten()
                .filter(|entry| entry.seq == compared.seq)
                .and_then(|entry| entry.text(VALUES, keys?).ok().flatten());
            match text.and_then(|text| read_values(&text)) {
                Some(values) => self.values(&compared, &values),
                None => self.unnamed(&compared),
            }
        }
        self.accounts
    }

    fn values(&self, compared: &Compared, values: &[(String, ValueHash)]) {
        for budget in compared.counted.budgets.iter().filter_map(|at| self.budgets.get(*at)) {
            if budget.values.is_none() {
                continue;
            }
            let counted = values.iter().filter(|(tag, _)| budget.counts(tag));
            let hashes: Vec<ValueHash> = counted.map(|(_, hash)| *hash).collect();
            let window = (budget.name.as_str(), budget.per_s);
            let none = Taken::default();
            self.accounts.restore(
                &compared.counted.principal,
                window,
                none,
                &hashes,
                compared.at_s,
            );
        }
    }

    fn unnamed(&self, compared: &Compared) {
        let values = Taken { values: compared.count, ..Taken::default() };
        self.add(&compared.counted, values, compared.at_s);
    }

    fn add(&self, counted: &Counted, taken: Taken, at_s: f64) {
        for budget in counted.budgets.iter().filter_map(|at| self.budgets.get(*at)) {
            let window = (budget.name.as_str(), budget.per_s);
            self.accounts.restore(&counted.principal, window, taken, &[], at_s);
        }
    }
}

/// Whose intent it is.
fn principal(fields: &Map<String, Value>) -> Option<String> {
    let identity = fields.get("identity")?;
    let part = |name: &str| identity.get(name)?.as_str().map(str::to_owned);
    let principal = Principal {
        account: part("account")?,
        issuer: part("issuer")?,
        subject: part("subject")?,
        name: String::new(),
        people: false,
        person: String::new(),
        triggered_by: Vec::new(),
    };
    Some(principal.key())
}

fn read_values(text: &[u8]) -> Option<Vec<(String, ValueHash)>> {
    let pairs: Vec<(String, String)> = serde_json::from_slice(text).ok()?;
    let read = |(tag, digits): (String, String)| {
        let mut hash = ValueHash::default();
        hex::decode_to_slice(digits, &mut hash).ok().map(|()| (tag, hash))
    };
    pairs.into_iter().map(read).collect()
}
