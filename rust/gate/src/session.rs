//! One client session: who it is, where it stands, and what waits for what.
//!
//! # Rules
//!
//! - One upstream session for each client session; a lost one ends the client's, and there is no
//!   silent re-login (F10).
//! - A statement that may change the session's state is a barrier (F9): it holds the lock for
//!   writing, others for reading. The lock is fair, so a barrier waits for those before it and holds
//!   back those after it.
//! - Where unqualified names resolve is known from the login and from upstream's replies. After a
//!   barrier without a reply it is unknown until it is asked for.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use snowgate_session::{KeyParts, Principal, VerdictKeys, parts_digest};
use tokio::sync::{RwLock, watch};

use crate::ask::Actor;

/// Seconds since 1970, as every room writes times.
pub(crate) fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A role as Snowflake stores it: upper-case, unless it is quoted.
pub(crate) fn stored_name(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_uppercase(),
    }
}

/// Who a session belongs to; fixed at login.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) principal: Principal,
    pub(crate) groups: Vec<String>,
    /// The one role the session may have.
    pub(crate) role: String,
    pub(crate) warehouse: Option<String>,
    /// Digest of the identity's policy input (F4).
    pub(crate) input: String,
    pub(crate) client_app: String,
    pub(crate) client_version: String,
    pub(crate) source: String,
    pub(crate) opened_at_s: f64,
    pub(crate) expires_at_s: f64,
}

/// Where a session stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) database: String,
    pub(crate) schema: String,
    /// Barriers that ran: the context an approval is bound to (F13).
    pub(crate) state: u64,
    /// Barriers that may have changed how names resolve; statements before and after share no
    /// verdicts (F4).
    pub(crate) overlay: u64,
    /// A barrier ended without a reply: database and schema must be asked for (F9).
    pub(crate) unknown: bool,
    /// Tag the client set, at login or by a statement; it fills a part of ours (F24).
    pub(crate) client_tag: Option<String>,
}

/// One client session.
pub(crate) struct Session {
    pub(crate) id: String,
    /// The number drivers want.
    pub(crate) number: i64,
    pub(crate) who: Who,
    pub(crate) upstream: snowgate_upstream::Session,
    /// Barriers hold it for writing, other statements for reading.
    pub(crate) order: Arc<RwLock<()>>,
    /// When upstream last heard of it; held while it is being told.
    pub(crate) heartbeat: Arc<tokio::sync::Mutex<Option<Instant>>>,
    /// Held while the control plane is told of the session.
    pub(crate) storing: tokio::sync::Mutex<()>,
    place: Mutex<Place>,
    ended: watch::Sender<Option<&'static str>>,
    /// Renewals of the upstream tokens that the store knows of.
    stored_generation: AtomicU64,
    /// [`Place::state`] as the store knows it.
    stored_state: AtomicU64,
    /// Statements that wait for an approval.
    held: AtomicUsize,
    /// Results that were not as predicted.
    surprises: AtomicUsize,
    /// Its control-plane row was stored by a run before this one: held statements may be there.
    pub(crate) restored: bool,
}

/// A statement of the session waits for an approval.
pub(crate) struct HeldGuard(Arc<Session>);

impl Drop for HeldGuard {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Alerts of one session about results that were not as predicted.
const SURPRISES: usize = 10;

/// Numbers for drivers; they only have to be unlike within one gateway's life.
static NEXT_NUMBER: AtomicI64 = AtomicI64::new(1);

impl Session {
    /// A session in its first moment.
    pub(crate) fn new(
        id: String,
        who: Who,
        place: Place,
        upstream: snowgate_upstream::Session,
        restored: bool,
    ) -> Self {
        let stored_generation = AtomicU64::new(upstream.generation());
        let stored_state = AtomicU64::new(place.state);
        Self {
            id,
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            who,
            upstream,
            order: Arc::default(),
            heartbeat: Arc::default(),
            storing: tokio::sync::Mutex::default(),
            place: Mutex::new(place),
            ended: watch::Sender::new(None),
            stored_generation,
            stored_state,
            held: AtomicUsize::new(0),
            surprises: AtomicUsize::new(0),
            restored,
        }
    }

    /// Note that a result was not as predicted; whether to tell anybody. A client that makes such
    /// results on purpose would otherwise fill the ledger with alerts, and hide another's.
    pub(crate) fn surprises(&self) -> bool {
        self.surprises.fetch_add(1, Ordering::Relaxed) < SURPRISES
    }

    /// Where it stands now.
    pub(crate) fn place(&self) -> Place {
        self.lock().clone()
    }

    /// Change where it stands.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Place)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// End it: running statements and streams see it at their next check.
    pub(crate) fn end(&self, why: &'static str) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(why);
            }
            first
        });
    }

    /// Why it has ended, if it has: killed, closed, or too old.
    pub(crate) fn over(&self) -> Option<&'static str> {
        let ended = *self.ended.borrow();
        ended.or_else(|| (now_s() >= self.who.expires_at_s).then_some("expired"))
    }

    /// Returns when the session is ended. Cancel-safe.
    pub(crate) async fn until_over(&self) -> &'static str {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or("ended"),
            Err(_) => "ended",
        }
    }

    /// Whether the upstream tokens were renewed since this was last asked: the stored, sealed copy is
    /// out of date then.
    pub(crate) fn upstream_renewed(&self) -> bool {
        let generation = self.upstream.generation();
        self.stored_generation.swap(generation, Ordering::AcqRel) != generation
    }

    /// Count a statement that waits for an approval, until the guard is dropped.
    pub(crate) fn hold(self: &Arc<Self>) -> HeldGuard {
        self.held.fetch_add(1, Ordering::AcqRel);
        HeldGuard(Arc::clone(self))
    }

    /// Whether any statement waits for an approval.
    pub(crate) fn holds(&self) -> bool {
        self.held.load(Ordering::Acquire) > 0
    }

    /// The store knows of this many barriers now.
    pub(crate) fn stored(&self, state: u64) {
        self.stored_state.store(state, Ordering::Release);
    }

    /// Whether barriers ran that the store does not know of.
    pub(crate) fn is_ahead_of_store(&self) -> bool {
        self.stored_state.load(Ordering::Acquire) != self.lock().state
    }

    /// Who acts, for questions.
    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor {
            id: &self.id,
            principal: &self.who.principal,
            groups: &self.who.groups,
            role: &self.who.role,
            client_app: &self.who.client_app,
            source: &self.who.source,
            input: &self.who.input,
        }
    }

    /// Keys of the verdicts on texts (F4).
    pub(crate) fn verdict_keys(
        &self,
        place: &Place,
        epoch: u64,
        describe_only: bool,
    ) -> VerdictKeys {
        VerdictKeys::new(&KeyParts {
            epoch,
            input: &self.who.input,
            principal: &self.who.principal.key(),
            groups: &self.who.groups,
            role: &self.who.role,
            client_app: &self.who.client_app,
            source: &self.who.source,
            database: &place.database,
            schema: &place.schema,
            overlay: (place.overlay > 0).then_some((self.id.as_str(), place.overlay)),
            describe_only,
        })
    }

    /// Digest of the context a held statement was asked in: session, role, namespace, and how often
    /// the session's state may have changed (F13). Secondary roles are always none.
    pub(crate) fn context_digest(&self, place: &Place) -> String {
        hex::encode(parts_digest(&[
            self.id.as_bytes(),
            self.who.role.as_bytes(),
            place.database.as_bytes(),
            place.schema.as_bytes(),
            &place.state.to_be_bytes(),
        ]))
    }
}
