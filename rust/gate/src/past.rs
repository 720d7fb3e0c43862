//! What the ledger says about statements of before the start.
//!
//! ```text
//!   Ledger::open ──visit──► Builder ──► Past: statements by upstream requestId and by query id
//!                                └────► intents without outcome, to be closed as `unknown`
//! ```
//!
//! Kept are the statements of sessions that live on, so that a retry across the restart does not run
//! twice (F11), and every intent without outcome.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};
use snowgate_session::{ColumnPlan, Verdict};
use uuid::Uuid;

use crate::reply::Refusal;

/// Statements kept for a retry. Beyond it the oldest go; their retries are long over.
const KEPT: usize = 100_000;

/// One statement of before.
#[derive(Clone, Debug)]
pub(crate) struct PastStatement {
    session: String,
    reference: String,
    query_id: Option<Uuid>,
    upstream_request_id: Option<Uuid>,
    /// Running it twice changes nothing.
    pub(crate) read_only: bool,
    /// Masks it ran under.
    masks: Option<Vec<ColumnPlan>>,
    /// Everything was void, or the masks were not recorded whole.
    void_all: bool,
    status: Option<String>,
    /// Upstream's id of it, once its outcome is recorded.
    pub(crate) upstream_query_id: Option<String>,
}

impl PastStatement {
    /// Whether it is known to have succeeded.
    pub(crate) fn succeeded(&self) -> bool {
        self.status.as_deref() == Some("ok")
    }

    /// What its client is told when the result cannot be given.
    pub(crate) fn answer_without_text(&self) -> Refusal {
        let reference = &self.reference;
        match self.status.as_deref() {
            Some("ok") => Refusal::denied(
                "result-gone",
                format!("the statement succeeded, see reference {reference}; its result is gone"),
                "read its effect; run it again only if that is what you want",
            ),
            None | Some("unknown") => Refusal::denied(
                "outcome-unknown",
                format!("the outcome of the statement is unknown, see reference {reference}"),
                "check its effect before you run it again",
            ),
            Some(_) => Refusal::denied(
                "statement-failed",
                format!("the statement did not succeed, see reference {reference}"),
                "run it again",
            ),
        }
    }

    /// A verdict of now, tightened by the masks of then (F5).
    pub(crate) fn tighten(&self, now: Verdict) -> Verdict {
        let then = Verdict { plan: self.masks.clone(), void_all: self.void_all, ..now.clone() };
        now.tighten(&then)
    }
}

/// Reads the ledger as it is opened.
#[derive(Default)]
pub(crate) struct Builder {
    live: HashSet<String>,
    open: BTreeMap<u64, PastStatement>,
    kept: BTreeMap<u64, PastStatement>,
}

impl Builder {
    /// A reader that keeps the statements of these sessions.
    pub(crate) fn new(live: impl IntoIterator<Item = String>) -> Self {
        Self { live: live.into_iter().collect(), ..Self::default() }
    }

    /// Take one entry.
    pub(crate) fn visit(&mut self, seq: u64, kind: &str, fields: &Map<String, Value>) {
        match kind {
            "intent" => {
                self.open.insert(seq, intent(fields));
            }
            "outcome" => {
                let number = fields.get("intent").and_then(Value::as_u64);
                let Some(number) = number else { return };
                let Some(mut statement) = self.open.remove(&number) else { return };
                statement.status = text(fields, "status");
                statement.upstream_query_id = text(fields, "upstream_query_id");
                if self.live.contains(&statement.session) {
                    self.kept.insert(number, statement);
                    if self.kept.len() > KEPT {
                        self.kept.pop_first();
                    }
                }
            }
            _ => {}
        }
    }

    /// The index, and the intents that have no outcome.
    pub(crate) fn finish(mut self) -> (Past, Vec<u64>) {
        let unknown: Vec<u64> = self.open.keys().copied().collect();
        for (seq, mut statement) in self.open {
            if self.live.contains(&statement.session) {
                statement.status = Some("unknown".to_owned());
                self.kept.insert(seq, statement);
            }
        }
        let mut past = Past::default();
        for statement in self.kept.into_values() {
            if let Some(id) = statement.upstream_request_id {
                if let Some(query_id) = statement.query_id {
                    past.by_query.insert(query_id, id);
                }
                past.by_request.insert(id, statement);
            }
        }
        (past, unknown)
    }
}

/// The index; fixed once the gate runs.
#[derive(Default)]
pub(crate) struct Past {
    by_request: HashMap<Uuid, PastStatement>,
    by_query: HashMap<Uuid, Uuid>,
}

impl Past {
    /// The statement that was sent, or was to be sent, with this requestId.
    pub(crate) fn by_request(&self, upstream_request_id: &Uuid) -> Option<PastStatement> {
        self.by_request.get(upstream_request_id).cloned()
    }

    /// The session's own statement with this query id.
    pub(crate) fn by_query(&self, session: &str, query_id: &Uuid) -> Option<PastStatement> {
        let statement = self.by_request.get(self.by_query.get(query_id)?)?;
        (statement.session == session).then(|| statement.clone())
    }
}

fn intent(fields: &Map<String, Value>) -> PastStatement {
    let id = |name: &str| text(fields, name).and_then(|id| Uuid::try_parse(&id).ok());
    let recorded = fields.get("masks").filter(|masks| !masks.is_null());
    let masks: Option<Vec<ColumnPlan>> =
        recorded.and_then(|masks| serde_json::from_value(masks.clone()).ok());
    let lost = fields.contains_key("masks_total") || (recorded.is_some() && masks.is_none());
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool);
    PastStatement {
        session: text(fields, "session").unwrap_or_default(),
        reference: text(fields, "reference").unwrap_or_default(),
        query_id: id("query_id"),
        upstream_request_id: id("upstream_request_id"),
        read_only: flag("read_only").unwrap_or(false),
        masks,
        void_all: lost || flag("void_all").unwrap_or(true),
        status: None,
        upstream_query_id: None,
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const REQUEST: &str = "01b2c3d4-0000-4000-8000-00000000abcd";

    fn past(entries: &[(&str, Value)]) -> (Past, Vec<u64>) {
        let mut builder = Builder::new(["s".to_owned()]);
        for (seq, (kind, fields)) in entries.iter().enumerate() {
            builder.visit(seq as u64, kind, fields.as_object().unwrap());
        }
        builder.finish()
    }

    fn intent_of(session: &str) -> Value {
        json!({"session": session, "reference": "r", "upstream_request_id": REQUEST,
               "query_id": REQUEST, "read_only": false, "masks": null, "void_all": false})
    }

    #[test]
    fn an_intent_without_outcome_is_unknown() {
        let (past, unknown) = past(&[("intent", intent_of("s"))]);

        assert_eq!(unknown, [0]);
        let statement = past.by_request(&Uuid::try_parse(REQUEST).unwrap()).unwrap();
        assert_eq!(statement.answer_without_text().rules, ["outcome-unknown"]);
    }

    #[test]
    fn an_outcome_closes_its_intent() {
        let outcome = json!({"intent": 0, "status": "ok", "upstream_query_id": "q"});
        let (past, unknown) = past(&[("intent", intent_of("s")), ("outcome", outcome)]);

        assert!(unknown.is_empty());
        assert!(past.by_request(&Uuid::try_parse(REQUEST).unwrap()).unwrap().succeeded());
    }

    #[test]
    fn another_session_does_not_find_it_by_query_id() {
        let (past, _) = past(&[("intent", intent_of("s"))]);
        let id = Uuid::try_parse(REQUEST).unwrap();
        assert!(past.by_query("s", &id).is_some());
        assert!(past.by_query("t", &id).is_none());
    }

    #[test]
    fn statements_of_ended_sessions_are_not_kept() {
        let (past, unknown) = past(&[("intent", intent_of("gone"))]);
        assert_eq!(unknown, [0]);
        assert!(past.by_request(&Uuid::try_parse(REQUEST).unwrap()).is_none());
    }

    #[test]
    fn masks_that_were_cut_void_everything() {
        let mut fields = intent_of("s");
        fields["masks"] = json!([]);
        fields["masks_total"] = json!(900);
        let (past, _) = past(&[("intent", fields)]);
        let now: Verdict = serde_json::from_str(r#"{"epoch":1,"decision":"allow"}"#).unwrap();

        let statement = past.by_request(&Uuid::try_parse(REQUEST).unwrap()).unwrap();

        assert!(statement.tighten(now).void_all);
    }
}
