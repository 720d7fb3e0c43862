//! A cached verdict: from a statement's text to what may be done with it. The text has 200 bytes; the
//! cache holds 50,000 verdicts, each looked up in turn, so that no line of memory is warm by chance.
//!
//! ```text
//!   exact      key of the text ─► found
//!   template   key of the text ─► nothing ─► template ─► its key ─► found
//!   miss       as `template`, but nothing is found: what comes before the control plane is asked
//! ```

use std::{hint::black_box, sync::Arc, time::Instant};

use snowgate_session::{
    KeyParts, KeyText, Known, Principal, Verdict, VerdictCache, VerdictKey, VerdictKeys,
};
use snowgate_sql::{Limits, template};

/// Verdicts in the cache.
const ENTRIES: usize = 50_000;
/// Look-ups that are timed together: so few that a batch is seldom interrupted on a busy machine.
const BATCH: usize = 32;

struct Session {
    principal: Principal,
    groups: Vec<String>,
    input: String,
}

impl Session {
    fn new() -> Self {
        Self {
            principal: Principal {
                account: "CRMDEMO".to_owned(),
                issuer: "https://token.actions.githubusercontent.com".to_owned(),
                subject: "repo:acme/warehouse:environment:production".to_owned(),
                name: "acme/warehouse".to_owned(),
                people: false,
                person: String::new(),
                triggered_by: Vec::new(),
            },
            groups: vec!["analysts".to_owned(), "etl-writers".to_owned()],
            input: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        }
    }

    fn keys(&self) -> VerdictKeys {
        VerdictKeys::new(&KeyParts {
            epoch: 7,
            input: &self.input,
            principal: &self.principal.key(),
            groups: &self.groups,
            role: "ANALYST",
            client_app: "PythonConnector",
            source: "10.20.30.40",
            database: "CRM",
            schema: "PUBLIC",
            overlay: None,
            describe_only: false,
        })
    }

    /// As the gate asks before it asks the control plane (`rust/gate/src/judge.rs`).
    fn find(&self, cache: &VerdictCache, sql: &str, now_s: f64) -> Option<Arc<Verdict>> {
        let keys = self.keys();
        if let Some(verdict) = cache.get(&exact_key(&keys, sql), now_s) {
            return Some(verdict);
        }
        match cache.template(&template_key(&keys, sql)?, now_s)? {
            Known::Usable(verdict) => Some(verdict),
            Known::Exact => None,
        }
    }
}

fn exact_key(keys: &VerdictKeys, sql: &str) -> VerdictKey {
    keys.key(&KeyText { sql, bind_types: &[], template: false })
}

fn template_key(keys: &VerdictKeys, sql: &str) -> Option<VerdictKey> {
    let found = template(sql, &Limits::default())?;
    let bind_types = found.bind_types(&[])?;
    Some(keys.key(&KeyText { sql: &found.text, bind_types: &bind_types, template: true }))
}

/// A statement of 200 bytes.
fn statement(number: usize, column: usize) -> String {
    let text = format!(
        "SELECT o.id, o.region, SUM(o.amount) AS c{column:05} FROM orders o JOIN customers c ON c.id = \
         o.customer_id WHERE o.order_date >= '2026-01-31' AND o.customer_id = {number:07} GROUP BY \
         o.id, o.region"
    );
    format!("{text:<200}")
}

const VERDICT: &str = r#"{"epoch":7,"decision":"allow","class":"select","rules":["reads"],
    "cacheable":true,"plan":[{"name":"ID","mask":"pass"},{"name":"REGION","mask":"pass"}]}"#;

fn main() {
    let session = Session::new();
    let cache = VerdictCache::new(2 * ENTRIES);
    let texts = |number: usize, column: usize| -> Vec<String> {
        (0..ENTRIES / 2).map(|at| statement(at + number, at + column)).collect()
    };
    let Ok(verdict) = serde_json::from_str::<Verdict>(VERDICT).map(Arc::new) else { return };
    let (keys, exact) = (session.keys(), texts(0, 0));
    for sql in &exact {
        cache.insert(exact_key(&keys, sql), &verdict);
    }
    for key in texts(0, 50_000).iter().filter_map(|sql| template_key(&keys, sql)) {
        cache.insert_template(key, &verdict);
    }
    let cases = [
        ("exact", exact, true),
        ("template", texts(1_000_000, 50_000), true),
        ("miss", texts(0, 25_000), false),
    ];
    for (name, texts, known) in &cases {
        let found = texts.iter().filter(|sql| session.find(&cache, sql, 0.0).is_some()).count();
        assert_eq!(found, if *known { texts.len() } else { 0 }, "{name}");
        let mut batches: Vec<u128> = texts
            .chunks_exact(BATCH)
            .cycle()
            .take(20 * ENTRIES / BATCH)
            .map(|batch| {
                let started = Instant::now();
                for sql in batch {
                    black_box(session.find(&cache, black_box(sql), 0.0));
                }
                started.elapsed().as_nanos() / BATCH as u128
            })
            .collect();
        batches.sort_unstable();
        let at = |share: usize| batches.get(batches.len() * share / 100).copied().unwrap_or(0);
        println!("{name:<10} p10 {:>6} ns   p50 {:>6} ns   p90 {:>6} ns", at(10), at(50), at(90));
    }
}
