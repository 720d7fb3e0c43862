//! Logins: the token is judged by the control plane, the role pinned upstream, the tokens our own.
//!
//! # Rules
//!
//! - Every login, a refused one too, is an entry that is durable before the client hears of it. Refused
//!   ones that come too fast are counted, and their number is an entry ([`crate::strangers`]).
//! - The client's token crosses to the control plane once and is kept nowhere.
//! - A login form that is not offered is refused with words that say what is; there is no second
//!   attempt with another reading of the same login (F25).

use std::sync::Arc;

use snowgate_session::{Opened, SessionsFull, Token, TokenKind};
use snowgate_upstream::LoginSpec;
use snowgate_wire::{Authenticator, Failure, LoginReply, LoginRequest, Secret, UpstreamLogin};
use uuid::Uuid;

use crate::{
    account,
    ask::{Admission, Login, LoginAnswer, LoginRefusal},
    own,
    record::Fields,
    reply::{Refusal, Reply, codes, ok},
    routes::Call,
    session::{Place, Session, Who, now_s},
    state::{State, count},
};

/// SQLSTATE of a refused login: invalid authorization specification.
const REFUSED_STATE: &str = "28000";

/// What a refused login is told, and what the ledger says of it.
struct Refused {
    code: String,
    message: String,
    /// A word for the ledger.
    reason: String,
    principal: Option<String>,
}

impl Refused {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self {
            code: codes::LOGIN_REFUSED.0.to_owned(),
            message: message.into(),
            reason: reason.to_owned(),
            principal: None,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.rules.first().cloned().unwrap_or_default();
        let (code, message) = (refusal.codes.0, refusal.reason);
        // 003001 is no login's code; drivers expect one of theirs.
        let code = if code == codes::DENIED.0 { codes::LOGIN_REFUSED.0.to_owned() } else { code };
        Self { code, message, reason, principal: None }
    }
}

impl From<LoginRefusal> for Refused {
    fn from(refusal: LoginRefusal) -> Self {
        let digits = |code: &String| code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit());
        let code = Some(refusal.code).filter(digits);
        Self {
            code: code.unwrap_or_else(|| codes::LOGIN_REFUSED.0.to_owned()),
            message: refusal.message,
            reason: refusal.reason,
            principal: refusal.principal,
        }
    }
}

/// `POST /session/v1/login-request`.
///
/// The work runs in a task of its own: a login cut half-way would leave an upstream session behind.
pub(crate) async fn login(state: &Arc<State>, call: &Call, body: &[u8]) -> Reply {
    let attempt = Attempt {
        state: Arc::clone(state),
        reference: call.reference.clone(),
        source: call.peer.address.ip().to_string(),
        request: LoginRequest::parse(body, call.query()).map_err(|error| error.to_string()),
    };
    match tokio::spawn(attempt.run()).await {
        Ok(reply) => reply,
        Err(_) => Refusal::internal().render(&call.reference, None),
    }
}

struct Attempt {
    state: Arc<State>,
    reference: String,
    source: String,
    request: Result<LoginRequest, String>,
}

impl Attempt {
    async fn run(self) -> Reply {
        match self.admitted().await {
            Ok(reply) => {
                count(&self.state.counters.logins);
                ok(reply)
            }
            Err(refused) => self.refuse(refused).await,
        }
    }

    /// Record the refusal, then tell the client.
    async fn refuse(&self, refused: Refused) -> Reply {
        count(&self.state.counters.logins_refused);
        if self.state.refused_logins.may_record()
            && let Err(unrecorded) = self.record_refusal(&refused).await
        {
            return unrecorded.render(&self.reference, None);
        }
        let message = format!("{}; reference {}", refused.message, self.reference);
        let id = Uuid::new_v4().to_string();
        ok(Failure::new(&refused.code, REFUSED_STATE, message, &id).render())
    }

    async fn record_refusal(&self, refused: &Refused) -> Result<u64, Refusal> {
        let client = self.request.as_ref().ok().and_then(client_name);
        let fields = Fields::new()
            .put("principal", refused.principal.clone())
            .put("identity", ())
            .put("verdict", "deny")
            .put("reason", refused.reason.as_str())
            .put("code", refused.code.as_str())
            .put("session", ())
            .put("client", client)
            .put("source", self.source.as_str())
            .put("reference", self.reference.as_str());
        self.state.ledger.append("login", fields, Vec::new()).await
    }

    async fn admitted(&self) -> Result<Vec<u8>, Refused> {
        let request = match &self.request {
            Ok(request) => request,
            Err(reason) => return Err(Refused::new("malformed", reason.clone())),
        };
        if !request.account.eq_ignore_ascii_case(&self.state.account) {
            return Err(Refused::new(
                "account",
                format!("this gateway serves the account `{}`", self.state.account),
            ));
        }
        let token = offered(request)?;
        let admission = self.ask(request, token).await?;
        // Before anything is opened upstream; logins in the same moment may go over it by a few.
        let same = |session: &Session| session.who.principal.same(&admission.principal);
        self.state.sessions.has_share(same).map_err(too_many)?;
        let id = Uuid::new_v4().to_string();
        let spec = LoginSpec {
            role: admission.role.clone(),
            warehouse: admission.warehouse.clone().or_else(|| request.warehouse.clone()),
            database: request.database.clone(),
            schema: request.schema.clone(),
            client_app_id: request.client_app_id.clone().unwrap_or_default(),
            client_app_version: request.client_app_version.clone().unwrap_or_default(),
            session_parameters: request.parameters.kept.clone(),
            ..LoginSpec::default()
        };
        let (upstream, opened) =
            own::log_in(&self.state, &self.state.upstream, &spec, &id, &self.reference).await?;
        let session = self.session(&id, request, &admission, &opened, upstream);
        let tokens = self.open(&session).await?;
        if let Err(refusal) = self.record(&session, &admission).await {
            account::end(&self.state, &id, "not-recorded").await;
            return Err(refusal.into());
        }
        Ok(self.reply(&session, &tokens, &opened))
    }

    async fn ask(&self, request: &LoginRequest, token: &Secret) -> Result<Admission, Refused> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (login_name, client_app) = (text(&request.login_name), text(&request.client_app_id));
        let (client_version, role) = (text(&request.client_app_version), text(&request.role));
        let (database, schema) = (text(&request.database), text(&request.schema));
        let question = Login {
            reference: &self.reference,
            account: &request.account,
            authenticator: request.authenticator.name(),
            token: token.expose(),
            user: &login_name,
            client_app: &client_app,
            client_version: &client_version,
            source: &self.source,
            role: &role,
            warehouse: request.warehouse.as_deref().unwrap_or_default(),
            database: &database,
            schema: &schema,
        };
        let limit = self.state.limits.login_limit();
        match self.state.bridge.question("login", &question, limit).await? {
            LoginAnswer::Admit(admission) => Ok(*admission),
            LoginAnswer::Refuse(refusal) => Err(refusal.into()),
        }
    }

    fn session(
        &self,
        id: &str,
        request: &LoginRequest,
        admission: &Admission,
        opened: &UpstreamLogin,
        upstream: snowgate_upstream::Session,
    ) -> Arc<Session> {
        let opened_at_s = now_s();
        let who = Who {
            principal: admission.principal.clone(),
            groups: admission.groups.clone(),
            role: admission.role.clone(),
            warehouse: opened.warehouse.clone(),
            input: admission.input.clone(),
            client_app: request.client_app_id.clone().unwrap_or_default(),
            client_version: request.client_app_version.clone().unwrap_or_default(),
            source: self.source.clone(),
            opened_at_s,
            expires_at_s: opened_at_s + admission.max_age_s.max(0.0),
        };
        let place = Place {
            database: opened.database.clone().unwrap_or_default(),
            schema: opened.schema.clone().unwrap_or_default(),
            client_tag: request.parameters.query_tag.clone(),
            ..Place::default()
        };
        Arc::new(Session::new(id.to_owned(), who, place, upstream, false))
    }

    /// Put the session into the table and have it stored. Its tokens are not known to anybody yet.
    async fn open(&self, session: &Arc<Session>) -> Result<Opened, Refused> {
        let no_randomness = || Refused::from(Refusal::internal());
        let tokens = Opened {
            session: Token::random(TokenKind::Session).ok_or_else(no_randomness)?,
            master: Token::random(TokenKind::Master).ok_or_else(no_randomness)?,
        };
        let state = &self.state;
        let opened = state.sessions.open(
            &session.id,
            &tokens,
            now_s(),
            session.who.expires_at_s,
            Arc::clone(session),
        );
        if let Err(full) = opened {
            let _ = session.upstream.logout().await;
            return Err(too_many(full));
        }
        if let Err(refusal) = state.session_opened(session).await {
            account::end(state, &session.id, "not-stored").await;
            return Err(refusal.into());
        }
        Ok(tokens)
    }

    async fn record(&self, session: &Session, admission: &Admission) -> Result<u64, Refusal> {
        let principal = &session.who.principal;
        let identity = serde_json::json!({
            "account": principal.account,
            "issuer": principal.issuer,
            "subject": principal.subject,
        });
        let fields = Fields::new()
            .put("principal", principal.name.as_str())
            .put("identity", identity)
            .put("verdict", "allow")
            .put("reason", "")
            .put("code", ())
            .list("groups", &admission.groups)
            .list("dropped_groups", &admission.dropped_groups)
            .put("role", session.who.role.as_str())
            .put("session", session.id.as_str())
            .put("client", format!("{} {}", session.who.client_app, session.who.client_version))
            .put("source", session.who.source.as_str())
            .put("reference", self.reference.as_str())
            .put("claims_digest", admission.claims_digest.as_str());
        self.state.ledger.append("login", fields, Vec::new()).await
    }

    fn reply(&self, session: &Session, tokens: &Opened, opened: &UpstreamLogin) -> Vec<u8> {
        let left_s = whole_seconds(session.who.expires_at_s - now_s());
        LoginReply {
            token: &Secret::new(tokens.session.reveal()),
            master_token: &Secret::new(tokens.master.reveal()),
            validity_s: self.state.session_token_s.min(left_s),
            master_validity_s: left_s,
            session_id: session.number,
            display_name: &session.who.principal.name,
            server_version: opened.server_version.as_deref(),
            parameters: &opened.parameters,
            database: opened.database.as_deref(),
            schema: opened.schema.as_deref(),
            warehouse: opened.warehouse.as_deref(),
            role: opened.role.as_deref(),
        }
        .render()
    }
}

/// The token of a login form that is offered.
fn offered(request: &LoginRequest) -> Result<&Secret, Refused> {
    const REMEDY: &str = "use authenticator=oauth with a token of a configured issuer";
    let refused = |what: &str| {
        Err(Refused::new("authenticator", format!("{what} is not offered here; {REMEDY}")))
    };
    let token = match (&request.authenticator, &request.token) {
        (Authenticator::Other(name), _) => {
            return refused(&format!("the authenticator `{name}`"));
        }
        (Authenticator::SnowflakeJwt, _) => {
            return refused("a login with the client's own key pair");
        }
        (Authenticator::Saml, _) => return refused("a SAML login"),
        (Authenticator::WorkloadIdentity, _)
            if request
                .provider
                .as_deref()
                .is_none_or(|name| !name.eq_ignore_ascii_case("OIDC")) =>
        {
            return refused("workload identity other than OIDC");
        }
        (Authenticator::Password, Some(token)) if !is_token(token.expose()) => {
            return refused("a login with a password");
        }
        (_, Some(token)) if !token.is_empty() => token,
        _ => return Err(Refused::new("no-token", format!("the login holds no token; {REMEDY}"))),
    };
    Ok(token)
}

/// Whether a password has the form of a token: a JWT in compact form (RFC 7519, section 3).
fn is_token(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.split('.').count() == 3 && text.split('.').all(part)
}

fn too_many(full: SessionsFull) -> Refused {
    Refused::new("busy", format!("{full}; close those that are not needed, or try again later"))
}

fn client_name(request: &LoginRequest) -> Option<String> {
    let version = request.client_app_version.as_deref().unwrap_or_default();
    request.client_app_id.as_ref().map(|name| format!("{name} {version}"))
}

/// Whole seconds of a span that is left, zero if it is over.
pub(crate) fn whole_seconds(span_s: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(span_s).map_or(0, |span| span.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_taken_for_a_token() {
        assert!(is_token("eyJh.eyJz.c2ln-_"));
        for text in ["hunter2", "a.b", "a..c", "a.b.c.d", "a.b.c d", ""] {
            assert!(!is_token(text), "{text}");
        }
    }
}
