//! Chunk tickets: the address stays here, the secret opens one result for one session.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    plane,
    rig::{Answer, Client, Rig, send},
    snowflake::{Act, ok, result},
};

const SQL: &str = "select name, email from customers";
const STORAGE: &str = "/bucket/chunk-0";
const SECRET: &str = "x-snowgate-encryption-key";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Chunked {
    rig: Rig,
    client: Client,
    path: String,
    secret: String,
    answer: Answer,
}

/// A result with one chunk, under this verdict.
fn chunked(
    judge: impl Fn(&Value) -> Value + Send + 'static,
    limits: Value,
    stored: Act,
) -> Chunked {
    chunked_in(Rig::with_limits(limits), judge, stored)
}

fn chunked_in(rig: Rig, judge: impl Fn(&Value) -> Value + Send + 'static, stored: Act) -> Chunked {
    rig.plane.judge(judge);
    let client = rig.login("job");
    let mut data = result(7, &["NAME", "EMAIL"], &json!([]));
    data["total"] = json!(2);
    data["returned"] = json!(2);
    let url = format!("http://127.0.0.1:{}{STORAGE}?X-Amz-Signature=presigned", rig.snowflake.port);
    data["chunks"] = json!([{"url": url, "rowCount": 2, "uncompressedSize": 40,
                             "compressedSize": 30}]);
    data["qrmk"] = json!("upstream-key");
    rig.snowflake.on(SQL, Act::Json(ok(&data)));
    rig.snowflake.on(STORAGE, stored);
    let answer = rig.block(client.query(SQL));
    assert!(answer.success(), "{}", answer.message());
    let url = answer.json["data"]["chunks"][0]["url"].as_str().unwrap().to_owned();
    let base = format!("http://{}", rig.address());
    let path = url.strip_prefix(&base).unwrap().to_owned();
    let secret = answer.json["data"]["chunkHeaders"][SECRET].as_str().unwrap().to_owned();
    Chunked { rig, client, path, secret, answer }
}

impl Chunked {
    fn fetch_with(&self, secret: Option<&str>) -> Option<Answer> {
        let headers = secret.map(|secret| (SECRET.to_owned(), secret.to_owned()));
        let headers = headers.into_iter().collect();
        let (address, path) = (self.rig.address(), self.path.clone());
        self.rig.block(send(address, "GET", path, headers, Vec::new()))
    }

    fn fetch(&self) -> Option<Answer> {
        self.fetch_with(Some(&self.secret))
    }
}

fn masked(question: &Value) -> Value {
    let mut verdict = plane::allow(question);
    verdict["plan"] = json!([{"name": "NAME", "mask": "pass", "tags": []},
                             {"name": "EMAIL", "mask": "redact", "tags": ["pii"]}]);
    verdict
}

fn stored(body: &[u8]) -> Act {
    Act::Raw(200, vec![("content-type", "binary/octet-stream")], Bytes::from(body.to_vec()))
}

const ROWS: &[u8] = br#"["Ann","canary-1"],["Bo","canary-2"]"#;

#[test]
fn a_chunk_is_masked_on_its_way_compressed_or_not() {
    for body in [ROWS.to_vec(), gzip(ROWS)] {
        let chunked = chunked(masked, json!({}), stored(&body));

        let chunk = chunked.fetch().unwrap();

        assert_eq!(chunk.status, 200);
        assert_eq!(chunk.bytes.as_ref(), br#"["Ann","***"],["Bo","***"]"#);
        assert_eq!(chunk.headers["content-type"], "application/octet-stream");
        assert!(!chunk.headers.contains_key("content-encoding"));
        let upstream = &chunked.rig.snowflake.seen(STORAGE)[0];
        assert_eq!(upstream.headers["x-amz-server-side-encryption-customer-key"], "upstream-key");
        assert!(!upstream.headers.contains_key("authorization"));
    }
}

#[test]
fn a_clear_chunk_is_relayed_as_it_is_stored() {
    let body = gzip(ROWS);
    let chunked = chunked(plane::allow, json!({}), stored(&body));

    let chunk = chunked.fetch().unwrap();

    assert_eq!(chunk.bytes.as_ref(), body);
    assert_eq!(chunk.headers["content-encoding"], "gzip");
    assert_eq!(chunk.headers["content-length"], body.len().to_string());
}

#[test]
fn the_reply_holds_nothing_of_upstreams_address_or_key() {
    let chunked = chunked(plane::allow, json!({}), stored(ROWS));
    let text = String::from_utf8_lossy(&chunked.answer.bytes);
    for secret in ["presigned", "bucket", "upstream-key", "qrmk", "customer"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(!chunked.path.contains(&chunked.secret));
}

#[test]
fn the_url_without_its_secret_opens_nothing() {
    let chunked = chunked(plane::allow, json!({}), stored(ROWS));
    let other = "sgc_".to_owned() + &"0".repeat(64);
    for secret in [None, Some(""), Some("x"), Some(other.as_str()), Some(&*chunked.client.token)] {
        let refused = chunked.fetch_with(secret).unwrap();
        assert_eq!(refused.status, 503);
        assert!(refused.bytes.is_empty());
    }
    assert!(chunked.rig.snowflake.seen(STORAGE).is_empty());
    assert_eq!(chunked.rig.entries("denial")[0]["rules"], json!(["chunk-ticket"]));
    assert_eq!(chunked.fetch().unwrap().status, 200);
}

#[test]
fn a_ticket_ends_with_its_session() {
    for kill in [false, true] {
        let chunked = chunked(plane::allow, json!({}), stored(ROWS));
        if kill {
            let id = chunked.rig.plane.asked("judge")[0]["session"]["id"].clone();
            chunked.rig.gate().kill(id.as_str().unwrap());
            chunked.rig.plane.wait_for("session_closed");
        } else {
            let logout = chunked.client.post("/session?delete=true", json!({}));
            assert!(chunked.rig.block(logout).success());
        }
        assert_eq!(chunked.fetch().unwrap().status, 503);
        assert!(chunked.rig.snowflake.seen(STORAGE).is_empty());
    }
}

#[test]
fn a_ticket_ends_with_the_time_of_its_session() {
    let rig = Rig::new();
    let mut admitted = plane::login(&json!({"token": "job", "account": "CRMDEMO"}));
    admitted["admit"]["max_age_s"] = json!(2.0);
    rig.plane.on("login", admitted);
    let chunked = chunked_in(rig, plane::allow, stored(ROWS));

    thread::sleep(Duration::from_secs(2));

    assert_eq!(chunked.fetch().unwrap().status, 503);
    assert!(chunked.rig.snowflake.seen(STORAGE).is_empty());
}

#[test]
fn a_ticket_is_used_up_and_grows_old() {
    let chunked = chunked(plane::allow, json!({"ticket_uses": 2}), stored(ROWS));
    let statuses: Vec<u16> = (0..3).map(|_| chunked.fetch().unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 503]);

    let old = super::chunks::chunked(plane::allow, json!({"ticket_age_s": 0}), stored(ROWS));
    assert_eq!(old.fetch().unwrap().status, 503);
}

/// Bytes of the large chunk below, and of what may leave of it before a stream is checked again.
const WHOLE: usize = 30_000_000;
const UNCHECKED: usize = 9_000_000;

/// Bytes that come of a large chunk, where something happens after it was asked for.
fn comes_through(
    judge: fn(&Value) -> Value,
    limits: Value,
    meanwhile: impl FnOnce(&Chunked),
) -> usize {
    let row = format!("[\"{}\",\"x\"]", "n".repeat(1000));
    let body = vec![row; 30_000].join(",");
    let chunked = chunked(judge, limits, stored(body.as_bytes()));
    let go = chunked.rig.snowflake.hold_back(STORAGE);
    let address = chunked.rig.address();
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {address}\r\n{SECRET}: {}\r\nconnection: close\r\n\r\n",
        chunked.path, chunked.secret
    );
    let fetching = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // A cut connection is an error, and leaves what came before.
        let _ = stream.read_to_end(&mut bytes);
        bytes.len()
    });
    chunked.rig.wait_until(|| !chunked.rig.snowflake.seen(STORAGE).is_empty());
    meanwhile(&chunked);
    go.add_permits(1);
    fetching.join().unwrap()
}

#[test]
fn a_kill_in_mid_stream_cuts_the_connection() {
    for judge in [masked, plane::allow] {
        assert!(comes_through(judge, json!({}), |_| ()) > WHOLE);
        let killed = |chunked: &Chunked| {
            let id = chunked.rig.plane.asked("judge")[0]["session"]["id"].clone();
            chunked.rig.gate().kill(id.as_str().unwrap());
            chunked.rig.plane.wait_for("session_closed");
        };
        assert!(comes_through(judge, json!({}), killed) < UNCHECKED);
    }
}

#[test]
fn a_ticket_that_grows_old_in_mid_stream_cuts_the_connection() {
    for judge in [masked, plane::allow] {
        let later = |_: &Chunked| thread::sleep(Duration::from_millis(1100));
        assert!(comes_through(judge, json!({"ticket_age_s": 1}), later) < UNCHECKED);
    }
}

#[test]
fn a_chunk_that_cannot_be_masked_cuts_the_connection_and_raises_an_alert() {
    for bad in [
        br#"["Ann","canary-1"],["Bo"]"#.to_vec(),
        br#"["Ann","canary-1"],["Bo","x""#.to_vec(),
        gzip(ROWS).iter().copied().take(30).collect(),
    ] {
        let chunked = chunked(masked, json!({}), stored(&bad));
        assert!(chunked.fetch().is_none());
        assert_eq!(chunked.rig.wait_for_entries("alert", 1)[0]["alert"], "masking");
    }
}

#[test]
fn a_result_with_more_chunks_than_tickets_says_so() {
    let rig = Rig::new();
    let client = rig.login("job");
    let mut data = result(7, &["NAME"], &json!([]));
    data["total"] = json!(20_001);
    data["returned"] = data["total"].clone();
    let url = format!("http://127.0.0.1:{}{STORAGE}?X-Amz-Signature=presigned", rig.snowflake.port);
    data["chunks"] = (0..20_001).map(|_| json!({"url": url, "rowCount": 1})).collect();
    data["qrmk"] = json!("upstream-key");
    rig.snowflake.on(SQL, Act::Json(ok(&data)));

    let answer = rig.block(client.query(SQL));

    let message = answer.message();
    assert!(message.starts_with("denied by rule chunk-tickets: the result has more"), "{message}");
    assert!(message.contains("ask for fewer rows"), "{message}");
    assert_eq!(rig.wait_for_entries("alert", 1)[0]["alert"], "chunk-tickets");
}

#[test]
fn what_storage_says_about_a_failure_stays_here() {
    for status in [403, 404, 500, 307] {
        let act = Act::Raw(status, vec![("location", "http://elsewhere")], "canary".into());
        let chunked = chunked(plane::allow, json!({}), act);
        let answer = chunked.fetch().unwrap();
        assert_eq!(answer.status, 503);
        assert!(answer.bytes.is_empty());
        assert!(!answer.headers.contains_key("location"));
    }
}

#[test]
fn no_header_of_storage_reaches_the_client() {
    for judge in [masked, plane::allow] {
        let headers = vec![("x-amz-meta-note", "canary"), ("set-cookie", "canary")];
        let chunked = chunked(judge, json!({}), Act::Raw(200, headers, ROWS.into()));
        let answer = chunked.fetch().unwrap();
        assert_eq!(answer.status, 200);
        let known =
            ["cache-control", "content-length", "content-type", "date", "transfer-encoding"];
        let names: Vec<&str> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    }
}
