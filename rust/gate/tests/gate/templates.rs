//! Verdicts on templates: what is asked, and for which statements the answer counts.

use serde_json::{Value, json};

use crate::{
    plane,
    rig::{Client, Rig},
};

fn texts(rig: &Rig) -> Vec<(String, bool)> {
    let asked = rig.plane.asked("judge");
    let text = |q: &Value| (q["sql"].as_str().unwrap().to_owned(), q["template"] == json!(true));
    asked.iter().map(text).collect()
}

fn runs(rig: &Rig, client: &Client, sql: &str) -> bool {
    let ok = rig.block(client.query(sql)).success();
    assert_eq!(rig.snowflake.ran(sql).len(), usize::from(ok), "{sql}");
    ok
}

#[test]
fn statements_that_differ_in_their_constants_share_a_verdict() {
    let rig = Rig::new();
    let client = rig.login("job");
    for sql in [
        "select a from t where b = 1 and c in ('x', 'y')",
        "SELECT a FROM t WHERE b = 20 AND c IN ('z', 'y', 'x') -- a dashboard",
    ] {
        assert!(runs(&rig, &client, sql));
    }
    let template = "SELECT A FROM T WHERE B = ? AND C IN ( ? )";
    assert_eq!(texts(&rig), [(template.to_owned(), true)]);
    let asked = &rig.plane.asked("judge")[0];
    assert_eq!(asked["binds"], json!(["literal-number", "literal-texts"]));

    for (sql, why) in [
        ("select a from t where b = '1' and c in ('x', 'y')", "a text converts the column"),
        ("select a from t where b = 1 and c in ('x')", "one constant may pass where many do not"),
        ("select a from \"t\" where b = 1 and c in ('x', 'y')", "another table"),
        ("select a from t where b = 1 + 1 and c in ('x', 'y')", "another expression"),
    ] {
        let before = texts(&rig).len();
        assert!(runs(&rig, &client, sql));
        assert_eq!(texts(&rig).len(), before + 1, "{why}");
    }
    rig.gate().set_epoch(2);
    assert!(runs(&rig, &client, "select a from t where b = 7 and c in ('x', 'y')"));
    assert_eq!(texts(&rig).len(), 6, "another epoch");
}

#[test]
fn a_template_that_is_denied_or_held_says_nothing_of_the_exact_text() {
    for general in [plane::deny as fn(&Value) -> Value, plane::hold] {
        let rig = Rig::new();
        let client = rig.login("job");
        rig.plane.judge(move |question| {
            let mut verdict = if question["template"] == json!(true) {
                general(question)
            } else {
                plane::allow(question)
            };
            verdict["cacheable"] = json!(verdict["decision"] != "hold");
            verdict
        });
        assert!(runs(&rig, &client, "select a from t where b = 1"));
        assert!(runs(&rig, &client, "select a from t where b = 2"));

        let exact = |at: usize| (format!("select a from t where b = {at}"), false);
        let template = ("SELECT A FROM T WHERE B = ?".to_owned(), true);
        assert_eq!(texts(&rig), [template, exact(1), exact(2)]);
    }
}

#[test]
fn a_denied_text_is_not_let_through_by_its_template() {
    let rig = Rig::new();
    let client = rig.login("job");
    rig.plane.judge(|question| {
        let mut verdict = plane::deny(question);
        verdict["cacheable"] = json!(true);
        verdict
    });
    let sql = "select a from t where b = 1";
    assert!(!runs(&rig, &client, sql));
    rig.plane.judge(plane::allow);

    assert!(!runs(&rig, &client, sql));
    assert!(!texts(&rig).is_empty());
}

#[test]
fn principals_share_no_template() {
    let rig = Rig::new();
    let (one, other) = (rig.login("job"), rig.login("other"));
    assert!(runs(&rig, &one, "select a from t where b = 1"));
    rig.plane.judge(plane::deny);

    assert!(!runs(&rig, &other, "select a from t where b = 2"));
    assert!(runs(&rig, &one, "select a from t where b = 3"));
}

#[test]
fn binds_of_a_statement_count_beside_its_constants() {
    let rig = Rig::new();
    let client = rig.login("job");
    let ask = |sql: &str, kind: &str| {
        let path = format!("/queries/v1/query-request?requestId={}", uuid::Uuid::new_v4());
        let bindings = json!({"1": {"type": kind, "value": "x"}});
        let body = json!({"sqlText": sql, "bindings": bindings});
        assert!(rig.block(client.post(&path, body)).success());
    };
    ask("select a from t where b = ? and c = 'x'", "TEXT");
    ask("select a from t where b = ? and c = 'y'", "TEXT");
    assert_eq!(texts(&rig).len(), 1);
    assert_eq!(rig.plane.asked("judge")[0]["binds"], json!(["TEXT", "literal-text"]));

    ask("select a from t where b = ? and c = 'y'", "FIXED");
    assert_eq!(texts(&rig).len(), 2);

    // The client's own type cannot pass for a constant's.
    ask("select a from t where b = ? and c = 'y'", "literal_text");
    assert_eq!(rig.plane.asked("judge")[2]["binds"], json!(["LITERAL_TEXT", "literal-text"]));
}

/// Sixteen workers of one job that send the same text at once: what was asked.
fn asked_by_a_crowd(rig: &Rig, sql: &'static str) -> Vec<(String, bool)> {
    let client = rig.login("job");
    let running: Vec<_> = (0..16)
        .map(|_| {
            let client = client.clone();
            rig.spawn(async move { client.query(sql).await })
        })
        .collect();
    for answer in running {
        let answer = rig.block(answer).unwrap();
        assert!(answer.success(), "{}", answer.message());
    }
    assert_eq!(rig.snowflake.ran(sql).len(), 16);
    texts(rig)
}

#[test]
fn a_crowd_with_one_text_asks_once() {
    const SQL: &str = "select a from t where b = 1";
    let template = ("SELECT A FROM T WHERE B = ?".to_owned(), true);
    let exact = (SQL.to_owned(), false);
    for (general, expected) in [
        (plane::allow as fn(&Value) -> Value, vec![template.clone()]),
        (plane::deny, vec![template, exact]),
    ] {
        let rig = Rig::new();
        rig.plane.judge(move |question| {
            std::thread::sleep(std::time::Duration::from_millis(300));
            let mut verdict = if question["template"] == json!(true) {
                general(question)
            } else {
                plane::allow(question)
            };
            verdict["cacheable"] = json!(true);
            verdict
        });
        assert_eq!(asked_by_a_crowd(&rig, SQL), expected);
    }
}

#[test]
fn a_crowd_shares_no_verdict_that_is_not_to_be_kept() {
    let rig = Rig::new();
    rig.plane.judge(|question| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let mut verdict = plane::allow(question);
        verdict["cacheable"] = json!(false);
        verdict
    });
    let asked = asked_by_a_crowd(&rig, "select a from t");
    assert_eq!(asked.iter().filter(|(_, template)| !template).count(), 16);
}
