//! Replies that are not a result: failures, successes without data, and "still running".
//!
//! All have HTTP status 200: drivers retry or hide a failure that comes as an HTTP status.

use std::fmt;

use crate::{
    WireError,
    envelope::Envelope,
    json::{Object, ObjectWriter},
};

/// Code of a failure whose own code no driver could read (drivers take it as a number).
const UNREADABLE_CODE: &str = "000603";

/// What a failure of Snowflake says about the session that asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SessionFault {
    /// 390112: the session token has expired; the master token can renew it.
    Expired,
    /// The session is gone or its tokens are worth nothing: only a new login helps.
    Lost,
}

/// A failed request, as the envelope says it.
#[derive(Clone, Eq, PartialEq)]
pub struct Failure {
    /// Digits; drivers parse it as a number.
    pub code: String,
    /// Five characters (SQLSTATE), if there is one.
    pub sqlstate: Option<String>,
    /// Text for the user. **May quote data values** when it comes from upstream.
    pub message: String,
    /// The statement that failed, if it had an id already.
    pub query_id: Option<String>,
    /// `COMPILATION`, … as upstream says.
    pub kind: Option<String>,
    /// Line in the statement, -1 if unknown.
    pub line: i64,
    /// Position in the line, -1 if unknown.
    pub pos: i64,
}

impl Failure {
    /// A failure of our own.
    pub fn new(code: &str, sqlstate: &str, message: impl Into<String>, query_id: &str) -> Self {
        Self {
            code: code.to_owned(),
            sqlstate: Some(sqlstate.to_owned()),
            message: message.into(),
            query_id: Some(query_id.to_owned()),
            kind: None,
            line: -1,
            pos: -1,
        }
    }

    /// Read the failure out of an envelope whose `success` is false.
    pub(crate) fn from_parts(
        code: Option<String>,
        message: Option<String>,
        mut data: Object<'_>,
    ) -> Result<Self, WireError> {
        let code = data.text("errorCode")?.or(code).filter(|code| is_code(code));
        Ok(Self {
            code: code.unwrap_or_else(|| UNREADABLE_CODE.to_owned()),
            sqlstate: data.text("sqlState")?.filter(|state| is_sqlstate(state)),
            message: message.unwrap_or_default(),
            query_id: data.text("queryId")?.filter(|id| is_uuid(id)),
            kind: data.text("type")?.filter(|kind| is_kind(kind)),
            // A failure stays a failure, also when its place cannot be read.
            line: data.take("line").ok().flatten().unwrap_or(-1),
            pos: data.take("pos").ok().flatten().unwrap_or(-1),
        })
    }

    /// Read an envelope of which only success matters (heartbeat, cancel, logout).
    pub fn of(body: &[u8]) -> Result<Option<Self>, WireError> {
        Ok(Envelope::read(body)?.outcome()?.err())
    }

    /// What the code says about the session that asked.
    pub fn session_fault(&self) -> Option<SessionFault> {
        match self.code.as_str() {
            "390112" => Some(SessionFault::Expired),
            "390104" | "390111" | "390113" | "390114" | "390115" => Some(SessionFault::Lost),
            _ => None,
        }
    }

    /// The reply for the driver. JDBC reads `data.errorCode`, the others `code`: both are set.
    pub fn render(&self) -> Vec<u8> {
        let data = ObjectWriter::new()
            .put("internalError", &false)
            .put("errorCode", &self.code)
            .put("age", &0)
            .put("sqlState", &self.sqlstate)
            .put("queryId", &self.query_id)
            .put("line", &self.line)
            .put("pos", &self.pos)
            .put("type", &self.kind)
            .finish();
        ObjectWriter::new()
            .put_raw("data", &data)
            .put("code", &self.code)
            .put("message", &self.message)
            .put("success", &false)
            .put("headers", &())
            .finish()
    }
}

impl fmt::Debug for Failure {
    /// Without the message, which may quote data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("code", &self.code)
            .field("sqlstate", &self.sqlstate)
            .field("query_id", &self.query_id)
            .finish_non_exhaustive()
    }
}

/// The reply of a refused request.
pub fn failure(code: &str, sqlstate: &str, message: &str, query_id: &str) -> Vec<u8> {
    Failure {
        kind: Some("COMPILATION".to_owned()),
        ..Failure::new(code, sqlstate, message, query_id)
    }
    .render()
}

/// The reply of a request that went well; `data` is JSON already.
pub fn success(data: &[u8]) -> Vec<u8> {
    ObjectWriter::new()
        .put_raw("data", data)
        .put("code", &())
        .put("message", &())
        .put("success", &true)
        .finish()
}

/// The reply of a request that went well and has nothing to tell.
pub fn success_null() -> Vec<u8> {
    success(b"null")
}

/// The reply of a statement that still runs or waits.
///
/// `success` is true, since JDBC and Node fail otherwise, and `getResultUrl` is relative and without
/// a query string, since Go and JDBC escape the `?` and Python 4 cannot follow an absolute URL.
///
/// `code` is `333333`, or `333334` for a statement that was submitted asynchronously.
pub fn in_progress(query_id: &str, code: &str) -> Vec<u8> {
    let data = ObjectWriter::new()
        .put("queryId", query_id)
        .put("getResultUrl", &format!("/queries/{query_id}/result"))
        .put("queryAbortsAfterSecs", &604_800)
        .put("progressDesc", &())
        .finish();
    ObjectWriter::new()
        .put_raw("data", &data)
        .put("code", code)
        .put("message", "Query execution in progress.")
        .put("success", &true)
        .finish()
}

/// Drivers run `int(code)`; the longest known code has six digits.
fn is_code(text: &str) -> bool {
    (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_sqlstate(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_kind(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// Whether a text is a UUID (RFC 9562, section 4). Ids go into paths: anything else is refused.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueryReply;

    const ID: &str = "01b2c3d4-0000-4000-8000-00000000abcd";

    #[test]
    fn test_a_denial_has_the_shape_every_driver_shows() {
        let text = String::from_utf8(failure("003001", "42501", "denied by rule `x`", ID)).unwrap();

        assert_eq!(
            text,
            format!(
                "{{\"data\":{{\"internalError\":false,\"errorCode\":\"003001\",\"age\":0,\
                 \"sqlState\":\"42501\",\"queryId\":\"{ID}\",\"line\":-1,\"pos\":-1,\
                 \"type\":\"COMPILATION\"}},\"code\":\"003001\",\"message\":\"denied by rule `x`\",\
                 \"success\":false,\"headers\":null}}"
            )
        );
    }

    #[test]
    fn test_in_progress_is_a_success_with_a_relative_url() {
        let body = in_progress(ID, "333333");

        let QueryReply::InProgress(reply) = QueryReply::parse(&body).unwrap() else {
            panic!("not in progress")
        };

        assert_eq!(reply.query_id, ID);
        assert!(!reply.detached);
        assert!(String::from_utf8(body).unwrap().contains(&format!("\"/queries/{ID}/result\"")));
    }

    #[test]
    fn test_a_failure_is_read_as_it_was_written() {
        let written = Failure { line: 3, pos: 7, ..Failure::new("001003", "42000", "no", ID) };

        let QueryReply::Failed(read) = QueryReply::parse(&written.render()).unwrap() else {
            panic!("not a failure")
        };

        assert_eq!(read, written);
    }

    #[test]
    fn test_a_code_that_is_no_number_never_reaches_a_driver() {
        let body = br#"{"data":null,"code":"E-42","message":"m","success":false}"#;

        let QueryReply::Failed(read) = QueryReply::parse(body).unwrap() else {
            panic!("not a failure")
        };

        assert_eq!(read.code, UNREADABLE_CODE);
    }

    #[test]
    fn test_session_codes_are_told_apart() {
        let fault = |code| Failure::new(code, "08001", "", ID).session_fault();

        assert_eq!(fault("390112"), Some(SessionFault::Expired));
        for code in ["390104", "390111", "390113", "390114", "390115"] {
            assert_eq!(fault(code), Some(SessionFault::Lost), "{code}");
        }
        assert_eq!(fault("003001"), None);
    }
}
