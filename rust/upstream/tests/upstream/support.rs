//! A Snowflake of the size of a test: it answers as told and remembers what it was asked.

use std::{
    convert::Infallible,
    io::Write,
    sync::{Arc, LazyLock, Mutex},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use snowgate_upstream::{Config, LoginSpec, Protocol, Session, Upstream};
use tokio::{net::TcpListener, task::AbortHandle};

pub(crate) const ID: &str = "01b2c3d4-0000-4000-8000-00000000abcd";

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

    pub(crate) fn token(&self) -> &str {
        self.headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap())
    }
}

/// What the server does with a request.
pub(crate) enum Act {
    Json(Value),
    Raw(Response<Full<Bytes>>),
    /// Close the connection without a word.
    HangUp,
    /// Never answer.
    Wait,
}

type Script = Box<dyn Fn(&Seen) -> Option<Act> + Send + Sync>;

pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Server {
    /// A server that asks `script` first, and otherwise behaves.
    pub(crate) async fn start(
        script: impl Fn(&Seen) -> Option<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(Box::new(script));
        let server = Self { port, seen: Arc::clone(&seen), connections: Arc::clone(&connections) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&script), Arc::clone(&seen))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                let task = tokio::spawn(connection);
                connections.lock().unwrap().push(task.abort_handle());
            }
        });
        server
    }

    /// Requests whose path starts with `path`.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.path.starts_with(path)).cloned().collect()
    }

    /// Close every connection, as a balancer does with silent ones.
    pub(crate) fn drop_connections(&self) {
        self.connections.lock().unwrap().drain(..).for_each(|task| task.abort());
    }

    /// Connections that were opened and not yet dropped by [`Self::drop_connections`].
    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    pub(crate) fn upstream(&self, change: impl FnOnce(&mut Config)) -> Upstream {
        let (_file, mut config) = config(self.port);
        change(&mut config);
        Upstream::new(&config).unwrap()
    }

    /// A session, as the gateway opens it.
    pub(crate) async fn session(&self) -> Session {
        self.upstream(|_| {}).login(&spec()).await.unwrap().0
    }
}

pub(crate) fn spec() -> LoginSpec {
    LoginSpec {
        role: "etl".to_owned(),
        warehouse: Some("WH".to_owned()),
        client_app_id: "Go".to_owned(),
        client_app_version: "2.1.0".to_owned(),
        ..LoginSpec::default()
    }
}

pub(crate) fn config(port: u16) -> (tempfile::NamedTempFile, Config) {
    static KEY: LazyLock<String> = LazyLock::new(|| {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        STANDARD.encode(der.as_ref())
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let pem = KEY.as_str();
    writeln!(file, "-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----").unwrap();
    let config = json!({"account": "xy12345.eu", "host": "127.0.0.1", "port": port,
        "protocol": "http",
        "credential": {"user": "svc_gateway", "private_key_file": file.path()},
        "login_timeout_s": 5, "reply_bytes": 1 << 20});
    let config: Config = serde_json::from_value(config).unwrap();
    assert_eq!(config.protocol, Protocol::Http);
    (file, config)
}

pub(crate) fn ok(data: &Value) -> Value {
    json!({"data": data, "code": null, "message": null, "success": true})
}

pub(crate) fn failed(code: &str) -> Value {
    json!({"data": null, "code": code, "message": "no", "success": false})
}

pub(crate) fn rows(rows: &Value) -> Value {
    let column = json!({"name": "C", "type": "text", "nullable": true});
    ok(&json!({"rowtype": [column], "rowset": rows, "total": 1, "returned": 1, "queryId": ID,
        "queryResultFormat": "json", "statementTypeId": 4096}))
}

pub(crate) fn running() -> Value {
    json!({"data": {"queryId": ID, "getResultUrl": format!("/queries/{ID}/result")},
        "code": "333333", "message": "running", "success": true})
}

pub(crate) fn raw(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Act {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Act::Raw(response.body(Full::new(body.into())).unwrap())
}

/// Run a test on a runtime of its own.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
    all: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let seen = Seen {
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    all.lock().unwrap().push(seen.clone());
    match script(&seen).unwrap_or_else(|| behave(&seen)) {
        Act::Json(body) => Ok(Response::new(Full::new(body.to_string().into()))),
        Act::Raw(response) => Ok(response),
        Act::HangUp => Err(std::io::Error::other("hung up")),
        Act::Wait => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
    }
}

fn behave(seen: &Seen) -> Act {
    Act::Json(match seen.path.as_str() {
        "/session/v1/login-request" => ok(&json!({"token": "token-0", "masterToken": "master-0",
            "sessionId": 42, "sessionInfo": {"roleName": "ETL"}})),
        "/session/token-request" => ok(&json!({"sessionToken": "token-1",
            "masterToken": "master-1", "validityInSecondsST": 3600, "sessionId": 42})),
        "/queries/v1/query-request" if seen.sql().contains("CURRENT_ROLE") => {
            rows(&json!([["ETL", "{\"roles\":\"\",\"value\":\"\"}"]]))
        }
        "/queries/v1/query-request" => rows(&json!([["done"]])),
        _ => ok(&Value::Null),
    })
}
