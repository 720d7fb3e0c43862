//! The endpoint table: every path the gate knows, and what becomes of it.
//!
//! | verdict | meaning |
//! |---|---|
//! | rewrite | read, checked, rebuilt, sent upstream under the gateway's own session |
//! | govern | as rewrite, and judged by policy |
//! | local | answered here |
//! | deny | known, refused with a message that says why |
//!
//! Anything else, unknown methods included, is denied with 404 and recorded. Source: the verdict table
//! of `protocol.md`.

use std::sync::Arc;

use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use uuid::Uuid;

use crate::{
    account,
    body::{self, Size},
    cancel, chunk, login, monitor, query,
    reply::{Refusal, Reply, codes, json, ok, reference},
    server::Peer,
    state::State,
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    /// rewrite
    Login,
    /// govern
    Query,
    /// govern
    Fetch,
    /// rewrite
    AbortByRequest,
    /// rewrite
    AbortByQuery,
    /// local
    Monitor,
    /// local
    Renew,
    /// local, and a keep-alive upstream
    Heartbeat,
    /// rewrite
    Logout,
    /// local: swallowed
    Telemetry,
    /// govern
    Chunk,
    /// deny
    Deny(&'static str),
    /// deny, in the shape of the SQL API
    DenyApi,
}

impl Action {
    /// How large the request's body may be. Only who has a session may send a large one; what a
    /// stranger sends to an endpoint of sessions is not kept at all.
    fn size(self, state: &State, call: &Call) -> Size {
        match self {
            Self::Query if state.session(call).is_ok() => Size::Large,
            Self::Query | Self::Telemetry | Self::Deny(_) | Self::DenyApi => Size::Discard,
            _ => Size::Small,
        }
    }
}

/// One endpoint. `{}` in the pattern is one UUID.
struct Route {
    method: Method,
    path: &'static str,
    action: Action,
}

const fn route(method: Method, path: &'static str, action: Action) -> Route {
    Route { method, path, action }
}

const BROWSER: Action = Action::Deny(
    "single sign-on through Snowflake is not offered here; use authenticator=oauth with a token",
);
const LISTS: Action = Action::Deny("lists of other people's statements are not shown");

const ROUTES: [Route; 19] = [
    route(Method::POST, "/session/v1/login-request", Action::Login),
    route(Method::POST, "/session/token-request", Action::Renew),
    route(Method::POST, "/session/heartbeat", Action::Heartbeat),
    route(Method::POST, "/session", Action::Logout),
    route(Method::POST, "/queries/v1/query-request", Action::Query),
    route(Method::POST, "/queries/v1/abort-request", Action::AbortByRequest),
    route(Method::POST, "/queries/{}/abort-request", Action::AbortByQuery),
    route(Method::GET, "/queries/{}/result", Action::Fetch),
    route(Method::GET, "/monitoring/queries/{}", Action::Monitor),
    route(Method::POST, "/telemetry/send", Action::Telemetry),
    route(Method::POST, "/telemetry/send/sessionless", Action::Telemetry),
    route(Method::GET, "/snowgate/chunk/{}", Action::Chunk),
    route(Method::POST, "/session/authenticator-request", BROWSER),
    route(Method::GET, "/console/login", BROWSER),
    route(Method::GET, "/oauth/authorize", BROWSER),
    route(Method::POST, "/oauth/token-request", BROWSER),
    route(Method::GET, "/monitoring/queries", LISTS),
    route(Method::POST, "/api/v2/statements", Action::DenyApi),
    route(Method::POST, "/api/v2/statements/", Action::DenyApi),
];

/// Find the endpoint of a request, and the id in its path.
fn find(method: &Method, path: &str) -> Option<(Action, Option<Uuid>)> {
    ROUTES.iter().filter(|route| route.method == *method).find_map(|route| {
        match route.path.split_once("{}") {
            None => (route.path == path).then_some((route.action, None)),
            Some((before, after)) => {
                let id = path.strip_prefix(before)?.strip_suffix(after)?;
                // The hyphenated form only: another spelling of an id would be a second name for it.
                let id = (id.len() == 36).then(|| Uuid::try_parse(id).ok()).flatten()?;
                Some((route.action, Some(id)))
            }
        }
    })
}

/// A request whose head is accepted; its body may still have to be read.
pub(crate) struct Call {
    pub(crate) head: http::request::Parts,
    pub(crate) peer: Peer,
    /// Stands in the client's message, in the questions, and in the ledger.
    pub(crate) reference: String,
    /// `scheme://host:port` as the client wrote it, once it was checked.
    pub(crate) base: String,
}

impl Call {
    /// The query string; empty if there is none.
    pub(crate) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// A value of the query string.
    pub(crate) fn query_value(&self, name: &str) -> Option<String> {
        let query = snowgate_wire::QueryString::parse(self.query()).ok()?;
        query.get(name).map(str::to_owned)
    }

    /// The token in `Authorization: Snowflake Token="…"`.
    pub(crate) fn token(&self) -> Option<&str> {
        let value = self.head.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Snowflake Token=\"")?.strip_suffix('"')
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// Answer one request.
pub(crate) async fn answer(request: Request<Incoming>, peer: Peer, state: &Arc<State>) -> Reply {
    let reference = reference();
    let (head, body) = request.into_parts();
    let Some((action, id)) = find(&head.method, head.uri.path()) else {
        return unknown(state, &Call { head, peer, reference, base: String::new() }).await;
    };
    let base = match state.base_url(&head, peer) {
        Ok(base) => base,
        Err(refusal) => return refusal.render(&reference, None),
    };
    let call = Call { head, peer, reference, base };
    if action == Action::Chunk {
        // Boxed since it is large: the future of every other request would be as large otherwise.
        return Box::pin(chunk::serve(state, &call, id.unwrap_or_default())).await;
    }
    let body = match body::read(state, &call, body, action.size(state, &call)).await {
        Ok(body) => body,
        Err(refusal) => return state.deny(&call, None, None, refusal).await,
    };
    match (action, id) {
        (Action::Login, _) => login::login(state, &call, &body).await,
        (Action::Query, _) => query::submit(state, &call, &body).await,
        (Action::Fetch, Some(id)) => query::fetch(state, &call, id).await,
        (Action::AbortByRequest, _) => cancel::by_request(state, &call, &body).await,
        (Action::AbortByQuery, Some(id)) => cancel::by_query(state, &call, id).await,
        (Action::Monitor, Some(id)) => monitor::status(state, &call, id).await,
        (Action::Renew, _) => account::renew(state, &call, &body).await,
        (Action::Heartbeat, _) => account::heartbeat(state, &call),
        (Action::Logout, _) => account::logout(state, &call).await,
        (Action::Telemetry, _) => ok(snowgate_wire::success_null()),
        (Action::Deny(reason), _) => {
            let refusal = Refusal::denied("endpoint", reason, "");
            state.deny(&call, None, None, refusal).await
        }
        (Action::DenyApi, _) => api(state, &call).await,
        (Action::Fetch | Action::AbortByQuery | Action::Monitor, None) | (Action::Chunk, _) => {
            Refusal::internal().render(&call.reference, None)
        }
    }
}

/// Denied and recorded: a path that is not in the table.
async fn unknown(state: &State, call: &Call) -> Reply {
    let refusal = Refusal::denied("unknown-endpoint", "this endpoint is not offered here", "");
    let refusal = record(state, call, refusal).await;
    json(StatusCode::NOT_FOUND, refusal.failure(&call.reference, None).render())
}

/// Record the denial of whoever asks, strangers within their rate. Gives back what the client is told.
async fn record(state: &State, call: &Call, refusal: Refusal) -> Refusal {
    let session = state.session(call).ok();
    if session.is_none() && !state.may_record_stranger() {
        return refusal;
    }
    state.record_denial(call, session.as_ref(), None, &refusal).await
}

/// The SQL API answers 422 in its own shape.
async fn api(state: &State, call: &Call) -> Reply {
    let refusal = Refusal::denied(
        "endpoint",
        "the SQL API is not offered here",
        "use a driver: its statements are governed",
    );
    let refusal = record(state, call, refusal).await;
    let body = serde_json::json!({
        "code": codes::DENIED.0,
        "sqlState": codes::DENIED.1,
        "message": refusal.message(&call.reference),
        "statementHandle": Uuid::new_v4().to_string(),
    });
    json(StatusCode::UNPROCESSABLE_ENTITY, body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01b2c3d4-0000-4000-8000-00000000abcd";

    #[test]
    fn known_paths_are_found_with_their_id() {
        let id = Uuid::try_parse(ID).unwrap();
        assert_eq!(find(&Method::POST, "/queries/v1/query-request"), Some((Action::Query, None)));
        assert_eq!(
            find(&Method::GET, &format!("/queries/{ID}/result")),
            Some((Action::Fetch, Some(id)))
        );
        assert_eq!(
            find(&Method::POST, &format!("/queries/{ID}/abort-request")),
            Some((Action::AbortByQuery, Some(id)))
        );
    }

    #[test]
    fn anything_else_is_unknown() {
        for (method, path) in [
            (Method::GET, "/queries/v1/query-request".to_owned()),
            (Method::PUT, "/session/v1/login-request".to_owned()),
            (Method::POST, "/queries/v1/query-request/".to_owned()),
            (Method::POST, "//queries/v1/query-request".to_owned()),
            (Method::POST, "/queries/V1/query-request".to_owned()),
            (Method::GET, "/queries/x/result".to_owned()),
            (Method::GET, format!("/queries/{}/result", ID.replace('-', ""))),
            (Method::GET, format!("/queries/{{{ID}}}/result")),
            (Method::GET, format!("/queries/{ID}/result/x")),
            (Method::GET, format!("/queries/../queries/{ID}/result")),
            (Method::GET, "/api/v2/databases".to_owned()),
            (Method::CONNECT, "/".to_owned()),
        ] {
            assert_eq!(find(&method, &path), None, "{method} {path}");
        }
    }
}
