//! The state of a statement (`GET /monitoring/queries/{id}`).

use crate::{
    Failure, WireError,
    envelope::Envelope,
    failure::is_uuid,
    json::{Object, ObjectWriter, read},
};

/// State of one statement, without its text and without the names around it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct QueryStatus {
    /// The statement.
    pub query_id: String,
    /// `RUNNING`, `QUEUED`, `SUCCESS`, `FAILED_WITH_ERROR`, `ABORTED`, …
    pub status: String,
    /// Code of the error, if it failed. The message stays behind: it may quote data.
    pub error_code: Option<String>,
    /// Start, in milliseconds since 1970.
    pub start_ms: Option<i64>,
    /// End, in milliseconds since 1970.
    pub end_ms: Option<i64>,
}

impl QueryStatus {
    /// Read upstream's reply; `Ok(None)` when it knows no such statement, an error of the envelope as
    /// `Err` inside.
    pub fn parse(body: &[u8]) -> Result<Result<Option<Self>, Failure>, WireError> {
        let mut data = match Envelope::read(body)?.outcome()? {
            Ok(data) => data,
            Err(failure) => return Ok(Err(failure)),
        };
        let Some(queries) = data.raw("queries") else { return Ok(Ok(None)) };
        let queries: Vec<&serde_json::value::RawValue> = read("queries", queries)?;
        let Some(query) = queries.first() else { return Ok(Ok(None)) };
        let mut query = Object::open("queries", query)?;
        let query_id: String = query.need("id")?;
        let status: String = query.need("status")?;
        if !is_uuid(&query_id) {
            return Err(WireError::Unexpected { key: "id" });
        }
        if status.len() > 64 || !status.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            return Err(WireError::Unexpected { key: "status" });
        }
        let digits = |code: &String| code.len() <= 9 && code.bytes().all(|b| b.is_ascii_digit());
        let error_code = query.raw("errorCode").map(|raw| raw.get().trim_matches('"').to_owned());
        Ok(Ok(Some(Self {
            query_id,
            status,
            error_code: error_code.filter(digits).filter(|code| !code.is_empty()),
            start_ms: query.take("startTime")?,
            end_ms: query.take("endTime")?,
        })))
    }

    /// The reply for the driver.
    pub fn render(&self) -> Vec<u8> {
        let query = ObjectWriter::new()
            .put("id", &self.query_id)
            .put("status", &self.status)
            .put("state", &self.status)
            .put("errorCode", &self.error_code)
            .put("errorMessage", &())
            .put("startTime", &self.start_ms)
            .put("endTime", &self.end_ms)
            .put("sqlText", "")
            .finish();
        let list = [b"[".as_slice(), &query, b"]"].concat();
        crate::success(&ObjectWriter::new().put_raw("queries", &list).finish())
    }
}
