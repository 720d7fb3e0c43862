//! A control plane of the size of a test: it answers as told and remembers what it was asked.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use snowgate_gate::bridge::Bridge;

type Judge = Box<dyn Fn(&Value) -> Value + Send>;

/// The control plane.
pub(crate) struct Plane {
    pub(crate) bridge: Arc<Bridge>,
    asked: Mutex<Vec<(String, Value)>>,
    judge: Mutex<Judge>,
    /// Answers by kind, before anything else.
    answers: Mutex<HashMap<String, Value>>,
    /// State of approvals by query id.
    approvals: Mutex<HashMap<String, &'static str>>,
    /// Statements that are held, by query id: the question that asked for it.
    pub(crate) held: Mutex<HashMap<String, Value>>,
    /// Kinds that are not answered at all.
    silent: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// A verdict that lets a statement run.
pub(crate) fn allow(question: &Value) -> Value {
    let sql = question["sql"].as_str().unwrap().to_ascii_uppercase();
    let reads = sql.starts_with("SELECT") || sql.starts_with("SHOW");
    let class = if sql.starts_with("USE") {
        "use"
    } else if reads {
        "select"
    } else {
        "insert"
    };
    json!({"epoch": question["epoch"], "decision": "allow", "class": class, "verb": "",
           "rules": ["reads"], "objects": [], "tags": [], "barrier": class == "use",
           "read_only": reads, "plan": null, "policy": "digest", "cacheable": true})
}

/// A verdict that does not.
pub(crate) fn deny(question: &Value) -> Value {
    json!({"epoch": question["epoch"], "decision": "deny", "class": "unload",
           "rules": ["no-exfiltration"], "reason": "data leaves only through the export job",
           "remedy": "ask for an export", "policy": "digest"})
}

/// A verdict that waits for an approval.
pub(crate) fn hold(question: &Value) -> Value {
    let mut verdict = allow(question);
    verdict["decision"] = json!("hold");
    verdict["class"] = json!("drop");
    verdict["rules"] = json!(["ddl"]);
    verdict["cacheable"] = json!(false);
    verdict["hold"] =
        json!({"rule": "ddl", "approvers": ["data-platform"], "quorum": 1, "expires_s": 3600});
    verdict
}

impl Plane {
    pub(crate) fn start() -> Arc<Self> {
        let plane = Arc::new(Self {
            bridge: Arc::new(Bridge::new(1024).unwrap()),
            asked: Mutex::default(),
            judge: Mutex::new(Box::new(allow)),
            answers: Mutex::default(),
            approvals: Mutex::default(),
            held: Mutex::default(),
            silent: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let serving = Arc::clone(&plane);
        thread::spawn(move || serving.serve());
        plane
    }

    /// Judge so from now on.
    pub(crate) fn judge(&self, judge: impl Fn(&Value) -> Value + Send + 'static) {
        *self.judge.lock().unwrap() = Box::new(judge);
    }

    /// Answer questions of this kind so from now on.
    pub(crate) fn on(&self, kind: &str, answer: Value) {
        self.answers.lock().unwrap().insert(kind.to_owned(), answer);
    }

    /// Never answer questions of this kind.
    pub(crate) fn silence(&self, kind: &str) {
        self.silent.lock().unwrap().push(kind.to_owned());
    }

    /// Decide about a held statement.
    pub(crate) fn decide(&self, query_id: &str, state: &'static str) {
        self.approvals.lock().unwrap().insert(query_id.to_owned(), state);
    }

    /// Questions and notices of this kind so far.
    pub(crate) fn asked(&self, kind: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(of, _)| of == kind).map(|(_, value)| value.clone()).collect()
    }

    /// The first notice or question of this kind, waited for.
    pub(crate) fn wait_for(&self, kind: &str) -> Value {
        for _ in 0..500 {
            if let Some(found) = self.asked(kind).into_iter().next() {
                return found;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody asked `{kind}`");
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn serve(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            let questions = self.bridge.take(64);
            if questions.is_empty() {
                thread::sleep(Duration::from_millis(2));
                continue;
            }
            for question in questions {
                let value: Value = serde_json::from_slice(&question.payload).unwrap_or(Value::Null);
                let kind = question.kind;
                self.asked.lock().unwrap().push((kind.to_owned(), value.clone()));
                if question.id == 0 || self.silent.lock().unwrap().iter().any(|name| name == kind) {
                    continue;
                }
                let answer = self.answer(kind, &value).to_string().into_bytes();
                self.bridge.answer([(question.id, answer)]);
            }
        }
    }

    fn answer(&self, kind: &str, question: &Value) -> Value {
        if let Some(answer) = self.answers.lock().unwrap().get(kind) {
            return answer.clone();
        }
        match kind {
            "login" => login(question),
            "judge" => (self.judge.lock().unwrap())(question),
            "hold" => {
                let query_id = question["query_id"].as_str().unwrap().to_owned();
                self.held.lock().unwrap().insert(query_id, question.clone());
                json!({"approval": {"id": "approval-1", "state": "pending",
                                    "expires_at_s": 4_000_000_000.0}})
            }
            "consume" => self.consume(question),
            "held" => self.still_held(question),
            _ => json!({"ok": true}),
        }
    }

    fn consume(&self, question: &Value) -> Value {
        let query_id = question["query_id"].as_str().unwrap();
        let mut approvals = self.approvals.lock().unwrap();
        match approvals.get(query_id).copied() {
            None => json!({"wait": true}),
            Some("approved") => {
                approvals.insert(query_id.to_owned(), "consumed");
                let held = self.held.lock().unwrap();
                let mut verdict = held[query_id]["verdict"].clone();
                verdict["epoch"] = question["epoch"].clone();
                json!({"go": verdict})
            }
            Some(state) => json!({"end": {"state": state, "code": "003001", "sqlstate": "42501",
                                          "message": "denied by casey: not today"}}),
        }
    }

    fn still_held(&self, question: &Value) -> Value {
        let held = self.held.lock().unwrap();
        let Some(held) = held.get(question["query_id"].as_str().unwrap()) else {
            return json!({"none": true});
        };
        if held["session"]["id"] != question["session"]["id"] {
            return json!({"none": true});
        }
        json!({"held": {"approval": "approval-1", "sql": held["sql"], "binds": held["binds"],
                        "parameters": held["parameters"],
                        "context_digest": held["context_digest"],
                        "statement_digest": held["statement_digest"],
                        "database": held["database"], "schema": held["schema"],
                        "verdict": held["verdict"], "expires_at_s": 4_000_000_000.0}})
    }
}

/// What a login is answered, unless a test says otherwise.
pub(crate) fn login(question: &Value) -> Value {
    let name = question["token"].as_str().unwrap();
    if name == "bad" {
        return json!({"refuse": {"code": "390318", "message": "the token has expired",
                                 "reason": "expired", "principal": null}});
    }
    json!({"admit": {
        "principal": {"account": question["account"], "issuer": "https://issuer", "subject": name,
                      "name": name, "people": false, "person": "", "triggered_by": []},
        "groups": ["etl-writers"], "dropped_groups": [], "role": "ETL", "warehouse": "WH",
        "input": format!("input of {name}"), "max_age_s": 3600.0, "claims_digest": "claims"}})
}
