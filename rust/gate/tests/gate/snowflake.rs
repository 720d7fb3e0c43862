//! A Snowflake of the size of a test: it answers as told and remembers what it was asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn sql(&self) -> &str {
        self.body["sqlText"].as_str().unwrap_or_default()
    }

    /// The gateway's tag of the statement.
    pub(crate) fn tag(&self) -> Value {
        let tag = self.body["parameters"]["QUERY_TAG"].as_str().unwrap_or_default();
        serde_json::from_str(tag).unwrap_or_default()
    }
}

/// What Snowflake does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    Json(Value),
    Raw(u16, Vec<(&'static str, &'static str)>, Bytes),
    /// Close the connection without a word.
    HangUp,
}

type Hook = Box<dyn Fn(&Seen) + Send + Sync>;

/// The server.
#[derive(Default)]
pub(crate) struct Snowflake {
    pub(crate) port: u16,
    seen: Mutex<Vec<Seen>>,
    /// Answers by statement text, or by path for everything else.
    acts: Mutex<HashMap<String, Act>>,
    /// Texts or paths whose answer waits until it is let go.
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    hook: Mutex<Option<Hook>>,
}

impl Snowflake {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Arc::new(Self { port, ..Self::default() });
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                let service = service_fn(move |request| answer(request, Arc::clone(&serving)));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        server
    }

    /// Answer the statement, or the path, so from now on.
    pub(crate) fn on(&self, key: &str, act: Act) {
        self.acts.lock().unwrap().insert(key.to_owned(), act);
    }

    /// Hold back the answer to a statement or path until a permit is added.
    pub(crate) fn hold_back(&self, key: &str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.gates.lock().unwrap().insert(key.to_owned(), Arc::clone(&gate));
        gate
    }

    /// Called for every request before it is answered.
    pub(crate) fn watch(&self, hook: impl Fn(&Seen) + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    /// Requests whose path starts so.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.path.starts_with(path)).cloned().collect()
    }

    /// Requests that ran this text.
    pub(crate) fn ran(&self, sql: &str) -> Vec<Seen> {
        let seen = self.seen("/queries/v1/query-request");
        seen.into_iter().filter(|seen| seen.sql() == sql).collect()
    }
}

pub(crate) fn ok(data: &Value) -> Value {
    json!({"data": data, "code": null, "message": null, "success": true})
}

pub(crate) fn failed(code: &str, message: &str) -> Value {
    json!({"data": {"errorCode": code, "sqlState": "42000"}, "code": code, "message": message,
           "success": false})
}

/// An upstream query id.
pub(crate) fn id(number: u64) -> String {
    format!("01b2c3d4-0000-4000-8000-{number:012}")
}

/// A result of text columns.
pub(crate) fn rows(query_id: u64, names: &[&str], rows: &Value) -> Value {
    ok(&result(query_id, names, rows))
}

/// The data of such a result.
pub(crate) fn result(query_id: u64, names: &[&str], rows: &Value) -> Value {
    let columns: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "type": "text", "nullable": true, "length": 100}))
        .collect();
    let count = rows.as_array().unwrap().len();
    json!({"rowtype": columns, "rowset": rows, "total": count, "returned": count,
           "queryId": id(query_id), "queryResultFormat": "json", "statementTypeId": 4096,
           "finalDatabaseName": "CRM", "finalSchemaName": "PUBLIC", "finalRoleName": "ETL",
           "parameters": []})
}

/// A statement that runs on.
pub(crate) fn running(query_id: u64) -> Value {
    json!({"data": {"queryId": id(query_id),
                    "getResultUrl": format!("/queries/{}/result", id(query_id))},
           "code": "333333", "message": "running", "success": true})
}

async fn answer(
    request: Request<Incoming>,
    server: Arc<Snowflake>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let seen = Seen {
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    if let Some(hook) = &*server.hook.lock().unwrap() {
        hook(&seen);
    }
    server.seen.lock().unwrap().push(seen.clone());
    let key = if seen.sql().is_empty() { seen.path.clone() } else { seen.sql().to_owned() };
    let gate = server.gates.lock().unwrap().get(&key).cloned();
    if let Some(gate) = gate {
        gate.acquire().await.unwrap().forget();
    }
    let act = server.acts.lock().unwrap().get(&key).cloned();
    match act.unwrap_or_else(|| behave(&seen)) {
        Act::Json(body) => Ok(Response::new(Full::new(body.to_string().into()))),
        Act::Raw(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(body)).unwrap())
        }
        Act::HangUp => Err(std::io::Error::other("hung up")),
    }
}

fn behave(seen: &Seen) -> Act {
    Act::Json(match seen.path.as_str() {
        "/session/v1/login-request" => ok(&json!({
            "token": "upstream-token", "masterToken": "upstream-master", "sessionId": 42,
            "serverVersion": "9.1", "parameters": [{"name": "TIMEZONE", "value": "UTC"}],
            "sessionInfo": {"roleName": "ETL", "databaseName": "CRM", "schemaName": "PUBLIC",
                            "warehouseName": "WH"}})),
        "/queries/v1/query-request" if seen.sql().contains("CURRENT_ROLE") => rows(
            1,
            &["CURRENT_ROLE()", "CURRENT_SECONDARY_ROLES()"],
            &json!([["ETL", "{\"roles\":\"\",\"value\":\"\"}"]]),
        ),
        "/queries/v1/query-request" if seen.sql().contains("CURRENT_DATABASE") => {
            rows(2, &["CURRENT_DATABASE()", "CURRENT_SCHEMA()"], &json!([["CRM", "PUBLIC"]]))
        }
        "/queries/v1/query-request" => rows(3, &["C"], &json!([["done"]])),
        _ => ok(&Value::Null),
    })
}
