//! Clients that take their time, or too many places.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use uuid::Uuid;

use crate::{
    rig::{Client, Rig},
    snowflake::{Act, rows},
};

/// Far more than the limits of these tests, far less than those of the gate.
const PATIENCE: Duration = Duration::from_secs(10);

const TELEMETRY: &str =
    "POST /telemetry/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

fn connect(rig: &Rig) -> TcpStream {
    let stream = TcpStream::connect(rig.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Send one byte after the other, as slowly as that, until the other side has had enough.
fn dribble(stream: &mut TcpStream, pause: Duration) -> Duration {
    let started = Instant::now();
    while started.elapsed() < PATIENCE && stream.write_all(b"a").is_ok() {
        thread::sleep(pause);
    }
    started.elapsed()
}

/// What comes until the connection ends; panics if it stays open.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the connection stays open")
        }
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

fn query_head(client: &Client, length: usize) -> String {
    format!(
        "POST /queries/v1/query-request?requestId={} HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Snowflake Token=\"{}\"\r\nContent-Length: {length}\r\n\r\n",
        Uuid::new_v4(),
        client.token,
    )
}

#[test]
fn a_head_that_dribbles_in_is_given_up() {
    let rig = Rig::with_limits(json!({"header_timeout_s": 1}));
    let mut stream = connect(&rig);
    stream.write_all(b"POST /telemetry/send HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();

    assert!(dribble(&mut stream, Duration::from_millis(50)) < PATIENCE);
}

#[test]
fn a_connection_without_a_first_request_is_given_up_as_soon_as_a_slow_head() {
    let rig = Rig::with_limits(json!({"header_timeout_s": 1, "idle_timeout_s": 300}));
    assert_eq!(rest(&mut connect(&rig)), "");
}

#[test]
fn a_connection_that_has_served_is_kept_for_the_next_request() {
    let rig = Rig::with_limits(json!({"header_timeout_s": 1, "idle_timeout_s": 300}));
    let mut stream = connect(&rig);
    for _ in 0..2 {
        stream.write_all(TELEMETRY.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).unwrap();
        assert!(String::from_utf8_lossy(&answer[..count]).starts_with("HTTP/1.1 200"));
        thread::sleep(Duration::from_millis(1300));
    }
}

#[test]
fn a_body_that_dribbles_in_is_refused() {
    let rig = Rig::with_limits(json!({"idle_timeout_s": 1}));
    let client = rig.login("job");
    let mut stream = connect(&rig);
    stream.write_all(query_head(&client, 10_000).as_bytes()).unwrap();
    dribble(&mut stream.try_clone().unwrap(), Duration::from_millis(50));

    assert!(rig.snowflake.ran("").is_empty());
    rig.wait_until(|| rig.status()["connections"] == 0);
    assert_eq!(rig.wait_for_entries("denial", 1)[0]["rules"], json!(["request-time"]));
}

#[test]
fn the_body_of_a_stranger_has_the_time_of_a_head() {
    let rig = Rig::with_limits(json!({"header_timeout_s": 1, "idle_timeout_s": 300}));
    let mut stream = connect(&rig);
    stream
        .write_all(
            b"POST /session/v1/login-request HTTP/1.1\r\nHost: localhost\r\n\
              Content-Length: 10000\r\n\r\n",
        )
        .unwrap();

    assert!(dribble(&mut stream, Duration::from_millis(50)) < PATIENCE);
    assert!(rig.plane.asked("login").is_empty());
}

#[test]
fn large_bodies_that_one_identity_never_finishes_hold_up_nobody_else() {
    let rig = Rig::new();
    let (greedy, other) = (rig.login("greedy"), rig.login("other"));
    let _unfinished: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = connect(&rig);
            stream.write_all(query_head(&greedy, 1 << 20).as_bytes()).unwrap();
            stream
        })
        .collect();
    rig.wait_until(|| rig.status()["connections"].as_u64().unwrap() >= 20);
    thread::sleep(Duration::from_millis(100));

    let sql = format!("select '{}'", "x".repeat(500_000));
    let answer =
        rig.block(async { tokio::time::timeout(PATIENCE, other.query(&sql)).await.unwrap() });

    assert!(answer.success(), "{}", answer.message());
}

#[test]
fn an_answer_that_nobody_reads_is_given_up_with_its_memory() {
    let rig = Rig::with_limits(json!({"idle_timeout_s": 1}));
    let client = rig.login("job");
    let cell = "x".repeat(7 << 20);
    rig.snowflake.on("select big", Act::Json(rows(5, &["C"], &json!([[cell]]))));
    let body = json!({"sqlText": "select big", "sequenceId": 1}).to_string();
    let mut stream = connect(&rig);
    stream.write_all(query_head(&client, body.len()).as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    rig.wait_until(|| rig.snowflake.ran("select big").len() == 1);

    rig.wait_until(|| rig.status()["connections"] == 0);
    assert_eq!(rig.status()["result_bytes"], 0);
}

#[test]
fn idle_connections_up_to_the_limit_lock_nobody_out_for_long() {
    let rig =
        Rig::with_limits(json!({"connections": 3, "header_timeout_s": 1, "idle_timeout_s": 300}));
    let _flood: Vec<TcpStream> = (0..3).map(|_| connect(&rig)).collect();
    rig.wait_until(|| rig.status()["connections"] == 3);

    // Three more wait before this one, and are given up just as well.
    let _more: Vec<TcpStream> = (0..3).map(|_| connect(&rig)).collect();
    let mut stream = connect(&rig);
    stream
        .write_all(TELEMETRY.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();

    assert!(rest(&mut stream).starts_with("HTTP/1.1 200"));
    assert!(rig.status()["connections"].as_u64().unwrap() <= 3);
}

#[test]
fn one_identity_has_half_of_the_sessions_at_most() {
    let rig = Rig::with_limits(json!({"sessions": 4}));
    let first = rig.login("greedy");
    rig.login("greedy");
    let login = |token: &str| {
        rig.try_login(&json!({"ACCOUNT_NAME": "crmdemo", "AUTHENTICATOR": "OAUTH", "TOKEN": token}))
    };
    let logins_upstream = rig.snowflake.seen("/session/v1/login-request").len();

    let refused = login("greedy");
    assert!(!refused.success());
    assert!(refused.message().contains("too many sessions"), "{}", refused.message());
    assert_eq!(rig.snowflake.seen("/session/v1/login-request").len(), logins_upstream);
    assert_eq!(rig.entries("login").last().unwrap()["reason"], "busy");

    rig.login("other");
    rig.login("third");
    assert!(!login("fourth").success(), "all are taken");
    assert!(rig.block(first.post("/session?delete=true", json!({}))).success());
    assert!(login("fourth").success());
}
