//! Budgets at the gate: a statement is counted before it is sent.
//!
//! ```text
//!   verdict ─► begin ─┬─ fits ──────────► intent, forward
//!                     ├─ over, deny ────► denial that names the budget
//!                     └─ over, hold ────► judged again as over it: a hold of the budget's approvers
//! ```
//!
//! # Rules
//!
//! - Verdicts are cached, counts are not: each statement is counted, whoever judged it.
//! - A statement counts once in a budget, however often it is judged or its request repeated.
//! - A value that nobody knows is over a budget of distinct values.

use std::{borrow::Cow, time::Duration};

use snowgate_ledger::timestamp;
use snowgate_session::{Asker, Budget, Measure, Over, Subkey, TaggedValue, ValueHash, Verdict};
use snowgate_wire::{Binding, QueryRequest};

use crate::{life::Job, reply::Refusal, session::now_s};

impl Job {
    /// Count the statement in its budgets; without `commit`, only ask. Returns the budgets over which
    /// people are to be asked.
    pub(crate) fn begin(&self, verdict: &Verdict, commit: bool) -> Result<Vec<String>, Refusal> {
        if verdict.budgets.is_empty() {
            return Ok(Vec::new());
        }
        let values = self.values(verdict)?;
        let statement = &self.statement;
        let mut counted = statement.tally.lock();
        let new = |budget: &&Budget| !counted.begun.contains(&budget.name);
        let budgets: Vec<Budget> = verdict.budgets.iter().filter(new).cloned().collect();
        let principal = statement.session.who.principal.key();
        let asker =
            Asker { principal: &principal, statement: statement.digest, waived: &counted.waived };
        match self.state.budgets.begin(&asker, &budgets, &values, now_s(), commit) {
            Ok(()) if commit => {
                counted.begun.extend(budgets.into_iter().map(|budget| budget.name));
                Ok(Vec::new())
            }
            Ok(()) => Ok(Vec::new()),
            Err(over) if over.iter().any(|over| !over.hold) => Err(denied_by(&over)),
            Err(over) => Ok(over.into_iter().map(|over| over.budget).collect()),
        }
    }

    /// The tagged values that the statement compares, as far as a budget counts them. What is only
    /// described compares nothing, and binds nothing yet.
    pub(crate) fn values(&self, verdict: &Verdict) -> Result<Vec<TaggedValue>, Refusal> {
        let Some(budget) = verdict.budgets.iter().find(|budget| budget.values.is_some()) else {
            return Ok(Vec::new());
        };
        if self.asked.describe_only {
            return Ok(Vec::new());
        }
        let mut values = Vec::new();
        for compared in &verdict.compared {
            let hashes = match (&compared.hash, compared.bind) {
                (Some(hash), _) => decoded(hash).map(|hash| vec![hash]),
                (None, Some(position)) => {
                    bound(&self.state.keys.values, &compared.tag, &self.request, position)
                }
                (None, None) => None,
            };
            let hashes = hashes.ok_or_else(|| unknown_value(&budget.name))?;
            let tagged = |hash| TaggedValue { tag: compared.tag.clone(), hash };
            values.extend(hashes.into_iter().map(tagged));
        }
        Ok(values)
    }
}

fn decoded(hash: &str) -> Option<ValueHash> {
    let mut bytes = ValueHash::default();
    hex::decode_to_slice(hash, &mut bytes).ok()?;
    Some(bytes)
}

/// Hashes of what is bound at a position: one, or those of an array.
fn bound(key: &Subkey, tag: &str, request: &QueryRequest, position: u32) -> Option<Vec<ValueHash>> {
    let binding = request.bindings.iter().find(|binding| binding.position == position)?;
    let texts = texts_of(binding)?;
    Some(texts.iter().map(|text| value_hash(key, tag, text)).collect())
}

/// The texts that are bound; an array binds several. NULL equals nothing, and counts as a value.
fn texts_of(binding: &Binding) -> Option<Vec<Cow<'_, str>>> {
    let Some(value) = &binding.value else { return Some(vec![Cow::Borrowed("NULL")]) };
    let scalar = |raw: &str| match serde_json::from_str(raw).ok()? {
        serde_json::Value::String(text) => Some(Cow::Owned(text)),
        serde_json::Value::Null => Some(Cow::Borrowed("NULL")),
        other => Some(Cow::Owned(other.to_string())),
    };
    if value.get().starts_with('[') {
        let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(value.get()).ok()?;
        let texts: Option<Vec<Cow<'_, str>>> =
            items.iter().map(|item| scalar(item.get())).collect();
        texts.map(|texts| texts.into_iter().map(|text| Cow::Owned(text.into_owned())).collect())
    } else {
        scalar(value.get()).map(|text| vec![text])
    }
}

/// Keyed hash of a value: the control plane hashes constants of the text the same.
pub(crate) fn value_hash(key: &Subkey, tag: &str, value: &str) -> ValueHash {
    let mac = key.mac(&[tag.as_bytes(), value.as_bytes()]);
    let mut hash = ValueHash::default();
    hash.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
    hash
}

/// The denial of a statement that is over budgets.
fn denied_by(over: &[Over]) -> Refusal {
    let denying: Vec<&Over> = over.iter().filter(|over| !over.hold).collect();
    let reasons: Vec<String> = denying.iter().map(|over| used_up(over)).collect();
    let mut frees = denying.iter().map(|over| over.frees_at_s);
    let latest = frees.try_fold(0.0, |latest: f64, next| Some(latest.max(next?)));
    let remedy = match latest {
        Some(at_s) => format!("try again after {}", moment(at_s)),
        None => "ask for less at once, or ask the policy's owner for a larger budget".to_owned(),
    };
    Refusal {
        rules: denying.iter().map(|over| over.budget.clone()).collect(),
        ..Refusal::denied("", reasons.join("; "), remedy)
    }
}

/// The refusal of a result that does not fit in what is left of budgets.
pub(crate) fn withheld_by(over: &[Over]) -> Refusal {
    let reasons: Vec<String> = over
        .iter()
        .map(|over| format!("the result does not fit in what is left of {}", described(over)))
        .collect();
    let remedy = if over.iter().all(|over| over.hold) {
        "ask for less, or run the statement again to ask for its approval".to_owned()
    } else {
        let frees = over.iter().find(|over| !over.hold).and_then(|over| over.frees_at_s);
        match frees {
            Some(at_s) => format!("ask for less, or try again after {}", moment(at_s)),
            None => "ask for less".to_owned(),
        }
    };
    Refusal {
        rules: over.iter().map(|over| over.budget.clone()).collect(),
        ..Refusal::denied("", reasons.join("; "), format!("{remedy}; the statement itself has run"))
    }
}

fn unknown_value(budget: &str) -> Refusal {
    Refusal::denied(
        budget,
        "compares a tagged column with a value that the statement does not show, and the budget \
         counts distinct values",
        "write the constant itself, or bind it",
    )
}

fn used_up(over: &Over) -> String {
    match over.measure {
        Measure::Room => format!(
            "the gateway counts for as many principals as it has room for, and budget `{}` needs one \
             more",
            over.budget
        ),
        _ => format!("{} is used up", described(over)),
    }
}

fn described(over: &Over) -> String {
    let what = match over.measure {
        Measure::Statements => "statements",
        Measure::Rows => "rows",
        Measure::Bytes => "bytes",
        Measure::Values => "distinct tagged values",
        Measure::Room => "principals",
    };
    format!("the budget of {} {what} per {}", over.limit, span(over.per_s))
}

/// A number of seconds in its largest whole unit.
fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    let whole = units.into_iter().find(|(size, _)| seconds.is_multiple_of(*size));
    let (size, unit) = whole.unwrap_or((1, "s"));
    format!("{} {unit}", seconds / size)
}

/// A Unix time as people read it, rounded up to a second.
fn moment(at_s: f64) -> String {
    let since = Duration::try_from_secs_f64(at_s.ceil()).unwrap_or_default();
    let mut text = timestamp(std::time::UNIX_EPOCH + since);
    text.truncate("2026-11-24T08:00:00".len());
    format!("{text}Z")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use snowgate_session::Keys;

    use super::*;

    fn request(bindings: &serde_json::Value) -> QueryRequest {
        let body = json!({"sqlText": "select 1", "bindings": bindings}).to_string();
        QueryRequest::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_bound_value_and_the_constant_have_one_hash() {
        // tests/unit/control/test_counted.py has the same vector.
        let key = Keys::new([7; 32]).subkey("tagged-values");
        let constant = value_hash(&key, "pii", "ann@example.com");
        assert_eq!(hex::encode(constant), "ce9756af843e4d50415300071d141f0f");

        let request = request(&json!({"1": {"type": "TEXT", "value": "ann@example.com"}}));

        assert_eq!(bound(&key, "pii", &request, 1), Some(vec![constant]));
        assert_ne!(bound(&key, "phi", &request, 1), Some(vec![constant]));
        assert_eq!(bound(&key, "pii", &request, 2), None, "nothing is bound there");
    }

    #[test]
    fn every_element_of_a_bound_array_is_a_value() {
        let key = Keys::new([7; 32]).subkey("tagged-values");
        let request = request(&json!({"1": {"type": "TEXT", "value": ["a", "b", null, "a"]}}));

        let hashes = bound(&key, "pii", &request, 1).unwrap();

        let expected = ["a", "b", "NULL", "a"].map(|text| value_hash(&key, "pii", text));
        assert_eq!(hashes, expected);
    }

    #[test]
    fn spans_and_moments_are_spelt_for_people() {
        assert_eq!([86_400, 90, 5400, 172_800].map(span), ["1 d", "90 s", "90 min", "2 d"]);
        assert_eq!(moment(0.2), "1970-01-01T00:00:01Z");
    }
}
