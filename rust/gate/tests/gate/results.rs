//! Results: compared with the prediction, masked, fetched again under the stricter verdict.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    plane,
    rig::{Answer, Client, Rig},
    snowflake::{Act, failed, id, ok, result, rows},
};

const SQL: &str = "select name, email from customers";

fn plan(question: &Value) -> Value {
    let mut verdict = plane::allow(question);
    verdict["tags"] = json!(["pii"]);
    verdict["plan"] = json!([{"name": "NAME", "mask": {"partial": [1, 0]}, "tags": ["pii"]},
                             {"name": "EMAIL", "mask": "redact", "tags": ["pii"]}]);
    verdict
}

fn rig(judge: impl Fn(&Value) -> Value + Send + 'static) -> (Rig, Client) {
    let rig = Rig::new();
    rig.plane.judge(judge);
    let client = rig.login("job");
    let cells = json!([["Alexandra", "canary@example.com"], ["Bo", null]]);
    rig.snowflake.on(SQL, Act::Json(rows(7, &["NAME", "EMAIL"], &cells)));
    let path = format!("/queries/{}/result", id(7));
    rig.snowflake.on(&path, Act::Json(rows(7, &["NAME", "EMAIL"], &cells)));
    (rig, client)
}

fn shows_no_canary(answer: &Answer) {
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("canary"));
}

#[test]
fn inline_rows_are_masked_and_the_outcome_says_which() {
    let (rig, client) = rig(plan);

    let answer = rig.block(client.query(SQL));

    assert_eq!(answer.json["data"]["rowset"], json!([["A***", "***"], ["B***", "***"]]));
    let outcome = rig.outcome(&rig.intents()[0]);
    assert_eq!(outcome["masked_columns"], 2);
    assert_eq!(outcome["columns"][1], json!({"name": "EMAIL", "mask": "redact", "tags": ["pii"]}));
    let intent = &rig.intents()[0];
    assert_eq!(intent["masks"][0]["mask"], json!({"partial": [1, 0]}));
}

#[test]
fn other_columns_than_predicted_void_everything_and_raise_an_alert() {
    for predicted in [
        json!([{"name": "EMAIL", "mask": "pass"}, {"name": "NAME", "mask": "pass"}]),
        json!([{"name": "NAME", "mask": "pass"}]),
        json!([{"name": "NAME", "mask": "pass"}, {"name": "EMAIL", "mask": "pass"},
               {"name": null, "mask": "pass"}]),
    ] {
        let (rig, client) = rig(move |question| {
            let mut verdict = plane::allow(question);
            verdict["plan"] = predicted.clone();
            verdict
        });

        let answer = rig.block(client.query(SQL));

        assert_eq!(answer.json["data"]["rowset"], json!([["***", "***"], ["***", "***"]]));
        assert_eq!(rig.wait_for_entries("alert", 1)[0]["alert"], "rowtype");
        assert_eq!(rig.plane.wait_for("alert")["kind"], "rowtype");
    }
}

#[test]
fn a_verdict_may_void_whatever_comes() {
    let (rig, client) = rig(|question| {
        let mut verdict = plane::allow(question);
        verdict["void_all"] = json!(true);
        verdict
    });
    shows_no_canary(&rig.block(client.query(SQL)));
}

#[test]
fn without_a_plan_the_rows_pass_as_they_are() {
    let (rig, client) = rig(plane::allow);
    let answer = rig.block(client.query(SQL));
    let cells = json!([["Alexandra", "canary@example.com"], ["Bo", null]]);
    assert_eq!(answer.json["data"]["rowset"], cells);
}

#[test]
fn rows_that_cannot_be_masked_are_withheld() {
    let (rig, client) = rig(plan);
    for bad in [
        json!([["a", "canary"], ["b"]]),
        json!([["a", "canary", "c"]]),
        json!([["a", {"x": "canary"}]]),
        json!([["a", 5]]),
    ] {
        rig.snowflake.on(SQL, Act::Json(rows(7, &["NAME", "EMAIL"], &bad)));
        let answer = rig.block(client.query(SQL));
        assert_eq!(answer.code(), "003001", "{bad}");
        shows_no_canary(&answer);
    }
    let mut data = result(7, &["NAME", "EMAIL"], &json!([]));
    data["queryResultFormat"] = json!("arrow");
    data["rowset"] = Value::Null;
    data["rowsetBase64"] = json!("Y2FuYXJ5");
    rig.snowflake.on(SQL, Act::Json(ok(&data)));
    assert_eq!(rig.block(client.query(SQL)).code(), "003001");
    assert_eq!(rig.wait_for_entries("alert", 5)[4]["alert"], "masking");
}

#[test]
fn replies_that_must_not_pass_are_withheld() {
    let (rig, client) = rig(plane::allow);
    let cases = [
        ("command", json!("UPLOAD")),
        ("stageInfo", json!({"creds": {"AWS_KEY_ID": "canary"}})),
        ("resultIds", json!("a,b")),
        ("newData", json!([["canary"]])),
        ("statementTypeId", json!(0x6244)),
    ];
    for (key, value) in cases {
        let mut data = result(7, &["NAME", "EMAIL"], &json!([["a", "canary"]]));
        data[key] = value;
        rig.snowflake.on(SQL, Act::Json(ok(&data)));
        let answer = rig.block(client.query(SQL));
        assert!(!answer.success(), "{key}");
        shows_no_canary(&answer);
    }
}

#[test]
fn a_result_is_fetched_again_under_the_verdict_of_now_and_then() {
    let (rig, client) = rig(plane::allow);
    let request_id = Uuid::new_v4();
    let first = rig.block(client.query_as(&request_id, SQL));
    assert!(String::from_utf8_lossy(&first.bytes).contains("canary"), "it was open then");
    rig.plane.judge(plan);
    rig.gate().set_epoch(2);

    for answer in [
        rig.block(client.poll(&first.query_id())),
        rig.block(client.poll(&id(7))),
        rig.block(client.query_as(&request_id, SQL)),
    ] {
        assert_eq!(answer.json["data"]["rowset"], json!([["A***", "***"], ["B***", "***"]]));
    }

    rig.plane.judge(plane::allow);
    rig.gate().set_epoch(3);
    assert!(rig.block(client.poll(&first.query_id())).success(), "open then, open now");
    rig.plane.judge(plane::deny);
    rig.gate().set_epoch(4);
    let denied = rig.block(client.poll(&first.query_id()));
    assert_eq!(denied.code(), "003001");
    assert_eq!(rig.snowflake.ran(SQL).len(), 1);
}

#[test]
fn what_was_masked_then_stays_masked_though_policy_is_open_now() {
    let (rig, client) = rig(plan);
    let first = rig.block(client.query(SQL));
    rig.plane.judge(plane::allow);
    rig.gate().set_epoch(2);

    let again = rig.block(client.poll(&first.query_id()));

    assert_eq!(again.json["data"]["rowset"], json!([["A***", "***"], ["B***", "***"]]));
}

#[test]
fn what_was_masked_at_the_start_stays_masked_though_policy_opens_while_it_runs() {
    let (rig, client) = rig(plan);
    let go = rig.snowflake.hold_back(SQL);
    let running = rig.spawn({
        let client = client.clone();
        async move { client.query(SQL).await }
    });
    rig.wait_until(|| rig.snowflake.ran(SQL).len() == 1);
    rig.plane.judge(plane::allow);
    rig.gate().set_epoch(2);
    go.add_permits(1);

    let answer = rig.block(running).unwrap();

    assert_eq!(answer.json["data"]["rowset"], json!([["A***", "***"], ["B***", "***"]]));
}

#[test]
fn what_snowflake_says_of_an_error_is_withheld_where_it_may_quote_values() {
    for hide in [true, false] {
        let (rig, client) = rig(move |question| {
            let mut verdict = plane::allow(question);
            verdict["hide_errors"] = json!(hide);
            verdict
        });
        rig.snowflake.on(SQL, Act::Json(failed("100038", "'canary@example.com' is no number")));

        let answer = rig.block(client.query(SQL));

        assert_eq!(answer.code(), "100038");
        assert_eq!(answer.message().contains("canary"), !hide, "{}", answer.message());
        assert_eq!(answer.message().contains("code 100038; its message is withheld"), hide);
        assert_eq!(rig.outcome(&rig.intents()[0])["fault"], "upstream");
        if hide {
            shows_no_canary(&answer);
        }
    }
}

#[test]
fn a_result_that_is_fetched_again_in_another_role_is_withheld_and_kills_the_session() {
    let (rig, client) = rig(plane::allow);
    let first = rig.block(client.query(SQL));
    assert!(first.success(), "{}", first.message());
    let mut data = result(7, &["NAME", "EMAIL"], &json!([["Alexandra", "canary@example.com"]]));
    data["finalRoleName"] = json!("ACCOUNTADMIN");
    rig.snowflake.on(&format!("/queries/{}/result", id(7)), Act::Json(ok(&data)));

    let again = rig.block(client.poll(&first.query_id()));

    assert_eq!(again.code(), "390111", "{}", again.message());
    shows_no_canary(&again);
    assert_eq!(rig.block(client.query("select 1")).code(), "390111");
    assert_eq!(rig.wait_for_entries("alert", 1)[0]["alert"], "role");
    assert_eq!(rig.wait_for_entries("session_end", 1)[0]["why"], "killed");
}

#[test]
fn rules_that_are_not_enforced_are_recorded_with_the_intent() {
    let (rig, client) = rig(|question| {
        let mut verdict = plan(question);
        verdict["shadow"] = json!(["no-emails"]);
        verdict
    });

    rig.block(client.query(SQL));

    assert_eq!(rig.intents()[0]["shadow"], json!(["no-emails"]));
    assert_eq!(rig.intents()[0]["rules"], json!(["reads"]));
}

#[test]
fn no_header_of_upstream_reaches_the_client() {
    let rig = Rig::new();
    let client = rig.login("job");
    for body in [rows(7, &["NAME"], &json!([["Bo"]])), failed("001003", "syntax error")] {
        let headers = vec![("x-snowflake-note", "canary"), ("set-cookie", "canary")];
        rig.snowflake.on(SQL, Act::Raw(200, headers, body.to_string().into()));

        let answer = rig.block(client.query(SQL));

        assert_eq!(answer.json["success"], body["success"], "{}", answer.message());
        let known = ["cache-control", "content-length", "content-type", "date"];
        let names: Vec<&str> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    }
}
