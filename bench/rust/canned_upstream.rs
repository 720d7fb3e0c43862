//! An upstream with canned answers: as fast as hyper is, so that a benchmark measures the gateway.
//!
//! Arguments: port, folder of chunk files. It checks nothing and remembers nothing.

use std::{collections::HashMap, convert::Infallible, net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

struct Canned {
    port: u16,
    login: Bytes,
    pin: Bytes,
    small: Bytes,
    empty: Bytes,
    chunks: HashMap<String, Bytes>,
}

fn reply(data: &Value) -> Bytes {
    let reply = json!({"data": data, "code": null, "message": null, "success": true});
    Bytes::from(reply.to_string())
}

fn column(name: &str, kind: &str) -> Value {
    json!({"name": name, "type": kind, "nullable": true, "database": "", "schema": "", "table": "",
           "scale": if kind == "fixed" { json!(0) } else { Value::Null },
           "precision": if kind == "fixed" { json!(38) } else { Value::Null },
           "length": 16_777_216, "byteLength": 16_777_216})
}

fn result(columns: &[Value], rows: &Value, format: &str, chunks: &Value, total: u64) -> Value {
    let mut data = json!({
        "parameters": [], "rowtype": columns, "total": total, "returned": total,
        "queryId": "01b2c3d4-0000-4000-8000-00000000abcd", "finalDatabaseName": "CRM",
        "finalSchemaName": "PUBLIC", "finalWarehouseName": "WH", "finalRoleName": "ANALYST",
        "numberOfBinds": 0, "statementTypeId": 4096, "version": 1, "queryResultFormat": format,
    });
    if let Some(data) = data.as_object_mut() {
        let key = if format == "json" { "rowset" } else { "rowsetBase64" };
        data.insert(key.to_owned(), rows.clone());
        if !chunks.is_null() {
            data.insert("chunks".to_owned(), chunks.clone());
        }
    }
    data
}

impl Canned {
    fn load(port: u16, folder: &Path) -> std::io::Result<Self> {
        let mut chunks = HashMap::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            chunks.insert(name, Bytes::from(std::fs::read(entry.path())?));
        }
        let two = [column("CURRENT_ROLE()", "text"), column("CURRENT_SECONDARY_ROLES()", "text")];
        let pinned = json!([["ANALYST", "{\"roles\":\"\",\"value\":\"\"}"]]);
        let rows: Vec<Value> =
            (0..40).map(|row| json!([row.to_string(), format!("region-{row:08}")])).collect();
        let small = [column("ID", "fixed"), column("REGION", "text")];
        Ok(Self {
            port,
            login: reply(&json!({
                "token": "t", "masterToken": "m", "validityInSeconds": 36000,
                "masterValidityInSeconds": 360_000, "sessionId": 1, "parameters": [],
                "sessionInfo": {"databaseName": "CRM", "schemaName": "PUBLIC",
                                "warehouseName": "WH", "roleName": "ANALYST"},
            })),
            pin: reply(&result(&two, &pinned, "json", &Value::Null, 1)),
            small: reply(&result(&small, &json!(rows), "json", &Value::Null, 40)),
            empty: reply(&Value::Null),
            chunks,
        })
    }

    fn query(&self, body: &[u8]) -> Bytes {
        let text = String::from_utf8_lossy(body);
        if text.contains("SECONDARY") {
            return self.pin.clone();
        }
        let Some(name) = self.chunks.keys().find(|name| text.contains(name.as_str())) else {
            return self.small.clone();
        };
        let columns: Vec<Value> = (0..8)
            .map(|at| column(&format!("C{at}"), if at < 4 { "fixed" } else { "text" }))
            .collect();
        let url = format!("http://127.0.0.1:{}/chunk/{name}", self.port);
        let size = self.chunks.get(name).map_or(0, Bytes::len);
        // A ticket lasts for ten fetches.
        let count = if size > 1 << 20 { 100 } else { 2000 };
        let chunks: Vec<Value> = (0..count)
            .map(|_| json!({"url": url, "rowCount": 1, "uncompressedSize": size, "compressedSize": size}))
            .collect();
        let (format, rows) =
            if name.contains("arrow") { ("arrow", json!("")) } else { ("json", json!([])) };
        let mut data = result(&columns, &rows, format, &json!(chunks), count);
        if let Some(data) = data.as_object_mut() {
            data.insert("chunkHeaders".to_owned(), json!({"x-amz-canned": "1"}));
        }
        reply(&data)
    }
}

async fn answer(
    canned: Arc<Canned>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let bytes = match path.as_str() {
        "/session/v1/login-request" => canned.login.clone(),
        "/queries/v1/query-request" => canned.query(&body.unwrap_or_default()),
        _ => match path.strip_prefix("/chunk/").and_then(|name| canned.chunks.get(name)) {
            Some(chunk) => chunk.clone(),
            None => canned.empty.clone(),
        },
    };
    let mut response = Response::new(Full::new(bytes));
    let kind =
        if path.starts_with("/chunk/") { "application/octet-stream" } else { "application/json" };
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    Ok(response)
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let folder = arguments.next().unwrap_or_default();
    let canned = Arc::new(Canned::load(port, Path::new(&folder))?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let canned = Arc::clone(&canned);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&canned), request));
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}
