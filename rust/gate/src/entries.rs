//! The two ledger entries of a client's statement.

use serde_json::json;
use sha2::{Digest, Sha256};
use snowgate_session::Verdict;
use snowgate_upstream::UpstreamError;

use crate::{
    life::Job,
    record::{Fields, text},
    reply::Refusal,
    result::Rendered,
    session::Place,
    spent::{VALUES, values_text},
};

/// Rules that are only recorded, as many as an entry has room for beside its other lists.
const SHADOW_NAMES: usize = 32;

/// What the outcome entry says.
pub(crate) struct Outcome<'a> {
    pub(crate) status: &'static str,
    pub(crate) code: Option<&'a str>,
    pub(crate) fault: Option<&'static str>,
    pub(crate) upstream_query_id: Option<&'a str>,
    pub(crate) rendered: Option<&'a Rendered>,
}

impl Outcome<'_> {
    /// An outcome with nothing but its status.
    pub(crate) fn new(status: &'static str) -> Self {
        Self { status, code: None, fault: None, upstream_query_id: None, rendered: None }
    }
}

/// Record the intent and wait until it is durable.
pub(crate) async fn intent(
    job: &Job,
    verdict: &Verdict,
    place: &Place,
    approval: Option<&str>,
) -> Result<u64, Refusal> {
    let statement = &job.statement;
    let who = &statement.session.who;
    let principal = &who.principal;
    let fields = Fields::new()
        .put("principal", principal.name.as_str())
        .put(
            "identity",
            json!({"account": principal.account, "issuer": principal.issuer,
                   "subject": principal.subject}),
        )
        .put("session", statement.session.id.as_str())
        .put("reference", statement.reference.as_str())
        .put("class", verdict.class.as_str())
        .put("query_id", statement.query_id.to_string())
        .put("client_request_digest", hex::encode(statement.digest))
        .put("upstream_request_id", statement.upstream_request_id.to_string())
        .put("upstream_sql_sha256", hex::encode(Sha256::digest(job.asked.sql.as_bytes())))
        .put("role", who.role.as_str())
        .put("database", place.database.as_str())
        .put("schema", place.schema.as_str())
        .put("decision", if approval.is_some() { "hold" } else { "allow" })
        .put("approval", approval)
        .list("rules", &verdict.rules)
        .list("objects", &verdict.objects)
        .list("tags", &verdict.tags)
        .put("void_all", verdict.void_all)
        .put("read_only", verdict.read_only)
        .put("policy", verdict.policy.as_str())
        .put("via", "client");
    let shadow: Vec<&String> = verdict.shadow.iter().take(SHADOW_NAMES).collect();
    let fields = if shadow.is_empty() { fields } else { fields.list("shadow", &shadow) };
    let fields = match &verdict.plan {
        Some(plan) => fields.list("masks", plan),
        None => fields.put("masks", ()),
    };
    let unmask = if approval.is_some() { verdict.unmasked() } else { &[] };
    let fields = if unmask.is_empty() { fields } else { fields.list("unmask", unmask) };
    let names: Vec<&str> = verdict.budgets.iter().map(|budget| budget.name.as_str()).collect();
    let mut fields = if names.is_empty() { fields } else { fields.list("budgets", &names) };
    let subject = principal.key();
    let mut texts = vec![text("sql", &subject, job.asked.sql.as_bytes())];
    if let Some(binds) = job.request.bindings_json() {
        texts.push(text("binds", &subject, binds));
    }
    let values = job.values(verdict)?;
    if !values.is_empty() {
        fields = fields.put("values_count", values.len());
        texts.push(text(VALUES, &subject, values_text(&values)));
    }
    job.state.ledger.append("intent", fields, texts).await
}

/// Record the outcome; it rides with a later commit.
pub(crate) fn outcome(job: &Job, intent: u64, outcome: &Outcome<'_>) {
    let statement = &job.statement;
    let duration_ms = u64::try_from(statement.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let rendered = outcome.rendered;
    let masked = rendered.map_or(&[][..], |rendered| rendered.masked.as_slice());
    let mut fields = Fields::new()
        .put("intent", intent)
        .put("status", outcome.status)
        .put("code", outcome.code)
        .put("query_id", statement.query_id.to_string())
        .put("upstream_query_id", outcome.upstream_query_id)
        .put("rows", rendered.and_then(|rendered| rendered.rows))
        .put("bytes", rendered.map(|rendered| rendered.bytes))
        .put("masked_columns", masked.len())
        .list("columns", masked)
        .put("duration_ms", duration_ms);
    if let Some(fault) = outcome.fault {
        fields = fields.put("fault", fault);
    }
    job.state.ledger.later("outcome", fields);
}

/// What went wrong upstream, in a word.
pub(crate) fn word(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Unreachable { .. } => "unreachable",
        UpstreamError::Broken { .. } => "broken",
        UpstreamError::Timeout { .. } => "timeout",
        UpstreamError::Status { .. } => "status",
        UpstreamError::TooLarge { .. } => "too-large",
        UpstreamError::Reply(_) => "reply",
        UpstreamError::SessionLost { .. } => "session-lost",
        _ => "upstream",
    }
}
