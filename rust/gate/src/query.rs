//! Statements as clients ask for them: submit, retry, poll, fetch again.
//!
//! # Rules
//!
//! - A retry with the same bytes finds its first attempt; other bytes are refused (F11).
//! - An answer is held for at most `poll_hold_s`; then the client is told to ask again. Drivers ask
//!   at once, so the hold sets the pace (`protocol.md` section 4).
//! - Who asks again for rows gets them from upstream by query id, under a verdict of now and of then,
//!   whichever is stricter (F5).

use std::sync::Arc;

use sha2::{Digest, Sha256};
use snowgate_session::{BodyDigest, Identity, Registered};
use snowgate_wire::{QueryReply, QueryRequest, QueryString, in_progress};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    account, judge, life,
    meter::Meter,
    race::{First, race},
    reply::{Refusal, Reply, codes, ok},
    result,
    routes::Call,
    session::Session,
    state::{State, count},
    statement::{End, Finished, Phase, Statement},
};

/// Code of a statement that still runs or waits.
const IN_PROGRESS: &str = "333333";

/// `POST /queries/v1/query-request`.
pub(crate) async fn submit(state: &Arc<State>, call: &Call, body: &[u8]) -> Reply {
    let session = match state.session(call) {
        Ok(session) => session,
        Err(refusal) => return refusal.render(&call.reference, None),
    };
    let (request, request_id) = match read(call, body) {
        Ok(read) => read,
        Err(refusal) => return state.deny(call, Some(&session), None, refusal).await,
    };
    count(&state.counters.statements);
    let Some(part) = state.room.take(body.len()) else {
        let refusal = Refusal::denied(
            "busy",
            "the statements under way leave no memory for this one",
            "try again later",
        );
        return state.deny(call, Some(&session), None, refusal).await;
    };
    let digest: BodyDigest = Sha256::digest(request.digest_input()).into();
    let ids = Identity::derive(&state.keys.retry, &session.id, &request_id, &digest);
    let registered = state.statements.register(&session.id, request_id, &digest, ids.query_id, {
        let (session, reference) = (Arc::clone(&session), call.reference.clone());
        || Statement::new(ids, digest, reference, session, call.base.clone())
    });
    let refusal = match registered {
        Registered::New(statement) => {
            let life = life::run(Arc::clone(state), Arc::clone(&statement), request);
            tokio::spawn(async move {
                life.await;
                drop(part);
            });
            return wait(state, call, &statement, true).await;
        }
        Registered::Same(statement) => return wait(state, call, &statement, true).await,
        Registered::Differs => Refusal::denied(
            "request-id-reuse",
            "the requestId was used before for another statement",
            "send every statement with a requestId of its own",
        ),
        Registered::Busy => Refusal::denied(
            "busy",
            "too many statements of this session are under way",
            "wait for some of them to end",
        ),
    };
    state.deny(call, Some(&session), None, refusal).await
}

/// The request and its id. Neither may be missing: without an id a retry would run twice.
fn read(call: &Call, body: &[u8]) -> Result<(QueryRequest, Uuid), Refusal> {
    let malformed = |reason: String| Refusal::denied("request-body", reason, "");
    let query = QueryString::parse(call.query()).map_err(|error| malformed(error.to_string()))?;
    let request_id = query.get("requestId").and_then(|id| Uuid::try_parse(id).ok());
    let request_id =
        request_id.ok_or_else(|| malformed("the requestId is missing or no UUID".to_owned()))?;
    let request = QueryRequest::parse(body).map_err(|error| malformed(error.to_string()))?;
    Ok((request, request_id))
}

/// `GET /queries/{id}/result`: a poll, or a fetch of a finished result.
pub(crate) async fn fetch(state: &Arc<State>, call: &Call, id: Uuid) -> Reply {
    let session = match state.session(call) {
        Ok(session) => session,
        Err(refusal) => return refusal.render(&call.reference, None),
    };
    if let Some(statement) = find(state, &session, &id).await {
        statement.poke.notify_one();
        return wait(state, call, &statement, false).await;
    }
    let refusal = match state.past.by_query(&session.id, &id) {
        Some(past) => past.answer_without_text(),
        None => not_yours(),
    };
    state.deny(call, Some(&session), Some(&id), refusal).await
}

/// The session's own statement with this id, also one that is held since before a restart.
pub(crate) async fn find(
    state: &Arc<State>,
    session: &Arc<Session>,
    id: &Uuid,
) -> Option<Arc<Statement>> {
    if let Some(statement) = state.statements.by_query(&session.id, id) {
        return Some(statement);
    }
    if !session.restored || state.past.by_query(&session.id, id).is_some() {
        return None;
    }
    life::revive(state, session, id).await
}

/// The refusal of an id that is not the session's own: also of one that does not exist.
pub(crate) fn not_yours() -> Refusal {
    Refusal::denied(
        "not-your-query",
        "the query id belongs to no statement of this session",
        "fetch results in the session that ran the statement",
    )
}

/// Answer when the statement has finished, or after the longest hold. With `tell_held`, a held
/// statement is answered at once, so that the client learns its query id.
async fn wait(
    state: &Arc<State>,
    call: &Call,
    statement: &Arc<Statement>,
    tell_held: bool,
) -> Reply {
    let deadline = Instant::now() + state.poll_hold();
    let mut phase = statement.phases();
    loop {
        statement.seen();
        let now = phase.borrow_and_update().clone();
        let held = matches!(now, Phase::Held);
        match now {
            Phase::Finished(finished) => return deliver(state, call, statement, &finished).await,
            Phase::Held if tell_held => break,
            // A held statement waits beyond a restart; its client asks the next run of the gate.
            Phase::Held if state.is_stopping() => break,
            Phase::Held | Phase::Working => {}
        }
        match timeout_at(deadline, race(phase.changed(), state.until_stopping())).await {
            Ok(First::One(_)) => {}
            Ok(First::Other(())) if !held => {
                if timeout_at(deadline, phase.changed()).await.is_err() {
                    break;
                }
            }
            Ok(First::Other(())) | Err(_) => break,
        }
    }
    statement.seen();
    ok(in_progress(&statement.query_id.to_string(), IN_PROGRESS))
}

async fn deliver(
    state: &Arc<State>,
    call: &Call,
    statement: &Arc<Statement>,
    finished: &Finished,
) -> Reply {
    if statement.session.over().is_some() && matches!(finished.end, End::Rows(_)) {
        let refusal =
            Refusal::with(codes::SESSION_GONE, "session", "the session is over", "log in again");
        return refusal.render(&call.reference, Some(&statement.query_id));
    }
    if let Some(body) = finished.end.take() {
        return ok(body);
    }
    // Boxed since it is rare and large: every request's future would be as large otherwise.
    match Box::pin(again(state, call, statement)).await {
        Ok(body) => ok(body),
        Err(refusal) => {
            let (session, id) = (&statement.session, &statement.query_id);
            state.deny(call, Some(session), Some(id), refusal).await
        }
    }
}

/// Fetch a result again, judged for the fetcher, now (F5).
async fn again(
    state: &Arc<State>,
    call: &Call,
    statement: &Arc<Statement>,
) -> Result<Vec<u8>, Refusal> {
    let session = &statement.session;
    let ran = statement.ran().ok_or_else(gone)?;
    let verdict = judge::now_and_then(state, session, &ran, &call.reference).await?;
    let reply = session.upstream.result(&ran.upstream_query_id).await.map_err(|error| {
        Refusal::with(codes::UPSTREAM, "upstream", error.to_string(), "try again")
    })?;
    match reply {
        QueryReply::Done(head) => {
            if account::left_role(state, session, &call.reference, &head).await {
                return Err(life::over());
            }
            let shown = result::Show {
                state,
                session,
                verdict: &verdict,
                query_id: &statement.query_id.to_string(),
                reference: &call.reference,
                base: &call.base,
                meter: &Meter::of(statement, &verdict),
            };
            Ok(shown.render(&head)?.body)
        }
        QueryReply::InProgress(_) => Ok(in_progress(&statement.query_id.to_string(), IN_PROGRESS)),
        QueryReply::Failed(failure) => Err(Refusal::with(
            (&failure.code, failure.sqlstate.as_deref().unwrap_or("02000")),
            "upstream",
            format!("the result cannot be fetched again ({})", failure.code),
            "run the statement again",
        )),
    }
}

/// The refusal of a result that is not there any more.
fn gone() -> Refusal {
    Refusal::denied("result-gone", "the result is no longer there", "run the statement again")
}
