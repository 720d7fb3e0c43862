//! Where one request ends and the next begins: one reading, or none.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;
use uuid::Uuid;

use crate::rig::Rig;

/// A request that leaves an entry, should anybody read it.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn raw(rig: &Rig, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(rig.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    // The gate may close before all of it is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /telemetry/send HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{body}")
        .into_bytes()
}

fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[test]
fn a_length_with_two_readings_is_refused() {
    let rig = Rig::new();
    for headers in [
        "Content-Length: 0\r\nContent-Length: 45",
        "Content-Length: 45\r\nContent-Length: 0",
        "Content-Length: 0, 45",
        "Content-Length: +0",
        "Content-Length: -1",
        "Content-Length: 0x0",
        "Content-Length: 18446744073709551616",
        "Content-Length:",
        "Content-Length : 0",
        "Content-Length: 0\r\n\tfolded: x",
        "X: y\r\n Content-Length: 45",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length: 0\0",
    ] {
        let answer = raw(&rig, &post(headers, SMUGGLED));
        assert!(!answer.contains("200 OK"), "{headers:?}: {answer}");
        assert!(answers(&answer) <= 1, "{headers:?}: {answer}");
    }
    assert!(rig.entries("denial").is_empty(), "a smuggled request was read");
}

#[test]
fn chunks_that_can_be_read_in_two_ways_are_refused() {
    let rig = Rig::new();
    for body in [
        "0x0\r\n\r\n",
        "+0\r\n\r\n",
        "-1\r\n\r\n",
        "ffffffffffffffff0\r\n",
        "1\r\naGARBAGE\r\n0\r\n\r\n",
        "2\r\na\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        " 0\r\n\r\n",
    ] {
        let request = post("Transfer-Encoding: chunked", &format!("{body}{SMUGGLED}"));
        let answer = raw(&rig, &request);
        assert!(answers(&answer) <= 1, "{body:?}: {answer}");
        assert!(!answer.contains("HTTP/1.1 404"), "{body:?}: {answer}");
    }
    assert!(rig.entries("denial").is_empty(), "a smuggled request was read");
}

#[test]
fn trailers_change_nothing_and_the_next_request_is_read_from_its_first_byte() {
    let rig = Rig::new();
    let client = rig.login("job");
    let trailers = format!(
        "Content-Length: 45\r\nHost: evil.example\r\n\
         Authorization: Snowflake Token=\"{}\"\r\n",
        client.token
    );
    let request = format!("0\r\n{trailers}\r\n{SMUGGLED}");

    let answer = raw(&rig, &post("Transfer-Encoding: chunked", &request));

    // What follows the trailers is an ordinary second request, of a stranger.
    assert_eq!(answers(&answer), 2, "{answer}");
    assert_eq!(rig.entries("denial").len(), 1);
    assert_eq!(rig.entries("denial")[0]["session"], json!(null));
}

#[test]
fn pipelined_requests_are_answered_in_order_each_as_who_it_says() {
    let rig = Rig::new();
    let (alice, bob) = (rig.login("alice"), rig.login("bob"));
    let query = |token: &str, sql: &str| {
        let body = json!({"sqlText": sql, "sequenceId": 1}).to_string();
        format!(
            "POST /queries/v1/query-request?requestId={} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Snowflake Token=\"{token}\"\r\nContent-Length: {}\r\n\r\n{body}",
            Uuid::new_v4(),
            body.len(),
        )
    };
    let all = [
        query(&alice.token, "select 1"),
        query("", "select 2"),
        query(&bob.token, "select 3"),
        SMUGGLED.to_owned(),
    ];

    let answer = raw(&rig, all.concat().as_bytes());

    let parts: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(parts.len(), 4, "{answer}");
    assert!(parts[0].contains("done"), "{answer}");
    assert!(parts[1].contains("390104"), "{answer}");
    assert!(parts[2].contains("done"), "{answer}");
    assert!(parts[3].starts_with("404"), "{answer}");
    let intents = rig.intents();
    let who: Vec<&str> =
        intents.iter().map(|intent| intent["principal"].as_str().unwrap()).collect();
    assert_eq!(who, ["alice", "bob"]);
    assert!(rig.snowflake.ran("select 2").is_empty());
}

#[test]
fn an_early_refusal_leaves_no_body_to_be_read_as_a_request() {
    let rig = Rig::new();
    let length = SMUGGLED.len();
    for (head, status) in [
        (format!("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}"), "404"),
        (
            format!("POST /session HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {length}"),
            "200",
        ),
        (
            format!(
                "GET /snowgate/chunk/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}",
                Uuid::new_v4()
            ),
            "503",
        ),
    ] {
        let answer = raw(&rig, format!("{head}\r\n\r\n{SMUGGLED}").as_bytes());
        assert_eq!(answers(&answer), 1, "{answer}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    let paths: Vec<_> = rig.entries("denial").iter().map(|entry| entry["path"].clone()).collect();
    assert!(!paths.contains(&json!("/smuggled")), "{paths:?}");
}

#[test]
fn a_host_is_one_host_and_ours() {
    let rig = Rig::new();
    for host in [
        "",
        "Host: localhost\r\nHost: evil.example\r\n",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost, evil.example\r\n",
        "Host: localhost:99999\r\n",
        "Host: localhost:+80\r\n",
        "Host: localhost:\r\n",
        "Host: localhost:80:80\r\n",
        "Host: user@localhost\r\n",
        "Host: localhost/evil.example\r\n",
        "Host: localhost#evil.example\r\n",
        "Host: localhost\\evil.example\r\n",
        "Host: evil.example\r\nX-Forwarded-Host: localhost\r\n",
    ] {
        let request = format!(
            "POST /telemetry/send HTTP/1.1\r\n{host}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(&rig, request.as_bytes());
        assert!(!answer.contains("\"success\":true"), "{host:?}: {answer}");
    }
    for target in
        ["http://evil.example/telemetry/send", "http://localhost@evil.example/telemetry/send"]
    {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = raw(&rig, request.as_bytes());
        assert!(!answer.contains("\"success\":true"), "{target}: {answer}");
    }
}

#[test]
fn heads_beyond_the_limits_get_no_service() {
    let rig = Rig::with_limits(json!({"header_bytes": 8192}));
    let long = "a".repeat(20_000);
    let many = "A: b\r\n".repeat(200);
    for head in [
        format!("GET /{long} HTTP/1.1\r\nHost: localhost"),
        format!("POST /telemetry/send?{long} HTTP/1.1\r\nHost: localhost"),
        format!("POST /telemetry/send HTTP/1.1\r\nHost: localhost\r\nX: {long}"),
        format!("POST /telemetry/send HTTP/1.1\r\nHost: localhost\r\n{long}: x"),
        format!("POST /telemetry/send HTTP/1.1\r\n{many}Host: localhost"),
        format!("{long} /telemetry/send HTTP/1.1\r\nHost: localhost"),
        "POST /telemetry/send HTTP/2.0\r\nHost: localhost".to_owned(),
        "POST /telemetry/send\r\nHost: localhost".to_owned(),
        "PRI * HTTP/2.0".to_owned(),
    ] {
        let answer = raw(&rig, format!("{head}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        assert!(!answer.contains("200 OK"), "{}: {answer}", &head[..40]);
    }
    assert_eq!(
        raw(&rig, &post("Content-Length: 0\r\nConnection: close", "")).matches("200 OK").count(),
        1
    );
}
