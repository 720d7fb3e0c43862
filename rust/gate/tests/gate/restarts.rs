//! What survives a restart: sessions, held statements, and the knowledge of what was sent.

use serde_json::json;
use uuid::Uuid;

use crate::{
    plane,
    rig::Rig,
    snowflake::{Act, id, rows},
};

#[test]
fn a_session_goes_on_after_a_restart() {
    let mut rig = Rig::new();
    let mut client = rig.login("job");
    assert!(rig.block(client.query("select 1")).success());

    rig.restart();
    client.address = rig.address();

    assert!(rig.block(client.query("select 1")).success());
    assert_eq!(rig.snowflake.seen("/session/v1/login-request").len(), 1);
    let asked = rig.snowflake.ran("SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()");
    assert_eq!(asked.len(), 1, "where the session stands is asked for, not believed");
}

#[test]
fn a_row_that_was_moved_to_another_principal_restores_nothing() {
    let mut rig = Rig::new();
    let mut client = rig.login("job");
    let mut row = rig.plane.asked("session_opened")[0].clone();
    row["principal"]["subject"] = json!("other");
    rig.gate().shutdown(0.0);
    rig.plane.wait_for("stopped");
    rig.gate = None;

    rig.start(&[row]);
    client.address = rig.address();

    assert_eq!(rig.block(client.query("select 1")).code(), "390104");
    assert_eq!(rig.wait_for_entries("alert", 1)[0]["alert"], "session");
}

#[test]
fn a_write_cut_short_by_a_restart_is_never_sent_again() {
    let mut rig = Rig::new();
    let mut client = rig.login("job");
    let sql = "insert into t values (1)";
    let _stuck = rig.snowflake.hold_back(sql);
    let request_id = Uuid::new_v4();
    let cut = rig.spawn({
        let client = client.clone();
        async move { client.query_as(&request_id, sql).await }
    });
    rig.wait_until(|| rig.snowflake.ran(sql).len() == 1);
    cut.abort();
    let query_id = rig.intents()[0]["query_id"].as_str().unwrap().to_owned();

    rig.restart();
    client.address = rig.address();
    let retry = rig.block(client.query_as(&request_id, sql));
    let poll = rig.block(client.poll(&query_id));

    let reference = rig.intents()[0]["reference"].as_str().unwrap().to_owned();
    for answer in [retry, poll] {
        assert!(answer.message().contains("outcome-unknown"), "{}", answer.message());
        assert!(answer.message().contains(&reference), "{}", answer.message());
    }
    assert_eq!(rig.snowflake.ran(sql).len(), 1);
    assert_eq!(rig.outcome(&rig.intents()[0])["status"], "unknown");
}

#[test]
fn a_read_cut_short_by_a_restart_may_run_again_under_the_same_upstream_id() {
    let mut rig = Rig::new();
    let mut client = rig.login("job");
    let sql = "select slow";
    let go = rig.snowflake.hold_back(sql);
    let request_id = Uuid::new_v4();
    let cut = rig.spawn({
        let client = client.clone();
        async move { client.query_as(&request_id, sql).await }
    });
    rig.wait_until(|| rig.snowflake.ran(sql).len() == 1);
    cut.abort();

    rig.restart();
    client.address = rig.address();
    go.add_permits(10);
    let retry = rig.block(client.query_as(&request_id, sql));

    assert!(retry.success(), "{}", retry.message());
    let ran = rig.snowflake.ran(sql);
    assert_eq!(ran.len(), 2);
    let id = |at: usize| ran[at].query.split('&').next().unwrap().to_owned();
    assert_eq!(id(0), id(1), "upstream sees the same requestId");
}

#[test]
fn a_write_that_succeeded_before_a_restart_is_fetched_not_run_again() {
    let mut rig = Rig::new();
    let mut client = rig.login("job");
    let sql = "insert into t values (1)";
    rig.snowflake.on(sql, Act::Json(rows(7, &["n"], &json!([["1"]]))));
    let path = format!("/queries/{}/result", id(7));
    rig.snowflake.on(&path, Act::Json(rows(7, &["n"], &json!([["1"]]))));
    let request_id = Uuid::new_v4();
    assert!(rig.block(client.query_as(&request_id, sql)).success());
    rig.outcome(&rig.intents()[0]);

    rig.restart();
    client.address = rig.address();
    let retry = rig.block(client.query_as(&request_id, sql));

    assert_eq!(retry.json["data"]["rowset"], json!([["1"]]), "{}", retry.message());
    assert_eq!(rig.snowflake.ran(sql).len(), 1);
}

#[test]
fn a_held_statement_survives_a_restart_and_runs_once() {
    for by_retry in [false, true] {
        let mut rig = Rig::with_limits(json!({"poll_hold_s": 0.3}));
        rig.plane.judge(plane::hold);
        let mut client = rig.login("job");
        let request_id = Uuid::new_v4();
        let sql = "drop table t";
        let query_id = rig.block(client.query_as(&request_id, sql)).query_id();

        rig.restart();
        client.address = rig.address();
        let waiting = if by_retry {
            rig.block(client.query_as(&request_id, sql))
        } else {
            rig.block(client.poll(&query_id))
        };
        assert_eq!(waiting.code(), "333333", "{}", waiting.message());
        assert_eq!(waiting.query_id(), query_id);
        rig.plane.decide(&query_id, "approved");
        let answer = rig.block(async {
            loop {
                let answer = client.poll(&query_id).await;
                if answer.code() != "333333" {
                    return answer;
                }
            }
        });

        assert!(answer.success(), "{}", answer.message());
        assert_eq!(rig.snowflake.ran(sql).len(), 1);
        assert_eq!(rig.plane.asked("hold").len(), 1);
        let (hold, consume) = (&rig.plane.asked("hold")[0], rig.plane.asked("consume"));
        assert_eq!(consume.last().unwrap()["context_digest"], hold["context_digest"]);
    }
}

#[test]
fn a_restart_does_not_make_an_approval_fit_a_session_that_moved_on() {
    let mut rig = Rig::with_limits(json!({"poll_hold_s": 0.3}));
    rig.plane.judge(plane::hold);
    let mut client = rig.login("job");
    let query_id = rig.block(client.query("drop table t")).query_id();
    rig.plane.judge(plane::allow);
    let go = rig.snowflake.hold_back("use role etl");
    let moving = rig.spawn({
        let client = client.clone();
        async move { client.query("use role etl").await }
    });
    rig.wait_until(|| rig.snowflake.ran("use role etl").len() == 1);
    moving.abort();

    rig.restart();
    go.add_permits(1);
    client.address = rig.address();
    assert_eq!(rig.block(client.poll(&query_id)).code(), "333333");

    let (hold, consume) = (&rig.plane.asked("hold")[0], rig.plane.asked("consume"));
    assert_ne!(consume.last().unwrap()["context_digest"], hold["context_digest"]);
}
