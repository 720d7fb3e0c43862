//! The life of a statement: recorded first, run once, answered.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    plane,
    rig::{Client, Rig},
    snowflake::{Act, failed, id, result, rows, running},
};

#[test]
fn a_statement_runs_and_leaves_intent_and_outcome() {
    let rig = Rig::new();
    let client = rig.login("job");
    rig.snowflake.on("select 1", Act::Json(rows(7, &["1"], &json!([["1"]]))));

    let answer = rig.block(client.query("select 1"));

    assert!(answer.success(), "{}", answer.message());
    assert_eq!(answer.json["data"]["rowset"], json!([["1"]]));
    assert_ne!(answer.query_id(), id(7), "the client sees our id");
    let intents = rig.intents();
    assert_eq!(intents.len(), 1);
    let intent = &intents[0];
    assert_eq!(intent["principal"], "job");
    assert_eq!(intent["identity"]["issuer"], "https://issuer");
    assert_eq!(rig.text(intent, "sql"), "select 1");
    let outcome = rig.outcome(intent);
    assert_eq!(outcome["status"], "ok");
    assert_eq!(outcome["upstream_query_id"], json!(id(7)));
    assert_eq!(outcome["query_id"], json!(answer.query_id()));
}

#[test]
fn a_text_key_that_cannot_be_written_denies_that_statement_only() {
    let rig = Rig::new();
    let client = rig.login("job");
    let (keys, away) = (rig.dir.path().join("text-keys"), rig.dir.path().join("away"));
    std::fs::rename(&keys, &away).unwrap();
    std::fs::write(&keys, "in the way").unwrap();

    let denied = rig.block(client.query("select 1"));
    std::fs::remove_file(&keys).unwrap();
    std::fs::rename(&away, &keys).unwrap();
    let allowed = rig.block(client.query("select 2"));

    assert!(denied.message().contains("ledger-unavailable"), "{}", denied.message());
    assert!(rig.snowflake.ran("select 1").is_empty());
    assert!(allowed.success(), "{}", allowed.message());
    assert_eq!(rig.text(&rig.intents()[0], "sql"), "select 2");
    assert_eq!(rig.status()["ledger"]["healthy"], json!(true));
}

#[test]
fn nothing_goes_upstream_before_its_intent_is_durable() {
    let rig = Rig::new();
    let client = rig.login("job");
    let found = Arc::new(Mutex::new(Vec::new()));
    rig.snowflake.watch({
        let (found, dir) = (Arc::clone(&found), rig.dir.path().join("ledger"));
        move |seen| {
            if seen.sql().is_empty() {
                return;
            }
            let entries = snowgate_ledger::Reader::open(&dir, 0).unwrap();
            let entries = entries.map(|entry| entry.unwrap());
            let intent = entries
                .map(|entry| serde_json::from_slice::<Value>(&entry.json).unwrap())
                .find(|entry| entry["seq"] == seen.tag()["seq"] && entry["kind"] == "intent");
            found.lock().unwrap().push((seen.clone(), intent));
        }
    });

    for sql in ["select 1", "insert into t values (1)", "use schema other"] {
        assert!(rig.block(client.query(sql)).success());
    }

    let found = found.lock().unwrap();
    assert_eq!(found.len(), 3);
    for (seen, intent) in found.iter() {
        let intent = intent.as_ref().expect("no intent when the statement arrived");
        assert!(seen.query.contains(intent["upstream_request_id"].as_str().unwrap()));
        assert_eq!(rig.text(intent, "sql"), seen.sql());
    }
}

#[test]
fn a_retry_attaches_to_the_statement_under_way() {
    let rig = Rig::new();
    let client = rig.login("job");
    let sql = "insert into t select 1";
    let go = rig.snowflake.hold_back(sql);
    let request_id = Uuid::new_v4();
    let first = rig.spawn({
        let client = client.clone();
        async move { client.query_as(&request_id, sql).await }
    });
    rig.plane.wait_for("judge");
    let retry = rig.spawn({
        let client = client.clone();
        async move { client.query_as(&request_id, sql).await }
    });
    let path = format!("/queries/{}/result", id(3));
    rig.snowflake.on(&path, Act::Json(rows(3, &["C"], &json!([["done"]]))));

    go.add_permits(1);
    let (first, retry) = rig.block(async { (first.await.unwrap(), retry.await.unwrap()) });

    assert_eq!(rig.snowflake.ran(sql).len(), 1, "the statement ran once");
    assert_eq!(first.query_id(), retry.query_id());
    assert_eq!(first.json["data"]["rowset"], retry.json["data"]["rowset"]);
}

#[test]
fn a_client_that_goes_away_stops_nothing_and_finds_its_result_again() {
    let rig = Rig::new();
    let client = rig.login("job");
    let sql = "insert into t select 2";
    let go = rig.snowflake.hold_back(sql);
    let request_id = Uuid::new_v4();
    let gone = rig.spawn({
        let client = client.clone();
        async move { client.query_as(&request_id, sql).await }
    });
    rig.plane.wait_for("judge");
    gone.abort();
    go.add_permits(1);
    let outcome = rig.outcome(&rig.wait_for_entries("intent", 3)[2]);
    assert_eq!(outcome["status"], "ok");

    let answer = rig.block(client.query_as(&request_id, sql));

    assert!(answer.success(), "{}", answer.message());
    assert_eq!(rig.snowflake.ran(sql).len(), 1);
}

#[test]
fn a_request_id_cannot_be_used_for_other_bytes() {
    let rig = Rig::new();
    let client = rig.login("job");
    let request_id = Uuid::new_v4();
    assert!(rig.block(client.query_as(&request_id, "select 1")).success());

    let answer = rig.block(client.query_as(&request_id, "select 2"));

    assert_eq!(answer.code(), "003001");
    assert!(answer.message().contains("request-id-reuse"), "{}", answer.message());
    assert!(rig.snowflake.ran("select 2").is_empty());
    assert_eq!(rig.entries("denial").len(), 1);
}

#[test]
fn a_statement_without_request_id_is_refused() {
    let rig = Rig::new();
    let client = rig.login("job");
    for path in ["/queries/v1/query-request", "/queries/v1/query-request?requestId=abc"] {
        let answer = rig.block(client.post(path, json!({"sqlText": "select 1"})));
        assert!(!answer.success());
    }
    assert!(rig.snowflake.ran("select 1").is_empty());
}

#[test]
fn a_long_statement_is_polled_to_its_end() {
    let rig = Rig::with_limits(json!({"poll_hold_s": 0.2}));
    let client = rig.login("job");
    let sql = "select slow";
    rig.snowflake.on(sql, Act::Json(running(9)));
    let path = format!("/queries/{}/result", id(9));
    rig.snowflake.on(&path, Act::Json(rows(9, &["S"], &json!([["late"]]))));
    let go = rig.snowflake.hold_back(&path);

    let first = rig.block(client.query(sql));
    let poll = rig.block(client.poll(&first.query_id()));
    go.add_permits(10);
    let last = rig.block(async {
        loop {
            let answer = client.poll(&first.query_id()).await;
            if answer.code() != "333333" {
                return answer;
            }
        }
    });

    for waiting in [&first, &poll] {
        assert_eq!(waiting.code(), "333333");
        assert!(waiting.success());
        let url = format!("/queries/{}/result", first.query_id());
        assert_eq!(waiting.json["data"]["getResultUrl"], json!(url));
    }
    assert_eq!(last.json["data"]["rowset"], json!([["late"]]));
    assert_eq!(rig.snowflake.ran(sql).len(), 1);
    let by_upstream_id = rig.block(client.poll(&id(9)));
    assert!(by_upstream_id.success(), "both ids work");
}

#[test]
fn a_denied_statement_never_goes_upstream_and_is_recorded() {
    let rig = Rig::new();
    rig.plane.judge(plane::deny);
    let client = rig.login("job");

    let answer = rig.block(client.query("copy into @s from t"));

    assert_eq!(answer.status, 200);
    assert_eq!(answer.code(), "003001");
    assert_eq!(answer.json["data"]["sqlState"], "42501");
    let denial = &rig.entries("denial")[0];
    let reference = denial["reference"].as_str().unwrap();
    assert_eq!(
        answer.message(),
        format!(
            "denied by rule no-exfiltration: data leaves only through the export job; reference \
             {reference}; what to do: ask for an export"
        )
    );
    assert_eq!(rig.text(denial, "sql"), "copy into @s from t");
    assert!(rig.snowflake.ran("copy into @s from t").is_empty());
    assert!(rig.intents().is_empty());
}

#[test]
fn what_no_policy_can_allow_is_refused_before_policy_is_asked() {
    let rig = Rig::new();
    let client = rig.login("job");
    let path = || format!("/queries/v1/query-request?requestId={}", Uuid::new_v4());
    let bodies = [
        json!({"sqlText": "select 1; drop table t"}),
        json!({"sqlText": "select 'open"}),
        json!({"sqlText": ""}),
        json!({"sqlText": "put file:///etc/hostname @~"}),
        json!({"sqlText": "select 1 ->> select * from $1"}),
        json!({"sqlText": "select * from table(result_scan(last_query_id()))"}),
        json!({"sqlText": "select * from table(\"RESULT_SCAN\"('x'))"}),
        json!({"sqlText": "select 1", "asyncExec": true}),
        json!({"sqlText": "insert into t values (?)", "bindStage": "@SYSTEM$BIND/1"}),
        json!({"sqlText": "select 1", "parameters": {"MULTI_STATEMENT_COUNT": 2}}),
        json!({"sqlText": "select 1", "parameters": {"multi_statement_count": "0x2"}}),
    ];
    let count = bodies.len();
    for body in bodies {
        let answer = rig.block(client.post(&path(), body.clone()));
        assert_eq!(answer.code(), "003001", "{body}");
        assert_eq!(answer.status, 200);
    }
    assert!(rig.plane.asked("judge").is_empty());
    assert_eq!(rig.snowflake.seen("/queries/v1/query-request").len(), 2, "the pins only");
    assert_eq!(rig.entries("denial").len(), count);
}

#[test]
fn silence_nonsense_and_a_stopped_control_plane_deny() {
    let rig = Rig::with_limits(json!({"judge_limit_s": 0.1}));
    let client = rig.login("job");
    let denied = |sql: &str| {
        let answer = rig.block(client.query(sql));
        assert_eq!(answer.code(), "003001");
        assert!(answer.message().contains("control-plane"), "{}", answer.message());
    };

    rig.plane.on("judge", json!({"epoch": 1, "decision": "certainly"}));
    denied("select 1");
    rig.plane.on("judge", json!({"epoch": 1, "decision": "allow", "surprise": 1}));
    denied("select 2");
    rig.plane.silence("judge");
    denied("select 3");
    rig.plane.bridge.stop();
    denied("select 4");
    assert!(rig.intents().is_empty());
}

#[test]
fn a_verdict_is_used_again_until_the_epoch_changes() {
    let rig = Rig::new();
    let client = rig.login("job");
    for _ in 0..3 {
        assert!(rig.block(client.query("select 1")).success());
    }
    assert_eq!(rig.plane.asked("judge").len(), 1);

    rig.gate().set_epoch(2);
    assert!(rig.block(client.query("select 1")).success());

    assert_eq!(rig.plane.asked("judge").len(), 2);
}

#[test]
fn principals_never_share_a_verdict() {
    let rig = Rig::new();
    let (one, other) = (rig.login("job"), rig.login("other"));
    assert!(rig.block(one.query("select 1")).success());
    rig.plane.judge(plane::deny);

    assert_eq!(rig.block(other.query("select 1")).code(), "003001");
    assert!(rig.block(one.query("select 1")).success(), "the first one's is still cached");
}

#[test]
fn a_verdict_of_an_older_epoch_is_asked_for_again() {
    let rig = Rig::new();
    let client = rig.login("job");
    let (go, wait) = mpsc::channel::<()>();
    rig.plane.judge(move |question| {
        if question["epoch"] == json!(1) {
            wait.recv().unwrap();
        }
        plane::allow(question)
    });
    let running = rig.spawn(async move { client.query("select 1").await });
    rig.plane.wait_for("judge");
    rig.gate().set_epoch(2);
    go.send(()).unwrap();

    assert!(rig.block(running).unwrap().success());
    let epochs: Vec<Value> =
        rig.plane.asked("judge").iter().map(|question| question["epoch"].clone()).collect();
    assert_eq!(epochs, [json!(1), json!(2)]);
}

#[test]
fn a_verdict_overtaken_while_the_statement_ran_is_taken_anew() {
    let rig = Rig::new();
    let client = rig.login("job");
    let go = rig.snowflake.hold_back("select secret");
    rig.snowflake.on("select secret", Act::Json(rows(5, &["S"], &json!([["canary"]]))));
    let running = rig.spawn(async move { client.query("select secret").await });
    rig.wait_until(|| rig.snowflake.ran("select secret").len() == 1);
    rig.plane.judge(plane::deny);
    rig.gate().set_epoch(2);
    go.add_permits(1);

    let answer = rig.block(running).unwrap();

    assert_eq!(answer.code(), "003001");
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("canary"));
    assert_eq!(rig.outcome(&rig.intents()[0])["fault"], "verdict");
}

#[test]
fn upstreams_own_refusal_passes_unless_it_may_quote_values() {
    let rig = Rig::new();
    let client = rig.login("job");
    let words = "Numeric value 'canary' is not recognized";
    for sql in ["select x::int", "select y::int"] {
        rig.snowflake.on(sql, Act::Json(failed("100038", words)));
    }
    let open = rig.block(client.query("select x::int"));
    rig.plane.judge(|question| {
        let mut verdict = plane::allow(question);
        verdict["hide_errors"] = json!(true);
        verdict
    });
    let hidden = rig.block(client.query("select y::int"));

    assert_eq!((open.code(), open.message()), ("100038", words));
    assert_eq!(hidden.code(), "100038");
    assert!(!String::from_utf8_lossy(&hidden.bytes).contains("canary"));
    let outcome = rig.outcome(&rig.intents()[0]);
    assert_eq!((&outcome["status"], &outcome["fault"]), (&json!("error"), &json!("upstream")));
}

#[test]
fn a_connection_lost_after_sending_leaves_an_unknown_outcome_and_no_second_try() {
    let rig = Rig::new();
    let client = rig.login("job");
    let sql = "insert into t values (9)";
    let request_id = Uuid::new_v4();
    for act in [Act::HangUp, Act::Raw(503, Vec::new(), "busy".into())] {
        rig.snowflake.on(sql, act);
        let answer = rig.block(client.query(sql));
        assert_eq!(answer.status, 200);
        assert!(answer.message().contains("unknown"), "{}", answer.message());
    }
    rig.snowflake.on(sql, Act::HangUp);
    let first = rig.block(client.query_as(&request_id, sql));
    let retry = rig.block(client.query_as(&request_id, sql));

    assert_eq!(first.message(), retry.message());
    assert_eq!(rig.snowflake.ran(sql).len(), 3, "one for each requestId");
    for intent in rig.intents() {
        assert_eq!(rig.outcome(&intent)["status"], "unknown");
    }
}

#[test]
fn a_reply_in_another_role_is_withheld_and_kills_the_session() {
    let rig = Rig::new();
    let client = rig.login("job");
    let mut data = result(4, &["S"], &json!([["canary"]]));
    data["finalRoleName"] = json!("ACCOUNTADMIN");
    rig.snowflake.on(
        "select 1",
        Act::Json(json!({"data": data, "code": null, "message": null,
        "success": true})),
    );

    let answer = rig.block(client.query("select 1"));

    assert_eq!(answer.code(), "390111");
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("canary"));
    assert_eq!(rig.block(client.query("select 2")).code(), "390111");
    assert_eq!(rig.wait_for_entries("alert", 1)[0]["alert"], "role");
    assert_eq!(rig.wait_for_entries("session_end", 1)[0]["why"], "killed");
}

#[test]
fn a_statement_behind_a_barrier_waits_and_is_judged_where_it_runs() {
    let rig = Rig::new();
    let client = rig.login("job");
    let go = rig.snowflake.hold_back("use schema other");
    let mut moved = result(6, &["status"], &json!([["ok"]]));
    moved["finalSchemaName"] = json!("OTHER");
    rig.snowflake.on(
        "use schema other",
        Act::Json(json!({"data": moved, "code": null,
        "message": null, "success": true})),
    );
    let using = rig.spawn({
        let client = client.clone();
        async move { client.query("use schema other").await }
    });
    rig.wait_until(|| rig.snowflake.ran("use schema other").len() == 1);
    let reading = rig.spawn({
        let client = client.clone();
        async move { client.query("select * from t").await }
    });
    std::thread::sleep(Duration::from_millis(100));
    assert!(rig.snowflake.ran("select * from t").is_empty(), "it overtook the barrier");

    go.add_permits(1);
    rig.block(async { (using.await.unwrap(), reading.await.unwrap()) });

    let judged = rig.plane.asked("judge").into_iter().find(|q| q["sql"] == "SELECT * FROM T");
    assert_eq!(judged.unwrap()["schema"], "OTHER");
}

#[test]
fn after_a_barrier_without_reply_the_place_is_asked_for() {
    let rig = Rig::new();
    let client = rig.login("job");
    rig.snowflake.on("use schema other", Act::HangUp);
    assert!(!rig.block(client.query("use schema other")).success());
    rig.snowflake.on(
        "SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()",
        Act::Json(rows(8, &["A", "B"], &json!([["CRM", "OTHER"]]))),
    );

    assert!(rig.block(client.query("select 1")).success());

    let judged = rig.plane.asked("judge").into_iter().find(|q| q["sql"] == "SELECT 1");
    assert_eq!(judged.unwrap()["schema"], "OTHER");
}

#[test]
fn the_query_tag_is_the_gateways_and_the_clients_is_inside() {
    let rig = Rig::new();
    let client = rig.login("job");
    let path = format!("/queries/v1/query-request?requestId={}", Uuid::new_v4());
    let forged = r#"{"v":1,"gw":"gw-1","seq":1,"mac":"00"}"#;
    let body = json!({"sqlText": "select 1", "parameters": {"QUERY_TAG": forged}});

    assert!(rig.block(client.post(&path, body)).success());

    let tag = rig.snowflake.ran("select 1")[0].tag();
    assert_eq!((&tag["v"], &tag["gw"]), (&json!(1), &json!("gw-1")));
    assert_eq!(tag["seq"], rig.intents()[0]["seq"]);
    assert_eq!(tag["mac"].as_str().unwrap().len(), 64);
    assert_eq!(tag["client"], forged);
}

#[test]
fn a_tag_that_a_client_sets_by_statement_is_inside_from_then_on() {
    let rig = Rig::new();
    let client = rig.login("job");
    rig.plane.judge(|question| {
        let mut verdict = plane::allow(question);
        if question["sql"].as_str().unwrap().to_ascii_uppercase().starts_with("ALTER") {
            (verdict["class"], verdict["barrier"]) = (json!("session"), json!(true));
        }
        verdict
    });
    let refused = "alter session set query_tag = 'refused', timezone = 'nowhere'";
    rig.snowflake.on(refused, Act::Json(failed("001007", "invalid value")));
    let tag = |rig: &Rig, client: &Client, sql: &str| {
        assert!(rig.block(client.query(sql)).success());
        rig.snowflake.ran(sql)[0].tag()["client"].clone()
    };

    assert_eq!(tag(&rig, &client, "select 1"), Value::Null);
    assert!(rig.block(client.query("ALTER SESSION SET QUERY_TAG = 'nightly'")).success());
    assert_eq!(tag(&rig, &client, "select 2"), "nightly");
    assert!(!rig.block(client.query(refused)).success());
    assert_eq!(tag(&rig, &client, "select 3"), "nightly");

    assert!(rig.block(client.query("ALTER SESSION UNSET QUERY_TAG")).success());
    assert_eq!(tag(&rig, &client, "select 4"), Value::Null);
}

#[test]
fn a_running_statement_is_aborted_upstream() {
    let rig = Rig::new();
    let client = rig.login("job");
    let sql = "select forever";
    let go = rig.snowflake.hold_back(sql);
    rig.snowflake.on(sql, Act::Json(failed("000604", "SQL execution canceled")));
    let request_id = Uuid::new_v4();
    let running = rig.spawn({
        let client = client.clone();
        async move { client.query_as(&request_id, sql).await }
    });
    rig.wait_until(|| rig.snowflake.ran(sql).len() == 1);

    let body = json!({"requestId": request_id.to_string()});
    let aborted = rig.block(client.post("/queries/v1/abort-request", body));
    rig.wait_until(|| !rig.snowflake.seen("/queries/v1/abort-request").is_empty());
    go.add_permits(1);
    let answer = rig.block(running).unwrap();

    assert!(aborted.success());
    assert_eq!(answer.code(), "000604");
    let abort = &rig.snowflake.seen("/queries/v1/abort-request")[0];
    assert_eq!(abort.body["requestId"], rig.intents()[0]["upstream_request_id"]);
    assert_eq!(rig.outcome(&rig.intents()[0])["status"], "cancelled");
}

#[test]
fn another_session_can_neither_fetch_nor_poll_nor_cancel_nor_watch() {
    let rig = Rig::new();
    let (one, other) = (rig.login("job"), rig.login("other"));
    let same_principal = rig.login("job");
    rig.snowflake.on("select 1", Act::Json(rows(7, &["1"], &json!([["canary"]]))));
    let answer = rig.block(one.query("select 1"));
    for query_id in [answer.query_id(), id(7)] {
        for client in [&other, &same_principal] {
            let attempts = [
                rig.block(client.poll(&query_id)),
                rig.block(client.post(&format!("/queries/{query_id}/abort-request"), json!({}))),
                rig.block(client.get(&format!("/monitoring/queries/{query_id}"))),
            ];
            for attempt in attempts {
                assert!(attempt.message().contains("not-your-query"), "{}", attempt.message());
                assert!(!String::from_utf8_lossy(&attempt.bytes).contains("canary"));
            }
        }
    }
}

#[test]
fn the_state_of_an_own_statement_is_shown_without_its_text() {
    let rig = Rig::new();
    let client = rig.login("job");
    let answer = rig.block(client.query("select 'literal'"));

    let state = rig.block(client.get(&format!("/monitoring/queries/{}", answer.query_id())));

    assert_eq!(state.json["data"]["queries"][0]["status"], "SUCCESS");
    assert!(!String::from_utf8_lossy(&state.bytes).contains("literal"));
}

#[test]
fn too_many_statements_at_once_are_refused() {
    let rig = Rig::with_limits(json!({"poll_hold_s": 0.05}));
    let client = rig.login("job");
    let go = rig.snowflake.hold_back("select slow");
    let mut codes = Vec::new();
    for _ in 0..66 {
        codes.push(rig.block(client.query("select slow")).code().to_owned());
    }
    go.add_permits(100);
    assert_eq!(codes.iter().filter(|code| *code == "333333").count(), 64);
    assert_eq!(codes.iter().filter(|code| *code == "003001").count(), 2);
}

#[test]
fn a_change_of_the_catalog_is_told_before_the_client_goes_on() {
    let rig = Rig::new();
    rig.plane.judge(|question| {
        let mut verdict = plane::allow(question);
        verdict["changes_catalog"] = json!(true);
        verdict["class"] = json!("create");
        verdict["objects"] = json!(["CRM.PUBLIC.T"]);
        verdict
    });
    let client = rig.login("job");

    assert!(rig.block(client.query("create table t (a int)")).success());

    let told = &rig.plane.asked("catalog_changed")[0];
    assert_eq!((&told["class"], &told["succeeded"]), (&json!("create"), &json!(true)));
    assert_eq!(told["objects"], json!(["CRM.PUBLIC.T"]));
}
