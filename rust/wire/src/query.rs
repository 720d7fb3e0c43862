//! The statement a driver sends.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Parameters, Screened, WireError,
    json::{self, Object, ObjectWriter, read},
};

/// Binds of one statement at most; Snowflake stops earlier.
const MAX_BINDS: usize = 65_535;

/// One bind: a value, or an array of values in a bulk insert.
#[derive(Clone, Serialize)]
pub struct Binding {
    /// Position from 1.
    #[serde(skip)]
    pub position: u32,
    /// Upper-case type: `TEXT`, `FIXED`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Format of the value, for some types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fmt: Option<String>,
    /// Description of a structured value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Box<RawValue>>,
    /// Text, null, or an array of these; as it came.
    pub value: Option<Box<RawValue>>,
}

/// A statement to run, read from `POST /queries/v1/query-request`.
///
/// `isInternal` (never to be trusted), `describedJobId` and `dataframeAst` (a second way to say
/// what to run) are dropped, with everything unknown.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct QueryRequest {
    /// The text, exactly as sent.
    pub sql: String,
    /// Whether the driver wants an answer at once.
    pub async_exec: bool,
    /// Only compile it.
    pub describe_only: bool,
    /// Counter of the driver.
    pub sequence_id: Option<i64>,
    /// Clock of the driver, milliseconds since 1970.
    pub submitted_ms: Option<i64>,
    /// Screened statement parameters.
    pub parameters: Screened,
    /// Binds by position.
    pub bindings: Vec<Binding>,
    /// Stage with uploaded binds. It is reported, never forwarded.
    pub bind_stage: Option<String>,
    /// Cache of the driver for hybrid tables: belongs to the upstream session, goes as it came.
    pub query_context: Option<Box<RawValue>>,
}

impl QueryRequest {
    /// Read the body.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut object = Object::message(body)?;
        Ok(Self {
            sql: object.need("sqlText")?,
            async_exec: object.take("asyncExec")?.unwrap_or(false),
            describe_only: object.take("describeOnly")?.unwrap_or(false),
            sequence_id: object.take("sequenceId")?,
            submitted_ms: object.take("querySubmissionTime")?,
            parameters: Screened::read("parameters", object.object("parameters")?)?,
            bindings: bindings(object.object("bindings")?)?,
            bind_stage: object.text("bindStage")?,
            query_context: object
                .raw("queryContextDTO")
                .filter(|raw| is_query_context(raw))
                .map(ToOwned::to_owned),
        })
    }

    /// A statement of the gateway itself, without binds and parameters.
    pub fn of(sql: &str) -> Self {
        Self { sql: sql.to_owned(), ..Self::default() }
    }

    /// Build a held statement again from what the hold kept: the text, [`Self::bindings_json`], and
    /// [`Self::parameters_json`].
    pub fn restore(
        sql: &str,
        bindings_json: Option<&str>,
        parameters_json: &str,
    ) -> Result<Self, WireError> {
        let bound = bindings_json
            .map_or_else(|| Ok(Object::empty()), |text| Object::message(text.as_bytes()))?;
        let parameters = Object::message(parameters_json.as_bytes())?;
        Ok(Self {
            sql: sql.to_owned(),
            parameters: Screened::read("parameters", parameters)?,
            bindings: bindings(bound)?,
            ..Self::default()
        })
    }

    /// Types of the binds by position.
    pub fn bind_types(&self) -> Vec<&str> {
        self.bindings.iter().map(|binding| binding.kind.as_str()).collect()
    }

    /// The binds as one JSON object in the order of their positions; none if there are none.
    pub fn bindings_json(&self) -> Option<String> {
        if self.bindings.is_empty() {
            return None;
        }
        let mut writer = ObjectWriter::new();
        for binding in &self.bindings {
            writer.put(&binding.position.to_string(), binding);
        }
        Some(String::from_utf8_lossy(&writer.finish()).into_owned())
    }

    /// The kept parameters and the client's tag as one JSON object with sorted keys.
    pub fn parameters_json(&self) -> String {
        let mut all = self.parameters.kept.clone();
        if let Some(tag) = &self.parameters.query_tag {
            all.set("QUERY_TAG", tag.as_str());
        }
        let mut text = Vec::new();
        json::write(&mut text, &all);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// What must be equal for two requests to be the same statement (F11, F14): text, binds,
    /// parameters and `describeOnly`, each with its length before it. Counters and clocks, which
    /// change on a retry, are not part of it.
    pub fn digest_input(&self) -> Vec<u8> {
        let bindings = self.bindings_json().unwrap_or_default();
        let parameters = self.parameters_json();
        let stage = self.bind_stage.as_deref().unwrap_or_default();
        let describe = if self.describe_only { "describe" } else { "run" };
        let mut input = Vec::with_capacity(self.sql.len() + bindings.len() + parameters.len() + 64);
        for part in [&self.sql, &bindings, &parameters, stage, describe] {
            input.extend_from_slice(&(part.len() as u64).to_le_bytes());
            input.extend_from_slice(part.as_bytes());
        }
        input
    }

    /// The body for upstream: keys in one order, the kept parameters overruled by `ours`.
    ///
    /// `MULTI_STATEMENT_COUNT` is always 1, whatever the account's or the user's default: what was
    /// judged as one statement cannot become two.
    pub fn upstream_body(&self, ours: &Parameters) -> Vec<u8> {
        let mut parameters = self.parameters.kept.overruled_by(ours);
        parameters.set("MULTI_STATEMENT_COUNT", 1);
        let mut writer = ObjectWriter::new();
        writer
            .put("sqlText", &self.sql)
            .put("asyncExec", &self.async_exec)
            .put("sequenceId", &self.sequence_id.unwrap_or(1))
            .put("describeOnly", &self.describe_only);
        writer.put_some("querySubmissionTime", self.submitted_ms.as_ref());
        writer.put("parameters", &parameters);
        if let Some(bindings) = self.bindings_json() {
            writer.put_raw("bindings", bindings.as_bytes());
        }
        if let Some(context) = &self.query_context {
            writer.put_raw("queryContextDTO", context.get().as_bytes());
        }
        writer.finish()
    }
}

impl fmt::Debug for QueryRequest {
    /// Without text and values: neither belongs into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryRequest")
            .field("sql_bytes", &self.sql.len())
            .field("binds", &self.bind_types())
            .field("async_exec", &self.async_exec)
            .field("describe_only", &self.describe_only)
            .field("dropped", &self.parameters.dropped)
            .finish_non_exhaustive()
    }
}

fn bindings(object: Object<'_>) -> Result<Vec<Binding>, WireError> {
    const KEY: &str = "bindings";
    let wrong = || WireError::Unexpected { key: KEY };
    let mut bindings = Vec::new();
    for (position, raw) in object.rest() {
        let number: u32 = position.parse().map_err(|_| wrong())?;
        // `01` and `+1` would be a second name for one position.
        if number == 0 || number.to_string() != position || bindings.len() >= MAX_BINDS {
            return Err(wrong());
        }
        let mut entry = Object::open(KEY, raw)?;
        let kind: String = entry.need("type")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if kind.is_empty() || kind.len() > 64 || !kind.bytes().all(plain) {
            return Err(wrong());
        }
        let value = entry.raw("value");
        if value.is_some_and(|value| !is_bound_value(value)) {
            return Err(wrong());
        }
        bindings.push(Binding {
            position: number,
            kind: kind.to_ascii_uppercase(),
            fmt: entry.text("fmt")?,
            schema: entry.raw("schema").map(ToOwned::to_owned),
            value: value.map(ToOwned::to_owned),
        });
    }
    bindings.sort_unstable_by_key(|binding| binding.position);
    Ok(bindings)
}

/// A scalar, or an array of scalars.
fn is_bound_value(value: &RawValue) -> bool {
    let scalar = |value: &RawValue| !value.get().starts_with(['{', '[']);
    if value.get().starts_with('[') {
        read::<Vec<&RawValue>>("value", value).is_ok_and(|values| values.iter().all(|v| scalar(v)))
    } else {
        scalar(value)
    }
}

/// Whether a query context is what drivers exchange: a list of numbered entries with opaque base64.
/// Anything else is dropped; the cache is optional.
pub(crate) fn is_query_context(raw: &RawValue) -> bool {
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Context {
        #[serde(default)]
        entries: Option<Vec<Entry>>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        #[serde(rename = "id")]
        _id: Option<i64>,
        #[serde(rename = "timestamp")]
        _timestamp: Option<i64>,
        #[serde(rename = "priority")]
        _priority: Option<i64>,
        context: Option<Opaque>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Opaque {
        Text(String),
        Object(Base64Data),
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Base64Data {
        #[serde(rename = "base64Data")]
        base64_data: Option<String>,
    }
    let base64 = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
    };
    let opaque = |entry: Entry| match entry.context {
        None => true,
        Some(Opaque::Text(text)) => base64(&text),
        Some(Opaque::Object(object)) => object.base64_data.is_none_or(|text| base64(&text)),
    };
    serde_json::from_str::<Context>(raw.get())
        .is_ok_and(|context| context.entries.into_iter().flatten().all(opaque))
}
