//! Sessions after the login: renewal, heartbeat, logout, end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use snowgate_session::{Lookup, Token, TokenKind};
use snowgate_wire::{
    ResultHead, Secret, TokenRequest, TokenRequestKind, success_null, token_reply,
};

use crate::{
    ask::{Renew, RenewAnswer},
    cancel,
    login::whole_seconds,
    record::Fields,
    reply::{Refusal, Reply, codes, ok},
    routes::Call,
    session::{Session, now_s, stored_name},
    state::State,
};

/// Limit of the upstream calls that end a session; nobody waits for them.
const GOODBYE: Duration = Duration::from_secs(10);

/// Pause between two heartbeats of a session upstream. Drivers beat every fifteen minutes or less
/// often, and upstream forgets a session after hours.
const BEAT: Duration = Duration::from_secs(10);

/// `POST /session/token-request`: a new session token, if the identity may go on.
pub(crate) async fn renew(state: &Arc<State>, call: &Call, body: &[u8]) -> Reply {
    match renewed(state, call, body).await {
        Ok(reply) => ok(reply),
        Err(refusal) => refusal.render(&call.reference, None),
    }
}

async fn renewed(state: &Arc<State>, call: &Call, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request = TokenRequest::parse(body)
        .map_err(|error| Refusal::denied("request-body", error.to_string(), ""))?;
    if request.kind != TokenRequestKind::Renew {
        return Err(Refusal::denied(
            "token-request",
            "only a session's own token can be renewed",
            "log in for another session",
        ));
    }
    let master = call.token().unwrap_or_default();
    let session = match state.sessions.by_master(master, now_s()) {
        Lookup::Live(session) => session,
        Lookup::Gone => return Err(crate::life::over()),
        Lookup::Expired | Lookup::Unknown => {
            return Err(Refusal::with(
                codes::MASTER_UNKNOWN,
                "session",
                "the master token is not known here",
                "log in again",
            ));
        }
    };
    let question = Renew {
        reference: &call.reference,
        session: &session.id,
        principal: &session.who.principal,
        groups: &session.who.groups,
        role: &session.who.role,
        opened_at_s: session.who.opened_at_s,
    };
    let limit = state.limits.judge_limit();
    match state.bridge.question("renew", &question, limit).await? {
        RenewAnswer::Ok(true) => {}
        RenewAnswer::Ok(false) => return Err(crate::life::over()),
        RenewAnswer::Refuse { message } => {
            end(state, &session.id, "not-renewed").await;
            return Err(Refusal::with(codes::SESSION_GONE, "renew", message, "log in again"));
        }
    }
    let token = Token::random(TokenKind::Session).ok_or_else(Refusal::internal)?;
    let renewed = state.sessions.renew(&session.id, token, now_s());
    let renewed = renewed.ok_or_else(crate::life::over)?;
    // A token that a restart would not know must not be handed out.
    state.session_changed(&session).await?;
    Ok(token_reply(
        &Secret::new(renewed.session.reveal()),
        &Secret::new(master),
        whole_seconds(renewed.token_expires_at_s - now_s()),
        whole_seconds(session.who.expires_at_s - now_s()),
        session.number,
    ))
}

/// `POST /session/heartbeat`.
pub(crate) fn heartbeat(state: &Arc<State>, call: &Call) -> Reply {
    let session = match state.session(call) {
        Ok(session) => session,
        Err(refusal) => return refusal.render(&call.reference, None),
    };
    // The client's session lives here; upstream is kept alive on the side, by one request at a time
    // and not by every one: a client that beats in a loop must not be a load there.
    if let Ok(mut last) = Arc::clone(&session.heartbeat).try_lock_owned()
        && is_due(*last, Instant::now())
    {
        let upstream = session.upstream.clone();
        tokio::spawn(async move {
            match upstream.heartbeat().await {
                Ok(_) => *last = Some(Instant::now()),
                Err(error) => tracing::debug!(%error, "upstream heartbeat failed"),
            }
        });
    }
    ok(success_null())
}

/// Whether upstream is to hear again of a session it last heard of then.
fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= BEAT)
}

/// `POST /session?delete=true`. A session that is gone already is as good as logged out.
pub(crate) async fn logout(state: &Arc<State>, call: &Call) -> Reply {
    if call.query_value("delete").as_deref() != Some("true") {
        let refusal = Refusal::denied("endpoint", "only `delete=true` is known here", "");
        return state.deny(call, None, None, refusal).await;
    }
    if let Ok(session) = state.session(call) {
        let (state, id) = (Arc::clone(state), session.id.clone());
        // In a task of its own: the driver may hang up at once.
        let task = tokio::spawn(async move { end(&state, &id, "logout").await });
        let _ = task.await;
    }
    ok(success_null())
}

/// Whether upstream answered in another role than the pinned one: the session is over then, and what
/// came with the answer is not for its client (F10).
pub(crate) async fn left_role(
    state: &Arc<State>,
    session: &Session,
    reference: &str,
    head: &ResultHead,
) -> bool {
    let role = stored_name(&session.who.role);
    if head.final_role.as_deref().is_none_or(|last| stored_name(last) == role) {
        return false;
    }
    state.alert("role", Some(session), reference, "the role is another one");
    end(state, &session.id, "killed").await;
    true
}

/// End a session: tokens, statements, tickets, upstream, store.
pub(crate) async fn end(state: &Arc<State>, id: &str, why: &'static str) {
    let Some(session) = state.sessions.end(id) else { return };
    session.end(why);
    state.tickets.end_session(id);
    let statements = state.statements.end_session(id);
    for statement in &statements {
        statement.cancel(why);
    }
    let sent = statements
        .iter()
        .filter(|statement| statement.sent.load(Ordering::SeqCst) && !statement.has_finished())
        .map(|statement| statement.upstream_request_id.to_string())
        .collect();
    let fields = Fields::new()
        .put("session", id)
        .put("why", why)
        .put("principal", session.who.principal.name.as_str());
    state.ledger.later("session_end", fields);
    tokio::spawn(say_goodbye(Arc::clone(&session), sent));
    state.session_closed(&session, why).await;
}

/// Stop what runs upstream, then log out.
async fn say_goodbye(session: Arc<Session>, request_ids: Vec<String>) {
    let goodbye = async {
        for id in request_ids {
            let _ = session.upstream.abort(&id).await;
        }
        session.upstream.logout().await
    };
    if let Ok(Err(error)) = tokio::time::timeout(GOODBYE, goodbye).await {
        tracing::debug!(%error, "upstream logout failed");
    }
}

/// Housekeeping: sessions whose time is over, upstream tokens that changed, tickets, rows nobody took,
/// strangers that were only counted.
pub(crate) async fn sweep(state: &Arc<State>) {
    state.tell_missed();
    let now_s = now_s();
    for id in state.sessions.overdue(now_s) {
        end(state, &id, "expired").await;
    }
    for session in state.sessions.all() {
        if session.upstream.lost().is_some() {
            end(state, &session.id, "lost").await;
        } else if session.upstream_renewed() {
            // A failure leaves the row of before: a restart then finds the session lost.
            if let Err(refusal) = state.session_changed(&session).await {
                tracing::warn!(session = session.id, reason = refusal.reason, "not stored");
            }
        }
    }
    state.tickets.sweep(now_s);
    state.budgets.sweep(now_s);
    for statement in state.statements.all() {
        statement.forget_rows(cancel::UNCLAIMED);
        if statement.is_orphan() {
            cancel::stop(&statement, "abandoned");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_beats_in_a_loop_beats_upstream_now_and_then() {
        let now = Instant::now();
        assert!(is_due(None, now));
        assert!(!is_due(Some(now), now + BEAT / 2));
        assert!(is_due(Some(now), now + BEAT));
    }
}
