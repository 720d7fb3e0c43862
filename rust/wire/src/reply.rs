//! Upstream's reply to a statement or a poll.

use crate::{Failure, ResultHead, WireError, envelope::Envelope, failure::is_uuid};

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
        let mut envelope = Envelope::read(body)?;
        let detached = match envelope.code.as_deref() {
            Some(RUNNING) => false,
            Some(DETACHED) => true,
            _ => {
                return Ok(match envelope.outcome()? {
                    Ok(data) => Self::Done(Box::new(ResultHead::read(data)?)),
                    Err(failure) => Self::Failed(failure),
                });
            }
        };
        let query_id = match envelope.data.text("queryId")? {
            Some(id) => id,
            None => id_of_url(&envelope.data.need::<String>("getResultUrl")?),
        };
        if !is_uuid(&query_id) {
            return Err(WireError::Unexpected { key: "queryId" });
        }
        Ok(Self::InProgress(InProgress { query_id, detached }))
    }
}

/// `/queries/<id>/result` → the id, or something that is none.
fn id_of_url(url: &str) -> String {
    url.trim_start_matches("/queries/").trim_end_matches("/result").to_owned()
}
