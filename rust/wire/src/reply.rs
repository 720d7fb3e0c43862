//! Upstream's reply to a statement or a poll.

use crate::{Failure, ResultHead, WireError, failure::is_uuid, json::Object};

/// Codes of a statement that runs on: in the foreground, and submitted asynchronously.
const RUNNING: &str = "333333";
const DETACHED: &str = "333334";

/// What upstream answers.
#[derive(Debug)]
pub enum QueryReply {
    /// The result, or its head with chunks elsewhere.
    Done(Box<ResultHead>),
    /// The statement still runs.
    InProgress(InProgress),
    /// The statement, or the session, failed.
    Failed(Failure),
}

/// A statement that still runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InProgress {
    /// Upstream's id of it.
    pub query_id: String,
    /// Submitted asynchronously (333334).
    pub detached: bool,
}

impl QueryReply {
    /// Read the reply.
    ///
    /// Fails on replies that do not pass the gateway at all: file transfers, parents of several
    /// statements, and data under unknown keys.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut envelope = Object::message(body)?;
        let success: bool = envelope.need("success")?;
        let code = envelope.text("code")?;
        let message = envelope.text("message")?;
        let mut data = envelope.object("data")?;
        match code.as_deref() {
            Some(code @ (RUNNING | DETACHED)) => {
                let query_id = match data.text("queryId")? {
                    Some(id) => id,
                    None => id_of_url(&data.need::<String>("getResultUrl")?),
                };
                if !is_uuid(&query_id) {
                    return Err(WireError::Unexpected { key: "queryId" });
                }
                Ok(Self::InProgress(InProgress { query_id, detached: code == DETACHED }))
            }
            _ if success => ResultHead::read(data).map(|head| Self::Done(Box::new(head))),
            _ => Failure::from_parts(code, message, data).map(Self::Failed),
        }
    }
}

/// `/queries/<id>/result` → the id, or something that is none.
fn id_of_url(url: &str) -> String {
    url.trim_start_matches("/queries/").trim_end_matches("/result").to_owned()
}
