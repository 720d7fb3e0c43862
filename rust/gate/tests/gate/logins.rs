//! Logins, renewals and ends of sessions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    rig::{Answer, Rig},
    snowflake::{Act, Seen, rows},
};

fn data(authenticator: &str, token: &str) -> Value {
    json!({"ACCOUNT_NAME": "CRMDEMO", "AUTHENTICATOR": authenticator, "TOKEN": token,
           "CLIENT_APP_ID": "Go", "CLIENT_APP_VERSION": "2.1.0"})
}

fn refused(answer: &Answer) -> String {
    assert_eq!(answer.status, 200);
    assert!(!answer.success());
    assert_eq!(answer.code().len(), 6);
    answer.message().to_owned()
}

#[test]
fn a_login_gives_the_gateways_own_tokens_and_is_recorded() {
    let rig = Rig::new();

    let answer = rig.try_login(&data("OAUTH", "job"));

    let text = String::from_utf8_lossy(&answer.bytes);
    assert!(!text.contains("upstream-token") && !text.contains("upstream-master"));
    assert!(answer.json["data"]["token"].as_str().unwrap().starts_with("sgs_"));
    assert!(answer.json["data"]["masterToken"].as_str().unwrap().starts_with("sgm_"));
    assert!(answer.json["data"]["sessionId"].is_i64());
    let entry = &rig.entries("login")[0];
    assert_eq!(entry["verdict"], "allow");
    assert_eq!(entry["identity"]["subject"], "job");
    assert_eq!(entry["role"], "ETL");
    assert_eq!(entry["claims_digest"], "claims");
    assert!(!rig.entries("login").iter().any(|entry| entry.to_string().contains("sgs_")));
}

#[test]
fn the_role_is_pinned_and_the_pin_is_recorded_before_it_is_sent() {
    let rig = Rig::new();
    rig.login("job");

    let login = &rig.snowflake.seen("/session/v1/login-request")[0];
    assert!(login.query.contains("roleName=ETL"));
    assert_eq!(login.body["data"]["CLIENT_APP_ID"], "Go");
    let requests = rig.snowflake.seen("/queries/v1/query-request");
    let statements: Vec<&str> = requests.iter().map(Seen::sql).collect();
    assert_eq!(statements, snowgate_upstream::PIN_STATEMENTS);
    let intents = rig.entries("intent");
    assert_eq!(intents.len(), 2);
    for ((intent, sql), request) in intents.iter().zip(statements).zip(&requests) {
        let id = intent["upstream_request_id"].as_str().unwrap();
        assert!(request.query.contains(&format!("requestId={id}")), "{}", request.query);
        assert_eq!((&intent["via"], &intent["principal"]), (&json!("gateway"), &json!("gateway")));
        assert_eq!(rig.text(intent, "sql"), sql);
        assert_eq!(request.tag()["seq"], intent["seq"]);
        assert_eq!(rig.outcome(intent)["status"], "ok");
    }
}

#[test]
fn a_session_with_secondary_roles_is_not_handed_out() {
    let rig = Rig::new();
    let active = json!([["ETL", "{\"roles\":\"ADMIN\",\"value\":\"ALL\"}"]]);
    let read_back = snowgate_upstream::PIN_STATEMENTS[1];
    rig.snowflake.on(read_back, Act::Json(rows(1, &["A", "B"], &active)));

    let message = refused(&rig.try_login(&data("OAUTH", "job")));

    assert!(message.contains("role"), "{message}");
    assert_eq!(rig.entries("login")[0]["verdict"], "deny");
    assert_eq!(rig.wait_for_entries("alert", 1)[0]["alert"], "role");
    assert_eq!(rig.status()["sessions"], 0);
}

#[test]
fn a_refused_login_is_recorded_and_nothing_is_sent_upstream() {
    let rig = Rig::new();

    let answer = rig.try_login(&data("OAUTH", "bad"));

    let message = refused(&answer);
    assert_eq!(answer.code(), "390318");
    let entry = &rig.entries("login")[0];
    assert_eq!((&entry["verdict"], &entry["reason"]), (&json!("deny"), &json!("expired")));
    let reference = entry["reference"].as_str().unwrap();
    assert_eq!(message, format!("the token has expired; reference {reference}"));
    assert!(rig.snowflake.seen("/").is_empty());
}

#[test]
fn forms_that_are_not_offered_are_refused_without_asking_anybody() {
    let rig = Rig::new();
    let other_account = json!({"ACCOUNT_NAME": "OTHER", "AUTHENTICATOR": "OAUTH", "TOKEN": "job"});
    let password = json!({"ACCOUNT_NAME": "CRMDEMO", "LOGIN_NAME": "u", "PASSWORD": "hunter2"});
    let cases = [
        other_account,
        password,
        data("EXTERNALBROWSER", "saml"),
        data("SNOWFLAKE_JWT", "a.b.c"),
        data("WORKLOAD_IDENTITY", "a.b.c"),
        data("OAUTH", ""),
        json!({"ACCOUNT_NAME": "CRMDEMO", "AUTHENTICATOR": "OAUTH", "TOKEN": 7}),
    ];
    let count = cases.len();
    for case in cases {
        let message = refused(&rig.try_login(&case));
        assert!(!message.contains("hunter2"));
    }
    assert!(rig.plane.asked("login").is_empty());
    let entries = rig.entries("login");
    assert_eq!(entries.len(), count);
    assert!(entries.iter().all(|entry| entry["verdict"] == "deny"));
}

#[test]
fn a_token_may_come_as_a_password() {
    let rig = Rig::new();
    let token = "eyJh.eyJz.c2ln";
    let login = json!({"ACCOUNT_NAME": "CRMDEMO", "LOGIN_NAME": "u", "PASSWORD": token});

    assert!(rig.try_login(&login).success());

    let asked = &rig.plane.asked("login")[0];
    assert_eq!((&asked["token"], &asked["authenticator"]), (&json!(token), &json!("password")));
}

#[test]
fn a_login_that_cannot_be_stored_opens_no_session() {
    let rig = Rig::new();
    rig.plane.on("session_opened", json!({"ok": false}));

    refused(&rig.try_login(&data("OAUTH", "job")));

    assert_eq!(rig.status()["sessions"], 0);
    rig.wait_until(|| !rig.snowflake.seen("/session").is_empty());
}

#[test]
fn a_silent_control_plane_refuses_logins() {
    let rig = Rig::with_limits(json!({"login_limit_s": 0.1}));
    rig.plane.silence("login");
    refused(&rig.try_login(&data("OAUTH", "job")));
    assert_eq!(rig.entries("login")[0]["reason"], "control-plane");
}

#[test]
fn a_session_token_is_renewed_with_the_master_token() {
    let rig = Rig::new();
    let mut client = rig.login("job");
    let old = client.token.clone();

    let answer = rig.block(client.renew());

    assert!(answer.success(), "{}", answer.message());
    assert_ne!(client.token, old);
    assert_eq!(answer.json["data"]["masterToken"], json!(client.master));
    assert!(rig.block(client.query("select 1")).success());
    let asked = &rig.plane.asked("renew")[0];
    assert_eq!(asked["principal"]["subject"], "job");
    assert_eq!(rig.plane.asked("session_changed").len(), 1);
}

#[test]
fn a_renewal_that_cannot_be_stored_hands_out_no_token() {
    let rig = Rig::new();
    let mut client = rig.login("job");
    rig.plane.on("session_changed", json!({"ok": false}));

    assert!(!rig.block(client.renew()).success());
}

#[test]
fn the_end_of_a_session_is_the_last_thing_that_is_told_of_it() {
    let rig = Rig::with_limits(json!({"judge_limit_s": 0.5}));
    let client = rig.login("job");
    rig.plane.silence("session_changed");
    let renew = || {
        let mut client = client.clone();
        rig.spawn(async move { client.renew().await })
    };
    let first = renew();
    rig.plane.wait_for("session_changed");
    let second = renew();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(rig.plane.asked("session_changed").len(), 1, "the first is not answered yet");
    let id = rig.plane.asked("session_opened")[0]["id"].as_str().unwrap().to_owned();
    rig.gate().kill(&id);
    rig.wait_until(|| rig.status()["sessions"] == 0);
    std::thread::sleep(Duration::from_millis(50));
    assert!(rig.plane.asked("session_closed").is_empty(), "a change is still being stored");

    for renewal in [first, second] {
        assert!(!rig.block(renewal).unwrap().success());
    }
    rig.plane.wait_for("session_closed");
    assert_eq!(rig.plane.asked("session_changed").len(), 1, "nothing is stored after the end");
}

#[test]
fn a_session_that_ends_while_it_is_stored_is_not_handed_out() {
    let rig = Rig::with_limits(json!({"judge_limit_s": 0.5}));
    rig.plane.silence("session_opened");
    let login = rig.spawn(crate::rig::send(
        rig.address(),
        "POST",
        "/session/v1/login-request?requestId=01b2c3d4-0000-4000-8000-00000000abcd".to_owned(),
        Vec::new(),
        json!({"data": data("OAUTH", "job")}).to_string().into_bytes(),
    ));
    let row = rig.plane.wait_for("session_opened");
    rig.gate().kill(row["id"].as_str().unwrap());
    std::thread::sleep(Duration::from_millis(50));
    assert!(rig.plane.asked("session_closed").is_empty(), "the session is still being stored");

    assert!(!rig.block(login).unwrap().unwrap().success());
    rig.plane.wait_for("session_closed");
}

#[test]
fn a_renewal_that_is_refused_ends_the_session() {
    let rig = Rig::new();
    let mut client = rig.login("job");
    rig.plane.on(
        "renew",
        json!({"refuse": {"code": "390111", "message": "the session ended: issuer gone"}}),
    );

    assert_eq!(rig.block(client.renew()).code(), "390111");
    assert_eq!(rig.block(client.query("select 1")).code(), "390111");
    assert_eq!(rig.wait_for_entries("session_end", 1)[0]["why"], "not-renewed");
}

#[test]
fn no_other_token_can_be_asked_for() {
    let rig = Rig::new();
    let mut client = rig.login("job");
    let master = client.master.clone();
    client.token = master;
    for kind in ["ISSUE", "CLONE", "renew"] {
        let body = json!({"oldSessionToken": "x", "requestType": kind});
        let answer = rig.block(client.post("/session/token-request", body));
        assert!(!answer.success(), "{kind}");
    }
    assert!(rig.plane.asked("renew").is_empty());
}

#[test]
fn tokens_are_taken_for_what_they_are_only() {
    let rig = Rig::new();
    let client = rig.login("job");
    let mut wrong = client.clone();
    for token in [client.master.as_str(), "sgs_00", "upstream-token", "None", ""] {
        wrong.token = token.to_owned();
        assert_eq!(rig.block(wrong.query("select 1")).code(), "390104", "{token}");
    }
    wrong.master.clone_from(&client.token);
    assert_eq!(rig.block(wrong.renew()).code(), "390113");
}

#[test]
fn logout_ends_the_session_here_and_upstream() {
    let rig = Rig::new();
    let client = rig.login("job");

    assert!(rig.block(client.post("/session?delete=true", json!({}))).success());

    assert_eq!(rig.block(client.query("select 1")).code(), "390111");
    assert_eq!(rig.plane.wait_for("session_closed")["why"], "logout");
    rig.wait_until(|| {
        rig.snowflake.seen("/session").iter().any(|seen| seen.query.contains("delete=true"))
    });
    assert!(rig.block(client.post("/session?delete=true", json!({}))).success(), "twice is fine");
}

#[test]
fn an_upstream_session_that_is_lost_ends_the_clients() {
    let rig = Rig::new();
    let client = rig.login("job");
    let gone = json!({"data": null, "code": "390111", "message": "gone", "success": false});
    rig.snowflake.on("select 1", Act::Json(gone));

    assert_eq!(rig.block(client.query("select 1")).code(), "390111");

    assert_eq!(rig.block(client.query("select 2")).code(), "390111");
    assert_eq!(rig.snowflake.seen("/session/v1/login-request").len(), 1, "no silent second login");
    assert_eq!(rig.plane.wait_for("session_closed")["why"], "lost");
    assert_eq!(rig.wait_for_entries("session_end", 1)[0]["why"], "lost");
}

#[test]
fn a_session_found_lost_beside_its_statements_ends_with_the_next_sweep() {
    let rig = Rig::new();
    let client = rig.login("job");
    let gone = json!({"data": null, "code": "390111", "message": "gone", "success": false});
    rig.snowflake.on("/session/heartbeat", Act::Json(gone));

    assert!(rig.block(client.post("/session/heartbeat", json!({}))).success());

    // A sweep comes every ten seconds.
    let ended = |rig: &Rig| rig.plane.asked("session_closed");
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while ended(&rig).is_empty() && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ended(&rig)[0]["why"], "lost");
}

#[test]
fn heartbeats_in_a_loop_are_one_request_upstream() {
    let rig = Rig::new();
    let client = rig.login("alice");
    let gate = rig.snowflake.hold_back("/session/heartbeat");

    for _ in 0..5 {
        assert!(rig.block(client.post("/session/heartbeat", json!({}))).success());
    }
    rig.wait_until(|| !rig.snowflake.seen("/session/heartbeat").is_empty());
    assert_eq!(rig.snowflake.seen("/session/heartbeat").len(), 1);

    gate.add_permits(100);
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
        assert!(rig.block(client.post("/session/heartbeat", json!({}))).success());
    }
    assert_eq!(rig.snowflake.seen("/session/heartbeat").len(), 1, "nor one after the other");
}

#[test]
fn a_heartbeat_keeps_upstream_alive() {
    let rig = Rig::new();
    let client = rig.login("job");
    assert!(rig.block(client.post("/session/heartbeat", json!({}))).success());
    rig.wait_until(|| !rig.snowflake.seen("/session/heartbeat").is_empty());
}

#[test]
fn a_login_whose_client_leaves_is_finished_all_the_same() {
    let rig = Rig::new();
    let go = rig.snowflake.hold_back("/session/v1/login-request");
    let path = "/session/v1/login-request?requestId=01b2c3d4-0000-4000-8000-00000000abcd";
    let body = json!({"data": data("OAUTH", "job")}).to_string().into_bytes();
    let request = crate::rig::send(rig.address(), "POST", path.to_owned(), Vec::new(), body);
    let leaving = rig.spawn(request);
    rig.wait_until(|| !rig.snowflake.seen("/session/v1/login-request").is_empty());
    leaving.abort();
    std::thread::sleep(Duration::from_millis(20));
    go.add_permits(1);

    assert_eq!(rig.wait_for_entries("login", 1)[0]["verdict"], "allow");
}
