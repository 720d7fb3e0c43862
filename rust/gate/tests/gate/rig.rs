//! A gate between the two, and a client.

use std::{
    io::Write,
    sync::{Arc, LazyLock},
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use snowgate_gate::{Gate, GateConfig, RunningGate};
use snowgate_ledger::{Kek, Reader, TextReader};
use tempfile::TempDir;
use tokio::{net::TcpStream, runtime::Runtime, task::JoinHandle};
use uuid::Uuid;

use crate::{plane::Plane, snowflake::Snowflake};

static KEY: LazyLock<String> = LazyLock::new(|| {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    STANDARD.encode(der.as_ref())
});

/// An answer, whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn success(&self) -> bool {
        self.json["success"] == json!(true)
    }

    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn message(&self) -> &str {
        self.json["message"].as_str().unwrap_or_default()
    }

    pub(crate) fn query_id(&self) -> String {
        self.json["data"]["queryId"].as_str().unwrap().to_owned()
    }
}

/// One client's session.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: String,
    pub(crate) token: String,
    pub(crate) master: String,
}

/// Everything.
pub(crate) struct Rig {
    pub(crate) runtime: Runtime,
    pub(crate) snowflake: Arc<Snowflake>,
    pub(crate) plane: Arc<Plane>,
    pub(crate) gate: Option<RunningGate>,
    pub(crate) dir: TempDir,
    limits: Value,
    /// Budgets of the configuration, as the next start finds them.
    pub(crate) budgets: Value,
}

/// Send one request on a connection of its own; `None` if the connection broke before the end.
pub(crate) async fn send(
    address: String,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
) -> Option<Answer> {
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name == "host") {
        request = request.header("host", address);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let response = sender.send_request(request).await.ok()?;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.ok()?.to_bytes();
    connection.abort();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Some(Answer { status: head.status.as_u16(), headers: head.headers, bytes, json })
}

impl Client {
    fn authorization(token: &str) -> Vec<(String, String)> {
        vec![("authorization".to_owned(), format!("Snowflake Token=\"{token}\""))]
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let headers = Self::authorization(&self.token);
        let body = body.to_string().into_bytes();
        send(self.address.clone(), "POST", path.to_owned(), headers, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let headers = Self::authorization(&self.token);
        send(self.address.clone(), "GET", path.to_owned(), headers, Vec::new()).await.unwrap()
    }

    /// Run a statement under this requestId.
    pub(crate) async fn query_as(&self, request_id: &Uuid, sql: &str) -> Answer {
        let path = format!("/queries/v1/query-request?requestId={request_id}");
        self.post(&path, json!({"sqlText": sql, "sequenceId": 1})).await
    }

    /// Run a statement.
    pub(crate) async fn query(&self, sql: &str) -> Answer {
        self.query_as(&Uuid::new_v4(), sql).await
    }

    pub(crate) async fn poll(&self, query_id: &str) -> Answer {
        self.get(&format!("/queries/{query_id}/result")).await
    }

    /// Renew the session token.
    pub(crate) async fn renew(&mut self) -> Answer {
        let headers = Self::authorization(&self.master);
        let body = json!({"oldSessionToken": self.token, "requestType": "RENEW"}).to_string();
        let path = "/session/token-request".to_owned();
        let answer =
            send(self.address.clone(), "POST", path, headers, body.into_bytes()).await.unwrap();
        if let Some(token) = answer.json["data"]["sessionToken"].as_str() {
            token.clone_into(&mut self.token);
        }
        answer
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with_limits(json!({}))
    }

    /// A rig with other limits than the defaults, which are short here.
    pub(crate) fn with_limits(limits: Value) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let snowflake = runtime.block_on(Snowflake::start());
        let dir = tempfile::tempdir().unwrap();
        let mut key = std::fs::File::create(dir.path().join("key.p8")).unwrap();
        let pem = KEY.as_str();
        writeln!(key, "-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----").unwrap();
        std::fs::write(dir.path().join("store.key"), [7_u8; 32]).unwrap();
        let plane = Plane::start();
        let mut rig =
            Self { runtime, snowflake, plane, gate: None, dir, limits, budgets: json!([]) };
        rig.start(&[]);
        rig
    }

    /// Start the gate with sessions of before.
    pub(crate) fn start(&mut self, sessions: &[Value]) {
        let dir = self.dir.path();
        let mut limits = json!({"poll_hold_s": 2.0, "judge_limit_s": 2.0, "login_limit_s": 2.0});
        limits.as_object_mut().unwrap().extend(self.limits.as_object().unwrap().clone());
        let credential = |user: &str| json!({"user": user, "private_key_file": dir.join("key.p8")});
        let config = json!({
            "listen": {"address": "127.0.0.1", "port": 0, "tls": null,
                       "hosts": ["localhost", "127.0.0.1"]},
            "upstream": {"account": "xy12345", "host": "127.0.0.1", "port": self.snowflake.port,
                         "protocol": "http", "ca_file": null, "login_timeout_s": 5,
                         "reply_bytes": 8 << 20, "credential": credential("SVC_GATEWAY")},
            "gateway_session": {"credential": credential("SVC_OWN"), "role": "ETL",
                                "warehouse": "WH"},
            "ledger": {"dir": dir.join("ledger"), "origin": "snowgate/gw-1",
                       "key_file": dir.join("ledger.key"), "known": null},
            "text_keys_dir": dir.join("text-keys"), "store_key_file": dir.join("store.key"),
            "gateway": "gw-1", "account": "CRMDEMO", "limits": limits, "session_token_s": 600,
            "budgets": self.budgets, "sessions": sessions,
        });
        let config = GateConfig::from_json(config.to_string().as_bytes()).unwrap();
        let gate = Gate::start(config, Arc::clone(&self.plane.bridge)).unwrap();
        gate.set_epoch(1);
        self.gate = Some(gate);
    }

    /// Stop the gate in an orderly way and start it again with the sessions it had.
    pub(crate) fn restart(&mut self) {
        let mut rows = self.plane.asked("session_opened");
        for changed in self.plane.asked("session_changed") {
            rows.retain(|row| row["id"] != changed["id"]);
            rows.push(changed);
        }
        for closed in self.plane.asked("session_closed") {
            rows.retain(|row| row["id"] != closed["id"]);
        }
        self.gate().shutdown(0.0);
        self.plane.wait_for("stopped");
        self.gate = None;
        self.start(&rows);
    }

    pub(crate) fn gate(&self) -> &RunningGate {
        self.gate.as_ref().unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.gate().status()).unwrap()
    }

    pub(crate) fn block<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    pub(crate) fn address(&self) -> String {
        self.gate().local_addr().to_string()
    }

    /// Log in with a token, and return the whole answer.
    pub(crate) fn try_login(&self, data: &Value) -> Answer {
        let path = "/session/v1/login-request?requestId=01b2c3d4-0000-4000-8000-00000000abcd";
        let body = json!({"data": data}).to_string().into_bytes();
        let request = send(self.address(), "POST", path.to_owned(), Vec::new(), body);
        self.block(request).unwrap()
    }

    /// A session of this principal.
    pub(crate) fn login(&self, token: &str) -> Client {
        let answer = self.try_login(&json!({
            "ACCOUNT_NAME": "crmdemo", "AUTHENTICATOR": "OAUTH", "TOKEN": token,
            "CLIENT_APP_ID": "Go", "CLIENT_APP_VERSION": "2.1.0",
        }));
        assert!(answer.success(), "{}", answer.message());
        let text = |name: &str| answer.json["data"][name].as_str().unwrap().to_owned();
        Client { address: self.address(), token: text("token"), master: text("masterToken") }
    }

    /// Entries of this kind so far, in order.
    pub(crate) fn entries(&self, kind: &str) -> Vec<Value> {
        entries(&self.dir, kind)
    }

    /// As [`Self::entries`], once there are so many.
    pub(crate) fn wait_for_entries(&self, kind: &str, count: usize) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let entries = self.entries(kind);
            if entries.len() >= count {
                return entries;
            }
            assert!(Instant::now() < until, "{} of {count} entries `{kind}`", entries.len());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Wait for something to become true.
    pub(crate) fn wait_until(&self, mut condition: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(5);
        while !condition() {
            assert!(Instant::now() < until, "it did not happen; {}", self.gate().status());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The outcome of an intent, waited for.
    pub(crate) fn outcome(&self, intent: &Value) -> Value {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let outcomes = self.entries("outcome");
            if let Some(found) = outcomes.into_iter().find(|entry| entry["intent"] == intent["seq"])
            {
                return found;
            }
            assert!(Instant::now() < until, "no outcome of {intent}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Intents of clients, in order.
    pub(crate) fn intents(&self) -> Vec<Value> {
        let intents = self.entries("intent").into_iter();
        intents.filter(|entry| entry["via"] == "client").collect()
    }

    /// The decrypted text beside an entry.
    pub(crate) fn text(&self, entry: &Value, field: &str) -> String {
        let dir = self.dir.path();
        let kek = Kek::from_root(&[7; 32]).unwrap();
        let keys = TextReader::open(dir.join("text-keys"), &kek).unwrap();
        let seq = entry["seq"].as_u64().unwrap();
        let entry = Reader::open(&dir.join("ledger"), seq).unwrap().next().unwrap().unwrap();
        String::from_utf8(entry.text(field, &keys).unwrap().unwrap()).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.plane.stop();
    }
}

/// Entries of this kind in the ledger under `dir`.
pub(crate) fn entries(dir: &TempDir, kind: &str) -> Vec<Value> {
    Reader::open(&dir.path().join("ledger"), 0)
        .unwrap()
        .map(|entry| serde_json::from_slice::<Value>(&entry.unwrap().json).unwrap())
        .filter(|entry| entry["kind"] == kind)
        .collect()
}
