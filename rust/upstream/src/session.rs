//! One upstream session: its tokens, its statements, its end.

use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use snowgate_wire::{
    AbortRequest, Failure, QueryReply, QueryStatus, Secret, SessionFault, TokenAnswer,
    TokenRequest, WireError, is_uuid,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{SealKey, Upstream, UpstreamError, client::Shared, pool::Pool};

/// Code of a session that is gone, as drivers know it.
const SESSION_GONE: &str = "390111";
/// Code of a session token that can be renewed.
const TOKEN_EXPIRED: &str = "390112";
/// Codes that speak of tokens and sessions; others are troubles of the moment.
const SESSION_CODES: &str = "390";
/// Least time between two polls. Snowflake holds a poll itself; this is for one that does not.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// A session at Snowflake, with its role pinned. Cheap to clone; all clones are the same session.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    tokens: RwLock<Tokens>,
    /// Held while a renewal is under way: all who met an expired token wait for one renewal.
    renewal: tokio::sync::Mutex<()>,
    /// The code that ended the session.
    lost: OnceLock<String>,
    session_id: Option<i64>,
}

#[derive(Clone)]
struct Tokens {
    session: Secret,
    master: Secret,
    /// Counts renewals.
    generation: u64,
}

/// What a sealed session holds.
#[derive(Serialize, Deserialize)]
struct Sealed {
    session: String,
    master: String,
    generation: u64,
    session_id: Option<i64>,
}

/// An answer, or the failure of the session that asked.
enum Answer<T> {
    Given(T),
    Fault(SessionFault, Failure),
}

impl Session {
    pub(crate) fn open(
        shared: Arc<Shared>,
        pool: Arc<Pool>,
        session: Secret,
        master: Secret,
        session_id: Option<i64>,
    ) -> Self {
        let tokens = RwLock::new(Tokens { session, master, generation: 0 });
        let renewal = tokio::sync::Mutex::default();
        let lost = OnceLock::new();
        Self { inner: Arc::new(Inner { shared, pool, tokens, renewal, lost, session_id }) }
    }

    /// Snowflake's number of the session. It is no credential.
    pub fn session_id(&self) -> Option<i64> {
        self.inner.session_id
    }

    /// Counts renewals: after a change, a sealed copy kept elsewhere is out of date.
    pub fn generation(&self) -> u64 {
        self.inner.tokens().generation
    }

    /// The code that ended the session, if it has ended.
    pub fn lost(&self) -> Option<&str> {
        self.inner.lost.get().map(String::as_str)
    }

    /// Run a statement; the body is [`snowgate_wire::QueryRequest::upstream_body`].
    ///
    /// `request_id` is a UUID and Snowflake's idempotency key. On an error of which
    /// [`UpstreamError::did_not_run`] is false, the statement may have run. A statement of several,
    /// or a file transfer, is [`UpstreamError::Reply`].
    ///
    /// Not cancel-safe: a dropped call may have run; use [`Self::abort`].
    pub async fn query(&self, request_id: &str, body: Bytes) -> Result<QueryReply, UpstreamError> {
        need_uuid(request_id)?;
        let path = format!("/queries/v1/query-request?requestId={request_id}");
        self.inner.ask(Method::POST, &path, body, read_reply).await
    }

    /// Poll or fetch a result. Cancel-safe.
    pub async fn result(&self, query_id: &str) -> Result<QueryReply, UpstreamError> {
        need_uuid(query_id)?;
        let path = format!("/queries/{query_id}/result?requestId={}", Uuid::new_v4());
        self.inner.ask(Method::GET, &path, Bytes::new(), read_reply).await
    }

    /// Run a statement and poll it until it ends; for the gateway's own statements. The caller sets
    /// the time limit.
    pub async fn complete(
        &self,
        request_id: &str,
        body: Bytes,
    ) -> Result<QueryReply, UpstreamError> {
        let mut reply = self.query(request_id, body).await?;
        while let QueryReply::InProgress(running) = &reply {
            let started = tokio::time::Instant::now();
            let next = self.result(&running.query_id).await?;
            tokio::time::sleep_until(started + POLL_PAUSE).await;
            reply = next;
        }
        Ok(reply)
    }

    /// State of a statement; none if Snowflake knows none. Cancel-safe.
    pub async fn status(
        &self,
        query_id: &str,
    ) -> Result<Result<Option<QueryStatus>, Failure>, UpstreamError> {
        need_uuid(query_id)?;
        let path = format!("/monitoring/queries/{query_id}");
        let read = |body: &[u8]| {
            QueryStatus::parse(body).map(|status| match status {
                Err(failure) => answer(failure, Err),
                Ok(status) => Answer::Given(Ok(status)),
            })
        };
        self.inner.ask(Method::GET, &path, Bytes::new(), read).await
    }

    /// Cancel the statement that was sent with `request_id`. The inner failure is Snowflake's, such
    /// as 000605 for a statement that does not run.
    pub async fn abort(&self, request_id: &str) -> Result<Result<(), Failure>, UpstreamError> {
        need_uuid(request_id)?;
        let path = format!("/queries/v1/abort-request?requestId={}", Uuid::new_v4());
        let body = Bytes::from(AbortRequest::body(request_id));
        self.inner.ask(Method::POST, &path, body, read_ack).await
    }

    /// Cancel a statement by its id.
    pub async fn abort_query(&self, query_id: &str) -> Result<Result<(), Failure>, UpstreamError> {
        need_uuid(query_id)?;
        let path = format!("/queries/{query_id}/abort-request?requestId={}", Uuid::new_v4());
        self.inner.ask(Method::POST, &path, Bytes::from_static(b"{}"), read_ack).await
    }

    /// Keep the session alive.
    pub async fn heartbeat(&self) -> Result<Result<(), Failure>, UpstreamError> {
        let path = format!("/session/heartbeat?requestId={}", Uuid::new_v4());
        self.inner.ask(Method::POST, &path, Bytes::from_static(b"{}"), read_ack).await
    }

    /// End the session. Whatever comes back, it is lost from here on.
    pub async fn logout(&self) -> Result<(), UpstreamError> {
        if self.lost().is_some() {
            return Ok(());
        }
        let path = format!("/session?delete=true&requestId={}", Uuid::new_v4());
        let tokens = self.inner.tokens();
        self.inner.end(SESSION_GONE);
        let reply = self.inner.send(Method::POST, path, &tokens.session, Bytes::new()).await;
        self.inner.pool.clear();
        reply.map(drop)
    }

    /// The session under a key, bound to `aad` (which session, principal, account it belongs to):
    /// what is sealed for one place does not open in another (F7).
    pub fn seal(&self, key: &SealKey, aad: &[u8]) -> Result<Vec<u8>, UpstreamError> {
        let tokens = self.inner.tokens();
        let sealed = Sealed {
            session: tokens.session.expose().to_owned(),
            master: tokens.master.expose().to_owned(),
            generation: tokens.generation,
            session_id: self.inner.session_id,
        };
        let clear = serde_json::to_vec(&sealed).map(Zeroizing::new);
        drop((Secret::new(sealed.session), Secret::new(sealed.master)));
        key.seal(&clear.map_err(|_| UpstreamError::Seal)?, aad)
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.inner.pool
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Upstream {
    /// Open a sealed session again, after a restart. Whether Snowflake still knows it shows at its
    /// next use.
    pub fn unseal(
        &self,
        key: &SealKey,
        sealed: &[u8],
        aad: &[u8],
    ) -> Result<Session, UpstreamError> {
        let clear = key.open(sealed, aad)?;
        let sealed: Sealed = serde_json::from_slice(&clear).map_err(|_| UpstreamError::Seal)?;
        let session = Session::open(
            Arc::clone(&self.shared),
            Arc::default(),
            Secret::new(sealed.session),
            Secret::new(sealed.master),
            sealed.session_id,
        );
        session.inner.tokens.write().unwrap_or_else(PoisonError::into_inner).generation =
            sealed.generation;
        Ok(session)
    }
}

impl Inner {
    fn tokens(&self) -> Tokens {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&self, code: &str) -> UpstreamError {
        // A driver that were told "expired" here would renew for ever.
        let code = if code == TOKEN_EXPIRED { SESSION_GONE } else { code };
        let code = self.lost.get_or_init(|| code.to_owned()).clone();
        UpstreamError::SessionLost { code }
    }

    fn alive(&self) -> Result<(), UpstreamError> {
        self.lost
            .get()
            .map_or(Ok(()), |code| Err(UpstreamError::SessionLost { code: code.clone() }))
    }

    /// Ask; if the token has expired, renew it and ask once more. Snowflake checks the token before
    /// it does anything, so the first request did not run.
    async fn ask<T>(
        self: &Arc<Self>,
        method: Method,
        path: &str,
        body: Bytes,
        read: impl Fn(&[u8]) -> Result<Answer<T>, WireError>,
    ) -> Result<T, UpstreamError> {
        self.alive()?;
        let used = self.tokens();
        let separator = if path.contains('?') { '&' } else { '?' };
        let attempt = || format!("{path}{separator}request_guid={}", Uuid::new_v4());
        let reply = self.send(method.clone(), attempt(), &used.session, body.clone()).await?;
        match read(&reply)? {
            Answer::Given(answer) => return Ok(answer),
            Answer::Fault(SessionFault::Expired, _) => {}
            Answer::Fault(_, failure) => return Err(self.end(&failure.code)),
        }
        self.renew(used.generation).await?;
        let fresh = self.tokens();
        let reply = self.send(method, attempt(), &fresh.session, body).await?;
        match read(&reply)? {
            Answer::Given(answer) => Ok(answer),
            Answer::Fault(_, failure) => Err(self.end(&failure.code)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        token: &Secret,
        body: Bytes,
    ) -> Result<Vec<u8>, UpstreamError> {
        let limit = self.shared.limits.reply;
        self.shared.ask(&self.pool, method, path, Some(token), body, limit).await
    }

    /// Renew the tokens, once for all who found generation `seen` expired.
    ///
    /// It runs as a task of its own: were it dropped half-way, the new tokens would be lost and the
    /// old master token worthless.
    async fn renew(self: &Arc<Self>, seen: u64) -> Result<(), UpstreamError> {
        let inner = Arc::clone(self);
        let renewal = async move {
            let _one_at_a_time = inner.renewal.lock().await;
            inner.alive()?;
            if inner.tokens().generation != seen {
                return Ok(());
            }
            inner.renew_now().await
        };
        let stopped = || UpstreamError::Unreachable { reason: "renewal was stopped".to_owned() };
        tokio::spawn(renewal).await.map_err(|_| stopped())?.map_err(|error| match error {
            lost @ UpstreamError::SessionLost { .. } => lost,
            // The caller's own request did not run, whatever became of the renewal.
            other => UpstreamError::Unreachable { reason: format!("renewal: {other}") },
        })
    }

    async fn renew_now(&self) -> Result<(), UpstreamError> {
        let old = self.tokens();
        let path = format!("/session/token-request?requestId={}", Uuid::new_v4());
        let body = Bytes::from(TokenRequest::renewal(&old.session));
        let reply = self.send(Method::POST, path, &old.master, body).await?;
        match TokenAnswer::parse(&reply)? {
            TokenAnswer::Renewed(new) => {
                let master = new.master_token.unwrap_or(old.master);
                let generation = old.generation + 1;
                let fresh = Tokens { session: new.token, master, generation };
                *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                Ok(())
            }
            TokenAnswer::Refused(failure) if failure.code.starts_with(SESSION_CODES) => {
                Err(self.end(&failure.code))
            }
            TokenAnswer::Refused(failure) => {
                Err(UpstreamError::Unreachable { reason: format!("refused ({})", failure.code) })
            }
        }
    }
}

fn read_reply(body: &[u8]) -> Result<Answer<QueryReply>, WireError> {
    Ok(match QueryReply::parse(body)? {
        QueryReply::Failed(failure) => answer(failure, QueryReply::Failed),
        reply => Answer::Given(reply),
    })
}

fn read_ack(body: &[u8]) -> Result<Answer<Result<(), Failure>>, WireError> {
    Ok(match Failure::of(body)? {
        Some(failure) => answer(failure, Err),
        None => Answer::Given(Ok(())),
    })
}

fn answer<T>(failure: Failure, given: impl FnOnce(Failure) -> T) -> Answer<T> {
    match failure.session_fault() {
        Some(fault) => Answer::Fault(fault, failure),
        None => Answer::Given(given(failure)),
    }
}

fn need_uuid(id: &str) -> Result<(), UpstreamError> {
    if is_uuid(id) { Ok(()) } else { Err(UpstreamError::config("an id is not a UUID")) }
}
