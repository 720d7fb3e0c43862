//! Sessions at rest: what the control plane keeps of them, and how they are taken up again.
//!
//! What is told of one session is told one after another, each as it is in that moment, and its end
//! last: an older state never replaces a newer one, and nothing brings an ended session back.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use snowgate_session::{Principal, Restored, TokenHash};

use crate::{
    ask::{Noted, SessionClosed},
    life,
    reply::Refusal,
    row::SessionRow,
    session::{Place, Session, Who},
    state::State,
};

/// What a sealed upstream session is bound to (F7).
fn seal_place(id: &str, principal: &Principal) -> Vec<u8> {
    format!("session {id} of {}", principal.key()).into_bytes()
}

impl State {
    /// The session as the control plane stores it.
    pub(crate) fn row(&self, session: &Session) -> Option<SessionRow> {
        let (token, master, token_expires_at_s) = self.sessions.hashes(&session.id)?;
        let place = session.place();
        let who = &session.who;
        let bound = seal_place(&session.id, &who.principal);
        let sealed = session.upstream.seal(&self.keys.seal, &bound).ok()?;
        Some(SessionRow {
            id: session.id.clone(),
            token_hash: token.to_hex(),
            master_hash: master.to_hex(),
            sealed: BASE64.encode(sealed),
            principal: who.principal.clone(),
            groups: who.groups.clone(),
            role: who.role.clone(),
            warehouse: who.warehouse.clone(),
            database: place.database,
            schema: place.schema,
            input: who.input.clone(),
            opened_at_s: who.opened_at_s,
            expires_at_s: who.expires_at_s,
            token_expires_at_s,
            client_app: who.client_app.clone(),
            client_version: who.client_version.clone(),
            source: who.source.clone(),
            client_tag: place.client_tag,
            state: place.state,
            overlay: place.overlay,
            unknown: place.unknown,
        })
    }

    /// Take up a session of before the restart. Where it stands is asked for before its next
    /// statement, since the stored row may be a moment old.
    pub(crate) fn restore(&self, row: SessionRow) -> Option<()> {
        let bound = seal_place(&row.id, &row.principal);
        let sealed = BASE64.decode(&row.sealed).ok()?;
        let upstream = self.upstream.unseal(&self.keys.seal, &sealed, &bound).ok()?;
        let who = Who {
            principal: row.principal,
            groups: row.groups,
            role: row.role,
            warehouse: row.warehouse,
            input: row.input,
            client_app: row.client_app,
            client_version: row.client_version,
            source: row.source,
            opened_at_s: row.opened_at_s,
            expires_at_s: row.expires_at_s,
        };
        let place = Place {
            database: row.database,
            schema: row.schema,
            state: row.state,
            overlay: row.overlay,
            unknown: true,
            client_tag: row.client_tag,
        };
        let session = Session::new(row.id.clone(), who, place, upstream, true);
        self.sessions
            .restore(Restored {
                id: row.id,
                token: TokenHash::from_hex(&row.token_hash)?,
                master: TokenHash::from_hex(&row.master_hash)?,
                token_expires_at_s: row.token_expires_at_s,
                expires_at_s: row.expires_at_s,
                owner: Arc::new(session),
            })
            .ok()
    }

    /// Have a new session stored.
    pub(crate) async fn session_opened(&self, session: &Session) -> Result<(), Refusal> {
        self.store("session_opened", session).await
    }

    /// Have stored what changed about a session.
    pub(crate) async fn session_changed(&self, session: &Session) -> Result<(), Refusal> {
        self.store("session_changed", session).await
    }

    /// Have it stored that a session has ended. It is not in the table any more.
    pub(crate) async fn session_closed(&self, session: &Session, why: &str) {
        let _turn = session.storing.lock().await;
        let closed = SessionClosed { id: &session.id, why };
        let limit = self.limits.judge_limit();
        let noted: Result<Noted, Refusal> =
            self.bridge.question("session_closed", &closed, limit).await;
        if !noted.is_ok_and(|noted| noted.done) {
            tracing::warn!(session = session.id, "the end of a session was not stored");
        }
    }

    /// Have a session stored as it is now. Fails also if it ended meanwhile: what the store then had
    /// of it is gone.
    async fn store(&self, kind: &'static str, session: &Session) -> Result<(), Refusal> {
        let _turn = session.storing.lock().await;
        let row = self.row(session).ok_or_else(life::over)?;
        self.bridge.keep_session(kind, &row, self.limits.judge_limit()).await?;
        session.stored(row.state);
        if session.over().is_some() { Err(life::over()) } else { Ok(()) }
    }
}
