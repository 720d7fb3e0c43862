//! The gateway's own statements: pins of roles, catalog reads, resynchronisation.
//!
//! They are intents and outcomes like any other, of class and principal `gateway`, and only their
//! JSON rows leave this module. The catalog's session is opened when it is first needed, and again
//! when Snowflake has forgotten it: it belongs to nobody but the gateway, and so does its user, so
//! that Snowflake's own history tells these statements from those of clients (F24).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use snowgate_upstream::{ChunkReply, Encoding, LoginSpec, PIN_STATEMENTS, Upstream, UpstreamError};
use snowgate_wire::{
    InlineRows, Parameters, QueryReply, QueryRequest, ResultHead, UpstreamLogin, decode_body,
};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    config::GatewaySession,
    record::{Fields, text},
    reply::{Refusal, codes},
    session::Session,
    state::State,
    tag::query_tag,
};

/// Principal and class of these statements.
const GATEWAY: &str = "gateway";

/// The role that Snowflake gives to every user.
const EVERYBODYS_ROLE: &str = "PUBLIC";

/// Limit of one of them. The control plane gives up after two minutes.
const LIMIT: Duration = Duration::from_secs(110);

/// Bytes of all chunks of one result: the catalog of a large account is some ten megabytes.
const CHUNK_BYTES: usize = 256 * 1024 * 1024;

/// How the gateway presents itself: Snowflake chooses the features of replies by it, and this is the
/// driver whose replies the masks were written for.
const CLIENT: (&str, &str) = ("PythonConnector", "4.8.1");

/// The session of the catalog reads.
pub(crate) struct OwnSession {
    upstream: Upstream,
    role: String,
    warehouse: Option<String>,
    open: Mutex<Option<snowgate_upstream::Session>>,
}

impl OwnSession {
    /// A session that is not open yet, at the same Snowflake as the clients'.
    pub(crate) fn new(clients: &Upstream, login: GatewaySession) -> Result<Self, UpstreamError> {
        Ok(Self {
            upstream: clients.as_user(&login.credential)?,
            role: login.role,
            warehouse: login.warehouse,
            open: Mutex::default(),
        })
    }
}

/// Rows of one of the gateway's own statements.
#[derive(Debug, serde::Serialize)]
pub(crate) struct OwnRows {
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

/// Why there are no rows.
#[derive(Debug, serde::Serialize)]
pub(crate) struct OwnError {
    pub(crate) code: String,
    pub(crate) message: String,
    /// The session is gone and the statement did not run.
    #[serde(skip)]
    lost: bool,
}

impl OwnError {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), lost: false }
    }
}

impl From<Refusal> for OwnError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.rules.first().map_or("", String::as_str), refusal.reason)
    }
}

impl From<UpstreamError> for OwnError {
    fn from(error: UpstreamError) -> Self {
        let lost = matches!(error, UpstreamError::SessionLost { .. });
        Self { lost, ..Self::new("upstream", error.to_string()) }
    }
}

/// Whose session one of the gateway's own statements runs in.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// Client session, or a name of the gateway's own.
    pub(crate) session: &'a str,
    pub(crate) role: &'a str,
    pub(crate) reference: &'a str,
}

fn intent(owner: Owner<'_>, sql: &str, purpose: &str, request_id: &Uuid) -> Fields {
    Fields::new()
        .put("principal", GATEWAY)
        .put("identity", ())
        .put("session", owner.session)
        .put("reference", owner.reference)
        .put("class", GATEWAY)
        .put("purpose", purpose)
        .put("client_request_digest", ())
        .put("upstream_request_id", request_id.to_string())
        .put("upstream_sql_sha256", hex::encode(Sha256::digest(sql.as_bytes())))
        .put("role", owner.role)
        .put("decision", "allow")
        .put("approval", ())
        .put("via", GATEWAY)
}

fn outcome(state: &State, seq: u64, status: &str, code: Option<&str>, query_id: Option<&str>) {
    let fields = Fields::new()
        .put("intent", seq)
        .put("status", status)
        .put("code", code)
        .put("upstream_query_id", query_id);
    state.ledger.later("outcome", fields);
}

/// Log in upstream. The statements that pin the role are recorded before anything is sent (F10).
pub(crate) async fn log_in(
    state: &State,
    upstream: &Upstream,
    spec: &LoginSpec,
    session: &str,
    reference: &str,
) -> Result<(snowgate_upstream::Session, Box<UpstreamLogin>), Refusal> {
    let owner = Owner { session, role: &spec.role, reference };
    let mut begun = Vec::with_capacity(PIN_STATEMENTS.len());
    for (sql, request_id) in PIN_STATEMENTS.iter().zip(&spec.pin_requests.0) {
        let fields = intent(owner, sql, "pin", request_id);
        begun.push(state.ledger.begin("intent", fields, vec![text("sql", GATEWAY, *sql)]));
    }
    let mut entries = Vec::with_capacity(begun.len());
    let mut spec = spec.clone();
    for ((entry, sql), tag) in begun.into_iter().zip(PIN_STATEMENTS).zip(&mut spec.pin_tags) {
        let seq = entry.durable().await?;
        *tag = query_tag(&state.keys.tag, &state.gateway, seq, sql, "");
        entries.push(seq);
    }
    let result = upstream.login(&spec).await;
    let (status, code) = match &result {
        Ok(_) => ("ok", None),
        Err(error) if error.did_not_run() => ("error", Some("login")),
        Err(_) => ("unknown", Some("login")),
    };
    for seq in entries {
        outcome(state, seq, status, code, None);
    }
    result.map_err(|error| {
        tracing::warn!(reference, %error, "upstream login failed");
        let reason = format!("snowflake did not open a session for the gateway: {error}");
        match error {
            UpstreamError::RolePin { .. } => {
                state.alert("role", None, reference, "a login did not get its role alone");
                Refusal::with(codes::LOGIN_REFUSED, "role-pin", reason, "ask the operator")
            }
            _ => Refusal::with(codes::UPSTREAM, "upstream", reason, "try again"),
        }
    })
}

/// Run one statement in a session, and read all its rows.
///
/// Not cancel-safe: run it in a task that nobody drops.
pub(crate) async fn run(
    state: &State,
    session: &snowgate_upstream::Session,
    owner: Owner<'_>,
    sql: &str,
    purpose: &str,
) -> Result<OwnRows, OwnError> {
    let request_id = Uuid::new_v4();
    let fields = intent(owner, sql, purpose, &request_id);
    let seq = state.ledger.append("intent", fields, vec![text("sql", GATEWAY, sql)]).await?;
    let mut ours = Parameters::json_results();
    let tag = query_tag(&state.keys.tag, &state.gateway, seq, sql, "");
    ours.set("QUERY_TAG", tag.as_str());
    let body = Bytes::from(QueryRequest::of(sql).upstream_body(&ours));
    let id = request_id.to_string();
    let head = match tokio::time::timeout(LIMIT, session.complete(&id, body)).await {
        Ok(Ok(QueryReply::Done(head))) => head,
        Ok(Ok(QueryReply::Failed(failure))) => {
            outcome(state, seq, "error", Some(&failure.code), failure.query_id.as_deref());
            return Err(OwnError::new(&failure.code, failure.message));
        }
        Ok(Ok(QueryReply::InProgress(_))) | Err(_) => {
            outcome(state, seq, "unknown", Some("timeout"), None);
            return Err(OwnError::new("timeout", "snowflake did not answer in time"));
        }
        Ok(Err(error)) => {
            let status = if error.did_not_run() { "error" } else { "unknown" };
            outcome(state, seq, status, Some("upstream"), None);
            return Err(error.into());
        }
    };
    outcome(state, seq, "ok", None, head.query_id.as_deref());
    let names = head.columns.iter().map(|column| column.name.clone()).collect();
    Ok(OwnRows { names, rows: rows(session, &head).await? })
}

async fn rows(
    session: &snowgate_upstream::Session,
    head: &ResultHead,
) -> Result<Vec<Vec<Option<String>>>, OwnError> {
    let unreadable = || OwnError::new("reply", "snowflake's rows cannot be read");
    let mut rows = match &head.rows {
        InlineRows::None => Vec::new(),
        InlineRows::Json(rowset) => read(rowset)?,
        InlineRows::ArrowBase64(_) => return Err(unreadable()),
    };
    let mut left = CHUNK_BYTES;
    for chunk in &head.chunks {
        let mut reply = session.fetch_chunk(&chunk.url, &head.chunk_headers).await?;
        let stored = collect(&mut reply, left).await?;
        let encoding = (reply.encoding == Encoding::Gzip).then_some("gzip");
        let clear = decode_body(encoding, &stored, left).map_err(|_| unreadable())?;
        left = left.saturating_sub(clear.len());
        let framed = [b"[".as_slice(), &clear, b"]"].concat();
        let framed: Box<RawValue> = serde_json::from_slice(&framed).map_err(|_| unreadable())?;
        rows.extend(read(&framed)?);
    }
    Ok(rows)
}

fn read(rowset: &RawValue) -> Result<Vec<Vec<Option<String>>>, OwnError> {
    serde_json::from_str(rowset.get())
        .map_err(|_| OwnError::new("reply", "snowflake's rows cannot be read"))
}

async fn collect(reply: &mut ChunkReply, limit_bytes: usize) -> Result<Vec<u8>, OwnError> {
    if reply.status != 200 {
        return Err(OwnError::new("chunk", format!("storage answered {}", reply.status)));
    }
    let mut whole = Vec::new();
    while let Some(piece) = reply.next().await {
        let piece = piece?;
        if whole.len() + piece.len() > limit_bytes {
            return Err(OwnError::new("chunk", "the result is too large"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// Run a statement of the control plane in the gateway's own session.
pub(crate) async fn query(
    state: &Arc<State>,
    sql: &str,
    purpose: &str,
) -> Result<OwnRows, OwnError> {
    let reference = crate::reply::reference();
    let owner = Owner { session: GATEWAY, role: &state.own.role, reference: &reference };
    let session = own_session(state, &reference).await?;
    match run(state, &session, owner, sql, purpose).await {
        Err(error) if error.lost => {
            forget(state, &session).await;
            let session = own_session(state, &reference).await?;
            run(state, &session, owner, sql, purpose).await
        }
        result => result,
    }
}

/// Run a statement about the clients' user, which it alone may ask, in a session that ends with it.
pub(crate) async fn query_as_clients(
    state: &Arc<State>,
    sql: &str,
    purpose: &str,
) -> Result<OwnRows, OwnError> {
    let reference = crate::reply::reference();
    let spec = own_spec(EVERYBODYS_ROLE, None);
    let owner = Owner { session: GATEWAY, role: EVERYBODYS_ROLE, reference: &reference };
    let (session, _) = log_in(state, &state.upstream, &spec, GATEWAY, &reference).await?;
    let rows = run(state, &session, owner, sql, purpose).await;
    let _ = session.logout().await;
    rows
}

fn own_spec(role: &str, warehouse: Option<&str>) -> LoginSpec {
    LoginSpec {
        role: role.to_owned(),
        warehouse: warehouse.map(str::to_owned),
        client_app_id: CLIENT.0.to_owned(),
        client_app_version: CLIENT.1.to_owned(),
        ..LoginSpec::default()
    }
}

async fn own_session(
    state: &State,
    reference: &str,
) -> Result<snowgate_upstream::Session, OwnError> {
    let own = &state.own;
    let mut held = own.open.lock().await;
    if let Some(session) = held.as_ref().filter(|session| session.lost().is_none()) {
        return Ok(session.clone());
    }
    let spec = own_spec(&own.role, own.warehouse.as_deref());
    let (session, _) = log_in(state, &own.upstream, &spec, GATEWAY, reference).await?;
    *held = Some(session.clone());
    Ok(session)
}

async fn forget(state: &State, lost: &snowgate_upstream::Session) {
    let mut held = state.own.open.lock().await;
    if held.as_ref().is_some_and(|session| session.session_id() == lost.session_id()) {
        *held = None;
    }
}

/// End the gateway's own session, at shutdown.
pub(crate) async fn close(state: &State) {
    if let Some(session) = state.own.open.lock().await.take() {
        let _ = session.logout().await;
    }
}

/// Ask upstream in which database and schema a client's session stands (F9).
pub(crate) async fn resynchronise(
    state: &State,
    session: &Session,
    reference: &str,
) -> Result<(), Refusal> {
    let unknown = || {
        Refusal::denied(
            "session-state",
            "the session's database and schema are unknown after an interrupted statement",
            "try again, or log in again",
        )
    };
    let owner = Owner { session: &session.id, role: &session.who.role, reference };
    let sql = "SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()";
    let found = run(state, &session.upstream, owner, sql, "resynchronise").await;
    let found = found.map_err(|_| unknown())?;
    let [row] = found.rows.as_slice() else { return Err(unknown()) };
    let [database, schema] = row.as_slice() else { return Err(unknown()) };
    session.update(|place| {
        place.database = database.clone().unwrap_or_default();
        place.schema = schema.clone().unwrap_or_default();
        place.unknown = false;
    });
    Ok(())
}
