//! Cancelling: by the client's request, or because its session ends.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use snowgate_wire::{AbortRequest, success_null};
use uuid::Uuid;

use crate::{
    query::{find, not_yours},
    race::{First, race},
    reply::{Refusal, Reply, ok},
    routes::Call,
    state::State,
    statement::Statement,
};

/// Rows that nobody took within this time are dropped; they can be fetched again.
pub(crate) const UNCLAIMED: Duration = Duration::from_mins(1);

/// Times upstream is told: the first may arrive before the statement does.
const ATTEMPTS: usize = 4;

/// Pause between them.
const PAUSE: Duration = Duration::from_secs(1);

/// `POST /queries/v1/abort-request`: by the requestId of the statement.
pub(crate) async fn by_request(state: &Arc<State>, call: &Call, body: &[u8]) -> Reply {
    let session = match state.session(call) {
        Ok(session) => session,
        Err(refusal) => return refusal.render(&call.reference, None),
    };
    let request = AbortRequest::parse(body).ok().and_then(|request| request.request_id);
    let request = request.and_then(|id| Uuid::try_parse(&id).ok());
    let Some(request) = request else {
        let refusal = Refusal::denied("request-body", "the requestId is missing or no UUID", "");
        return state.deny(call, Some(&session), None, refusal).await;
    };
    match state.statements.by_request(&session.id, &request) {
        Some(statement) => {
            stop(&statement, "cancelled");
            ok(success_null())
        }
        None => state.deny(call, Some(&session), None, not_yours()).await,
    }
}

/// `POST /queries/{id}/abort-request`.
pub(crate) async fn by_query(state: &Arc<State>, call: &Call, id: Uuid) -> Reply {
    let session = match state.session(call) {
        Ok(session) => session,
        Err(refusal) => return refusal.render(&call.reference, None),
    };
    match find(state, &session, &id).await {
        Some(statement) => {
            stop(&statement, "cancelled");
            ok(success_null())
        }
        None => state.deny(call, Some(&session), Some(&id), not_yours()).await,
    }
}

/// Stop a statement: one that waits ends at once, one that runs is aborted upstream and ends with
/// upstream's reply.
pub(crate) fn stop(statement: &Arc<Statement>, why: &'static str) {
    statement.cancel(why);
    if !statement.sent.load(Ordering::SeqCst) {
        return;
    }
    let statement = Arc::clone(statement);
    tokio::spawn(async move {
        let id = statement.upstream_request_id.to_string();
        for _ in 0..ATTEMPTS {
            if statement.has_finished() {
                return;
            }
            if let Err(error) = statement.session.upstream.abort(&id).await {
                tracing::debug!(%error, "abort failed");
            }
            let pause = tokio::time::sleep(PAUSE);
            if matches!(race(statement.until_finished(), pause).await, First::One(())) {
                return;
            }
        }
    });
}
