//! `GET /monitoring/queries/{id}`: the state of the session's own statements, from here.

use std::sync::Arc;

use snowgate_wire::QueryStatus;
use uuid::Uuid;

use crate::{
    query::{find, not_yours},
    reply::{Reply, ok},
    routes::Call,
    state::State,
    statement::{End, Phase},
};

/// Answer with the state of a statement; its text is never part of it.
pub(crate) async fn status(state: &Arc<State>, call: &Call, id: Uuid) -> Reply {
    let session = match state.session(call) {
        Ok(session) => session,
        Err(refusal) => return refusal.render(&call.reference, None),
    };
    let Some(statement) = find(state, &session, &id).await else {
        return state.deny(call, Some(&session), Some(&id), not_yours()).await;
    };
    let status = match statement.phase() {
        Phase::Working => "RUNNING",
        Phase::Held => "QUEUED",
        Phase::Finished(finished) => match &finished.end {
            End::Rows(_) => "SUCCESS",
            End::Failed(failed) if failed.cancelled => "ABORTED",
            End::Failed(_) => "FAILED_WITH_ERROR",
        },
    };
    let status = QueryStatus {
        query_id: id.to_string(),
        status: status.to_owned(),
        ..QueryStatus::default()
    };
    ok(status.render())
}
