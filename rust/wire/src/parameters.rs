//! Session and statement parameters: as powerful as `ALTER SESSION`, so screened by an allow-list.
//!
//! Kept is what changes how values are written, how long things may take, or what the driver does on
//! its own side. Dropped, and reported by name, is everything that changes how names resolve, how
//! many statements a text may hold, or the shape of a result, and everything unknown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Number, value::RawValue};

use crate::{
    WireError,
    json::{Object, read},
};

/// Parameters a client may set. None of them changes which object a name means, which rows a
/// statement gives, or how many statements it is.
const ALLOWED: [&str; 44] = [
    "AUTOCOMMIT",
    "BINARY_INPUT_FORMAT",
    "BINARY_OUTPUT_FORMAT",
    "CLIENT_ENABLE_LOG_INFO_STATEMENT_PARAMETERS",
    "CLIENT_HONOR_CLIENT_TZ_FOR_TIMESTAMP_NTZ",
    "CLIENT_MEMORY_LIMIT",
    "CLIENT_METADATA_REQUEST_USE_CONNECTION_CTX",
    "CLIENT_METADATA_USE_SESSION_DATABASE",
    "CLIENT_PREFETCH_THREADS",
    "CLIENT_RESULT_CHUNK_SIZE",
    "CLIENT_RESULT_COLUMN_CASE_INSENSITIVE",
    "CLIENT_SESSION_KEEP_ALIVE",
    "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY",
    "CLIENT_TIMESTAMP_TYPE_MAPPING",
    "CLIENT_VALIDATE_DEFAULT_PARAMETERS",
    "DATE_INPUT_FORMAT",
    "DATE_OUTPUT_FORMAT",
    "ERROR_ON_NONDETERMINISTIC_MERGE",
    "ERROR_ON_NONDETERMINISTIC_UPDATE",
    "JDBC_TREAT_DECIMAL_AS_INT",
    "JDBC_TREAT_TIMESTAMP_NTZ_AS_UTC",
    "JDBC_USE_SESSION_TIMEZONE",
    "JS_TREAT_INTEGER_AS_BIGINT",
    "JSON_INDENT",
    "LOCK_TIMEOUT",
    "ODBC_TREAT_DECIMAL_AS_INT",
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS",
    "STATEMENT_TIMEOUT_IN_SECONDS",
    "STRICT_JSON_OUTPUT",
    "TIMESTAMP_DAY_IS_ALWAYS_24H",
    "TIMESTAMP_INPUT_FORMAT",
    "TIMESTAMP_LTZ_OUTPUT_FORMAT",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT",
    "TIMESTAMP_OUTPUT_FORMAT",
    "TIMESTAMP_TZ_OUTPUT_FORMAT",
    "TIMEZONE",
    "TIME_INPUT_FORMAT",
    "TIME_OUTPUT_FORMAT",
    "TRANSACTION_ABORT_ON_ERROR",
    "TRANSACTION_DEFAULT_ISOLATION_LEVEL",
    "TWO_DIGIT_CENTURY_START",
    "USE_CACHED_RESULT",
    "WEEK_OF_YEAR_POLICY",
    "WEEK_START",
];

/// Choose the format of results per driver. Both formats are masked, so a client may choose between
/// them; any other value is dropped.
const RESULT_FORMATS: [&str; 4] = [
    "GO_QUERY_RESULT_FORMAT",
    "JDBC_QUERY_RESULT_FORMAT",
    "ODBC_QUERY_RESULT_FORMAT",
    "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT",
];

/// Longest text of a parameter; formats and zones are far below it.
const VALUE_BYTES: usize = 256;
/// Longest query tag Snowflake takes.
const TAG_CHARS: usize = 2000;

/// A value of a parameter; numbers stay as they were written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ParameterValue {
    /// true or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
}

impl ParameterValue {
    /// The value as an integer, also when it was written as a text.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Bool(_) => None,
        }
    }
}

impl From<&str> for ParameterValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for ParameterValue {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for ParameterValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// A parameter as replies list it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Parameter {
    /// Upper-case name.
    pub name: String,
    /// Its value.
    pub value: ParameterValue,
}

/// Parameters by upper-case name, sorted: equal settings are equal bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Parameters(BTreeMap<String, ParameterValue>);

impl Parameters {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// What makes every driver's results JSON.
    pub fn json_results() -> Self {
        let json = |name: &str| (name.to_owned(), ParameterValue::from("JSON"));
        Self(RESULT_FORMATS.into_iter().map(json).collect())
    }

    /// Set one, replacing an earlier value.
    pub fn set(&mut self, name: &str, value: impl Into<ParameterValue>) {
        self.0.insert(name.to_ascii_uppercase(), value.into());
    }

    /// The value of an upper-case name.
    pub fn get(&self, name: &str) -> Option<&ParameterValue> {
        self.0.get(name)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParameterValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, overruled by `stronger`.
    #[must_use]
    pub fn overruled_by(&self, stronger: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(stronger.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        all
    }
}

impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What the screen made of a client's parameters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Screened {
    /// May go upstream.
    pub kept: Parameters,
    /// The client's own query tag; it never goes upstream as such (F24).
    pub query_tag: Option<String>,
    /// `MULTI_STATEMENT_COUNT`, when it is neither 0 nor 1 (-1 if it is no number): the client means
    /// to send several statements, and the gate denies.
    pub statement_count: Option<i64>,
    /// Names of what was dropped, sorted.
    pub dropped: Vec<String>,
}

impl Screened {
    pub(crate) fn read(key: &'static str, parameters: Object<'_>) -> Result<Self, WireError> {
        let mut screened = Self::default();
        for (name, raw) in parameters.rest() {
            let name = name.to_ascii_uppercase();
            if raw.get() == "null" {
                continue;
            }
            if screened.kept.get(&name).is_some() || screened.dropped.contains(&name) {
                return Err(WireError::DuplicateKey);
            }
            screened.one(key, name, raw)?;
        }
        screened.dropped.sort_unstable();
        Ok(screened)
    }

    fn one(&mut self, key: &'static str, name: String, raw: &RawValue) -> Result<(), WireError> {
        let value: Option<ParameterValue> = serde_json::from_str(raw.get()).ok();
        match (name.as_str(), value) {
            ("QUERY_TAG", Some(ParameterValue::Text(tag))) => {
                if tag.chars().count() > TAG_CHARS || self.query_tag.is_some() {
                    return Err(WireError::Unexpected { key });
                }
                self.query_tag = Some(tag);
            }
            ("MULTI_STATEMENT_COUNT", value) => {
                let count = value.and_then(|value| value.as_i64()).unwrap_or(-1);
                self.statement_count = Some(count).filter(|count| !(0..=1).contains(count));
                self.dropped.push(name);
            }
            (known, Some(value)) if allowed(known, &value) => {
                self.kept.0.insert(name, value);
            }
            _ => self.dropped.push(shown(name)),
        }
        Ok(())
    }
}

fn allowed(name: &str, value: &ParameterValue) -> bool {
    let fits = match value {
        ParameterValue::Text(text) => text.len() <= VALUE_BYTES,
        ParameterValue::Number(_) | ParameterValue::Bool(_) => true,
    };
    let format = |value: &ParameterValue| {
        matches!(value, ParameterValue::Text(text)
            if ["JSON", "ARROW", "ARROW_FORCE"].contains(&text.to_ascii_uppercase().as_str()))
    };
    fits && (ALLOWED.contains(&name) || (RESULT_FORMATS.contains(&name) && format(value)))
}

/// A dropped name goes into reports: only if it looks like one.
fn shown(name: String) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.$".contains(&byte);
    if name.len() <= 128 && name.bytes().all(plain) { name } else { "?".to_owned() }
}

/// Parameters of a reply, as the driver may see them.
///
/// Upstream's pass, with these changes: inline binds only, since staged ones go around the gateway
/// (`CLIENT_STAGE_ARRAY_BINDING_THRESHOLD`); no telemetry; not the gateway's own query tag.
pub(crate) fn for_client(upstream: &[Parameter]) -> Vec<Parameter> {
    const OVERRIDDEN: [&str; 3] =
        ["CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "CLIENT_TELEMETRY_ENABLED", "QUERY_TAG"];
    let mut parameters: Vec<Parameter> = upstream
        .iter()
        .filter(|parameter| !OVERRIDDEN.contains(&parameter.name.as_str()))
        .cloned()
        .collect();
    let ours: [(&str, ParameterValue); 2] = [
        ("CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", 0.into()),
        ("CLIENT_TELEMETRY_ENABLED", false.into()),
    ];
    parameters.extend(ours.map(|(name, value)| Parameter { name: name.to_owned(), value }));
    parameters
}

/// Read a reply's list of parameters: plain names and scalars; anything else in it is dropped.
pub(crate) fn read_list(raw: Option<&RawValue>) -> Result<Vec<Parameter>, WireError> {
    #[derive(Deserialize)]
    struct Entry<'a> {
        name: String,
        #[serde(borrow)]
        value: Option<&'a RawValue>,
    }
    const KEY: &str = "parameters";
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let entries: Vec<Entry<'_>> = read(KEY, raw)?;
    let plain = |name: &str| {
        name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    Ok(entries
        .into_iter()
        .filter(|entry| plain(&entry.name))
        .filter_map(|entry| {
            let value: ParameterValue = serde_json::from_str(entry.value?.get()).ok()?;
            let name = entry.name.to_ascii_uppercase();
            Some(Parameter { name, value })
        })
        .collect())
}
