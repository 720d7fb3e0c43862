//! The edge: unknown paths, odd requests, limits, shutdown.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use uuid::Uuid;

use crate::rig::{Answer, Client, Rig, send};

fn raw(rig: &Rig, request: &str) -> String {
    let mut stream = TcpStream::connect(rig.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A connection that stays open ends with a time-out; what came until then is the answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(rig: &Rig, client: &Client, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let path = format!("/queries/v1/query-request?requestId={}", Uuid::new_v4());
    let mut all =
        vec![("authorization".to_owned(), format!("Snowflake Token=\"{}\"", client.token))];
    all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    rig.block(send(rig.address(), "POST", path, all, body)).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_unknown_endpoint_is_denied_with_404_and_recorded() {
    let rig = Rig::new();
    let client = rig.login("job");
    for path in ["/api/v2/databases", "/v1/streaming/channels/open", "/queries/v1/query-request"] {
        let answer = rig.block(client.get(path));
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json["success"], json!(false));
        assert_eq!(answer.code(), "003001");
        assert!(answer.message().contains("unknown-endpoint"));
    }
    let denials = rig.entries("denial");
    assert_eq!(denials.len(), 3);
    assert_eq!(denials[0]["rules"], json!(["unknown-endpoint"]));
    assert_eq!(denials[0]["path"], "/api/v2/databases");
    assert_eq!(denials[0]["principal"], "job");
    assert_eq!(rig.snowflake.seen("/api").len(), 0);
}

#[test]
fn strangers_cannot_fill_the_ledger_nor_go_unseen() {
    let rig = Rig::new();
    for _ in 0..200 {
        for (method, path, status) in
            [("GET", "/nowhere", 404), ("POST", "/api/v2/statements", 422)]
        {
            let request = send(rig.address(), method, path.to_owned(), Vec::new(), Vec::new());
            assert_eq!(rig.block(request).unwrap().status, status);
        }
    }
    assert_eq!(rig.status()["strangers"], 400);
    stop(&rig);

    let (recorded, counted) = (rig.entries("denial").len(), counted(&rig, "strange-requests"));
    assert!(recorded < 350, "{recorded}");
    assert_eq!(recorded as u64 + counted, 400);
}

#[test]
fn refused_logins_in_a_row_are_recorded_one_by_one_and_then_counted() {
    let rig = Rig::new();
    let client = rig.login("job");
    for _ in 0..400 {
        let login = json!({"ACCOUNT_NAME": "CRMDEMO", "AUTHENTICATOR": "OAUTH", "TOKEN": "bad"});
        assert_eq!(rig.try_login(&login).code(), "390318");
    }
    assert!(rig.block(client.query("select 1")).success(), "others are not concerned");
    stop(&rig);

    let refused = rig.entries("login").iter().filter(|entry| entry["verdict"] == "deny").count();
    assert!((300..350).contains(&refused), "{refused}");
    assert_eq!(refused as u64 + counted(&rig, "refused-logins"), 400);
}

fn stop(rig: &Rig) {
    rig.gate().shutdown(0.0);
    rig.plane.wait_for("stopped");
}

/// How many the alerts of this kind counted.
fn counted(rig: &Rig, kind: &str) -> u64 {
    let alerts = rig.entries("alert").into_iter().filter(|alert| alert["alert"] == kind);
    alerts.map(|alert| alert["count"].as_u64().unwrap()).sum()
}

#[test]
fn known_endpoints_that_are_not_offered_say_why() {
    let rig = Rig::new();
    let client = rig.login("job");
    let browser = rig.block(client.post("/session/authenticator-request", json!({})));
    let list = rig.block(client.get("/monitoring/queries"));
    let api = rig.block(client.post("/api/v2/statements", json!({"statement": "select 1"})));

    assert_eq!((browser.status, list.status, api.status), (200, 200, 422));
    assert!(browser.message().contains("authenticator=oauth"));
    assert!(!list.success());
    assert_eq!(api.json["sqlState"], "42501");
    assert_eq!(rig.entries("denial").len(), 3);
}

#[test]
fn bodies_that_are_too_large_or_no_json_get_an_envelope_and_an_entry() {
    let rig = Rig::with_limits(json!({"body_bytes": 10_000}));
    let client = rig.login("job");
    let sql = "x".repeat(20_000);
    let long = json!({"sqlText": sql}).to_string().into_bytes();
    let bomb = gzip(&vec![b' '; 50_000_000]);
    assert!(bomb.len() > 10_000);
    let small_bomb = gzip(&vec![b' '; 1_000_000]);
    assert!(small_bomb.len() < 10_000);
    let deep = format!("{{\"sqlText\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    let gz = [("content-encoding", "gzip")];
    let answers = [
        post(&rig, &client, &[], long),
        post(&rig, &client, &gz, small_bomb),
        post(&rig, &client, &[], b"not json".to_vec()),
        post(&rig, &client, &[], b"{\"sqlText\":\"a\",\"sqlText\":\"b\"}".to_vec()),
        post(&rig, &client, &[], deep.into_bytes()),
        post(&rig, &client, &[("content-encoding", "br")], b"{}".to_vec()),
        post(&rig, &client, &gz, b"\x1f\x8bbroken".to_vec()),
    ];
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, 200, "{at}");
        assert_eq!(answer.code(), "003001", "{at}");
        assert!(!answer.success(), "{at}");
    }
    assert_eq!(rig.entries("denial").len(), answers.len());
}

#[test]
fn a_stranger_cannot_make_the_gate_keep_a_large_body() {
    let rig = Rig::new();
    let body = vec![b' '; 1_000_000];
    let at = |path: &str| {
        let request = send(rig.address(), "POST", path.to_owned(), Vec::new(), body.clone());
        rig.block(request).unwrap()
    };
    let path = format!("/queries/v1/query-request?requestId={}", Uuid::new_v4());
    assert_eq!(at(&path).code(), "390104");
    assert!(!at("/session/v1/login-request").success());
    assert!(rig.plane.asked("login").is_empty());
}

#[test]
fn a_statement_beyond_the_limit_is_refused() {
    let rig = Rig::with_limits(json!({"statement_bytes": 100}));
    let client = rig.login("job");
    let answer = rig.block(client.query(&format!("select '{}'", "x".repeat(100))));
    assert_eq!(answer.code(), "003001");
    assert!(answer.message().contains("100 bytes"), "{}", answer.message());
}

#[test]
fn a_compressed_body_is_read() {
    let rig = Rig::new();
    let client = rig.login("job");
    let body = gzip(json!({"sqlText": "select 1"}).to_string().as_bytes());
    assert!(post(&rig, &client, &[("content-encoding", "gzip")], body).success());
}

#[test]
fn a_request_framed_twice_is_read_once_and_its_connection_closes() {
    let rig = Rig::new();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let request = format!(
        "POST /telemetry/send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
         Content-Length: 5\r\n\r\n0\r\n\r\n{smuggled}"
    );

    let answer = raw(&rig, &request);

    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    assert!(rig.entries("denial").is_empty(), "the smuggled request was read");
}

#[test]
fn a_host_that_is_not_ours_is_refused() {
    let rig = Rig::new();
    for host in ["evil.example", "localhost@evil.example", "localhost.evil.example"] {
        let request = format!(
            "POST /telemetry/send HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = raw(&rig, &request);
        assert!(answer.contains("\"success\":false"), "{host}: {answer}");
    }
}

#[test]
fn a_head_that_never_ends_is_given_up() {
    let rig = Rig::with_limits(json!({"header_timeout_s": 1, "header_bytes": 8192}));
    let slow = raw(&rig, "POST /telemetry/send HTTP/1.1\r\nHost: local");
    assert!(!slow.contains("200 OK"), "{slow}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(20_000));
    let long = raw(&rig, &long);
    assert!(!long.contains("200 OK"), "{long}");
}

#[test]
fn telemetry_is_swallowed() {
    let rig = Rig::new();
    let client = rig.login("job");
    assert!(rig.block(client.post("/telemetry/send", json!({"logs": []}))).success());
    assert!(rig.snowflake.seen("/telemetry").is_empty());
}

#[test]
fn a_shutdown_lets_the_running_answer_end_and_closes_the_ledger() {
    let rig = Rig::new();
    let client = rig.login("job");
    let go = rig.snowflake.hold_back("select 1");
    let running = rig.spawn({
        let client = client.clone();
        async move { client.query("select 1").await }
    });
    rig.wait_until(|| rig.snowflake.ran("select 1").len() == 1);

    rig.gate().shutdown(5.0);
    std::thread::sleep(Duration::from_millis(50));
    assert!(TcpStream::connect(rig.address()).is_err(), "still accepting");
    go.add_permits(1);

    assert!(rig.block(running).unwrap().success());
    rig.plane.wait_for("stopped");
    assert_eq!(rig.entries("stop").len(), 1);
}

#[test]
fn commands_of_the_control_plane_complete_over_the_bridge() {
    let rig = Rig::new();
    rig.gate().record(7, br#"{"kind":"policy","fields":{"digest":"d"}}"#);
    rig.gate().query(8, br#"{"sql":"SHOW TABLES","purpose":"catalog"}"#);
    rig.gate().record(9, br#"{"kind":"Not A Kind"}"#);
    rig.gate().record(10, b"nonsense");
    rig.wait_until(|| rig.plane.asked("done").len() == 4);

    let done = rig.plane.asked("done");
    let of = |call: u64| done.iter().find(|done| done["call"] == json!(call)).unwrap();
    assert!(of(7)["ok"]["seq"].is_u64());
    assert_eq!(of(8)["ok"]["rows"], json!([["done"]]));
    assert!(of(9)["error"].is_object());
    assert!(of(10)["error"].is_object());
    assert_eq!(rig.entries("policy")[0]["digest"], "d");
    let intent = rig.entries("intent").into_iter().find(|entry| entry["purpose"] == "catalog");
    let intent = intent.unwrap();
    assert_eq!(rig.text(&intent, "sql"), "SHOW TABLES");
    let tag = rig.snowflake.ran("SHOW TABLES")[0].tag();
    assert_eq!((&tag["gw"], &tag["seq"]), (&json!("gw-1"), &intent["seq"]), "ours are tagged too");
    let client = rig.login("job");
    assert!(rig.block(client.query("select 1")).success(), "a refused entry poisons nothing");
}
