//! Held statements: they wait, run once, and end with their session.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    plane,
    rig::{Client, Rig},
    snowflake::{Act, rows},
};

const SQL: &str = "drop table t";

fn held() -> (Rig, Client, Uuid, String) {
    let rig = Rig::with_limits(json!({"poll_hold_s": 0.3}));
    rig.plane.judge(plane::hold);
    let client = rig.login("job");
    let request_id = Uuid::new_v4();
    let answer = rig.block(client.query_as(&request_id, SQL));
    assert_eq!(answer.code(), "333333", "{}", answer.message());
    assert!(answer.success());
    let query_id = answer.query_id();
    (rig, client, request_id, query_id)
}

async fn poll_to_the_end(client: &Client, query_id: &str) -> crate::rig::Answer {
    loop {
        let answer = client.poll(query_id).await;
        if answer.code() != "333333" {
            return answer;
        }
    }
}

#[test]
fn an_approved_statement_runs_once_for_however_many_waiters() {
    let (rig, client, request_id, query_id) = held();
    rig.snowflake.on(SQL, Act::Json(rows(7, &["status"], &json!([["dropped"]]))));
    let again = format!("/queries/{}/result", crate::snowflake::id(7));
    rig.snowflake.on(&again, Act::Json(rows(7, &["status"], &json!([["dropped"]]))));
    assert!(rig.snowflake.ran(SQL).is_empty());

    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let (client, query_id) = (client.clone(), query_id.clone());
            rig.spawn(async move { poll_to_the_end(&client, &query_id).await })
        })
        .collect();
    rig.plane.decide(&query_id, "approved");
    rig.gate().wake(&query_id);
    let answers: Vec<_> = waiters.into_iter().map(|waiter| rig.block(waiter).unwrap()).collect();
    let retry = rig.block(client.query_as(&request_id, SQL));

    for answer in answers.iter().chain([&retry]) {
        assert_eq!(answer.json["data"]["rowset"], json!([["dropped"]]), "{}", answer.message());
        assert_eq!(answer.query_id(), query_id);
    }
    assert_eq!(rig.snowflake.ran(SQL).len(), 1);
    let intents = rig.intents();
    assert_eq!(intents.len(), 1);
    assert_eq!(intents[0]["approval"], "approval-1");
    assert_eq!(intents[0]["decision"], "hold");
}

#[test]
fn an_approval_never_removes_a_mask() {
    let rig = Rig::with_limits(json!({"poll_hold_s": 0.3}));
    rig.plane.judge(|question| {
        let mut verdict = plane::hold(question);
        verdict["plan"] = json!([{"name": "EMAIL", "mask": "redact", "tags": ["pii"]}]);
        verdict
    });
    let client = rig.login("job");
    let sql = "select email from customers";
    rig.snowflake.on(sql, Act::Json(rows(7, &["EMAIL"], &json!([["canary@example.com"]]))));
    let query_id = rig.block(client.query(sql)).query_id();
    rig.plane.decide(&query_id, "approved");

    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(answer.json["data"]["rowset"], json!([["***"]]));
}

const EMAILS: &str = "select email from customers";

/// A verdict on [`EMAILS`] whose approval shows these tags; its plan shows the column as `mask`.
fn unmasking(question: &Value, mask: &str, unmask: &[&str]) -> Value {
    showing(plane::hold(question), mask, unmask)
}

fn showing(mut verdict: Value, mask: &str, unmask: &[&str]) -> Value {
    verdict["class"] = json!("select");
    verdict["barrier"] = json!(false);
    verdict["plan"] = json!([{"name": "EMAIL", "mask": mask, "tags": ["pii"]}]);
    verdict["hold"]["unmask"] = json!(unmask);
    verdict["hold"]["definitions"] = json!("d");
    verdict
}

/// A statement that waits for an approval to show `pii`, and its poll once that is given.
fn approved_to_show(rig: &Rig) -> (Client, String) {
    rig.plane.judge(|question| unmasking(question, "redact", &["pii"]));
    let client = rig.login("job");
    rig.snowflake.on(EMAILS, Act::Json(rows(7, &["EMAIL"], &json!([["canary@example.com"]]))));
    let query_id = rig.block(client.query(EMAILS)).query_id();
    rig.plane.decide(&query_id, "approved");
    (client, query_id)
}

#[test]
fn what_an_approval_shows_is_told_in_the_request_and_in_the_intent() {
    let rig = Rig::with_limits(json!({"poll_hold_s": 0.3}));
    let (client, query_id) = approved_to_show(&rig);
    let asked = rig.plane.asked("hold")[0].clone();
    let released = showing(asked["verdict"].clone(), "pass", &["pii"]);
    rig.plane.on("consume", json!({"go": released}));

    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(asked["verdict"]["hold"]["unmask"], json!(["pii"]));
    assert_eq!(asked["verdict"]["hold"]["definitions"], "d");
    assert_eq!(answer.json["data"]["rowset"], json!([["canary@example.com"]]));
    let intent = &rig.intents()[0];
    assert_eq!(intent["unmask"], json!(["pii"]));
    assert_eq!(intent["approval"], "approval-1");
    assert_eq!(intent["masks"][0]["mask"], "pass");
}

#[test]
fn what_the_release_masks_is_masked_whatever_was_approved() {
    let rig = Rig::with_limits(json!({"poll_hold_s": 0.3}));
    let (client, query_id) = approved_to_show(&rig);
    let asked = rig.plane.asked("hold")[0].clone();
    rig.plane.on("consume", json!({"go": showing(asked["verdict"].clone(), "redact", &[])}));

    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(answer.json["data"]["rowset"], json!([["***"]]));
    assert!(rig.intents()[0].get("unmask").is_none());
}

#[test]
fn a_released_statement_that_is_judged_again_shows_no_other_tag() {
    let rig = Rig::with_limits(json!({"poll_hold_s": 0.3}));
    let (client, query_id) = approved_to_show(&rig);
    let asked = rig.plane.asked("hold")[0].clone();
    // Its epoch is over: it is judged again before it is sent.
    let mut released = showing(asked["verdict"].clone(), "redact", &[]);
    released["epoch"] = json!(0);
    rig.plane.on("consume", json!({"go": released}));
    rig.plane.judge(|question| unmasking(question, "pass", &["pii"]));

    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(answer.code(), "000604", "{}", answer.message());
    assert!(rig.snowflake.ran(EMAILS).is_empty());
}

#[test]
fn a_denied_approval_ends_the_statement_in_the_approvers_words() {
    let (rig, client, _, query_id) = held();
    rig.plane.decide(&query_id, "denied");
    rig.gate().wake(&query_id);

    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(answer.code(), "003001");
    assert!(answer.message().contains("denied by casey: not today"), "{}", answer.message());
    assert!(rig.snowflake.ran(SQL).is_empty());
}

#[test]
fn a_retry_meets_the_held_statement_and_asks_for_no_second_approval() {
    let (rig, client, request_id, query_id) = held();

    let retry = rig.block(client.query_as(&request_id, SQL));

    assert_eq!(retry.query_id(), query_id);
    assert_eq!(rig.plane.asked("hold").len(), 1);
}

#[test]
fn other_statements_of_the_session_go_on_meanwhile() {
    let (rig, client, _, _) = held();
    rig.plane.judge(plane::allow);
    assert!(rig.block(client.query("select 1")).success());
    assert!(rig.block(client.query("use schema other")).success());
}

#[test]
fn the_control_plane_sees_exact_bytes_and_context() {
    let (rig, client, _, query_id) = held();
    let before = rig.plane.asked("hold")[0].clone();
    rig.plane.judge(plane::allow);
    assert!(rig.block(client.query("use schema other")).success());
    let waiting = rig.block(client.poll(&query_id));
    assert_eq!(waiting.code(), "333333");

    let consumes = rig.plane.asked("consume");
    let after: &Value = consumes.last().unwrap();
    assert_eq!(before["sql"], SQL);
    assert_eq!(before["statement_digest"], after["statement_digest"]);
    assert_ne!(before["context_digest"], after["context_digest"], "the session moved on");
}

#[test]
fn cancelling_ends_a_held_statement_and_its_approval() {
    let (rig, client, request_id, query_id) = held();
    let body = json!({"requestId": request_id.to_string()});
    assert!(rig.block(client.post("/queries/v1/abort-request", body)).success());

    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(answer.code(), "000604");
    assert_eq!(answer.json["data"]["sqlState"], "57014");
    let notice = rig.plane.wait_for("cancel_hold");
    assert_eq!(notice, json!({"query_id": query_id, "why": "cancelled"}));
    rig.plane.decide(&query_id, "approved");
    rig.gate().wake(&query_id);
    assert_eq!(rig.block(client.poll(&query_id)).code(), "000604");
    assert!(rig.snowflake.ran(SQL).is_empty());
}

#[test]
fn logout_ends_the_held_statements_of_its_session() {
    let (rig, client, _, query_id) = held();

    assert!(rig.block(client.post("/session?delete=true", json!({}))).success());

    let notice = rig.plane.wait_for("cancel_hold");
    assert_eq!(notice, json!({"query_id": query_id, "why": "logout"}));
    assert_eq!(rig.block(client.poll(&query_id)).code(), "390111");
}

#[test]
fn a_killed_session_ends_the_waiting_request_at_once() {
    let (rig, client, _, query_id) = held();
    let waiting = rig.spawn(async move { poll_to_the_end(&client, &query_id).await });
    rig.plane.wait_for("consume");
    let session = rig.plane.asked("hold")[0]["session"]["id"].as_str().unwrap().to_owned();

    rig.gate().kill(&session);

    assert_eq!(rig.block(waiting).unwrap().code(), "390111");
    assert_eq!(rig.plane.wait_for("cancel_hold")["why"], "killed");
    assert_eq!(rig.plane.wait_for("session_closed")["why"], "killed");
}

#[test]
fn a_refused_hold_is_a_denial() {
    let rig = Rig::new();
    rig.plane.judge(plane::hold);
    rig.plane.on(
        "hold",
        json!({"deny": {"rule": "hold-quota", "reason": "too many", "remedy": "wait"}}),
    );
    let client = rig.login("job");

    let answer = rig.block(client.query(SQL));

    assert!(answer.message().starts_with("denied by rule hold-quota: too many"));
    let denial = &rig.entries("denial")[0];
    assert_eq!(denial["rules"], json!(["hold-quota"]));
    // A text means nothing without the place in which its names are looked up.
    assert!(denial["database"].is_string() && denial["schema"].is_string());
}
