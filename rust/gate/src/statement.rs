//! A statement: where it is, and how it ended.
//!
//! ```text
//!   POST query-request ─┐                     ┌─ Working ──────────────┐
//!   the same, again    ─┼─ register ─► task ──┼─ Held ── go ─► Working ─┼─► Finished
//!   GET …/result       ─┘                     └────────────────────────┘
//! ```
//!
//! It lives in a task of its own: a client that goes away stops nothing. Rows are handed out once and
//! not kept.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use snowgate_session::{BodyDigest, Identity, Verdict};
use snowgate_wire::QueryRequest;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use uuid::Uuid;

use crate::{
    body::{Part, Room},
    meter::Tally,
    session::{Place, Session},
};

/// Time within which a waiter must have been seen for an approval to be consumed (F13).
const WAITER_S: u64 = 60;

/// Time after which a running read that nobody asks for is stopped: its client is gone (F13). Polls
/// come at least every 45 s and a driver's longest pause between two is 16 s.
const ORPHAN_S: u64 = 90;

/// Where a statement is.
#[derive(Clone)]
pub(crate) enum Phase {
    /// It is judged, recorded, or runs upstream.
    Working,
    /// It waits for an approval.
    Held,
    /// It came to its end.
    Finished(Arc<Finished>),
}

/// How a statement ended.
pub(crate) struct Finished {
    pub(crate) end: End,
    pub(crate) at: Instant,
}

/// What its clients get.
pub(crate) enum End {
    /// Rows, until somebody took them.
    Rows(Mutex<Option<Rows>>),
    /// A failure or denial; small, so every retry gets it.
    Failed(Failed),
}

/// Rows that wait for their client, and the room they take meanwhile.
pub(crate) struct Rows {
    body: Bytes,
    _part: Part,
}

/// A statement that gave no result.
pub(crate) struct Failed {
    pub(crate) body: Bytes,
    /// Cancelled, rather than wrong.
    pub(crate) cancelled: bool,
}

impl End {
    /// The end of a statement with a result. Rows for which no room is left are fetched again when
    /// somebody asks for them.
    pub(crate) fn rows(body: Vec<u8>, room: &Arc<Room>) -> Self {
        let part = room.take(body.len());
        Self::Rows(Mutex::new(part.map(|part| Rows { body: Bytes::from(body), _part: part })))
    }

    /// The end of a statement whose rows lie upstream.
    pub(crate) fn fetch_again() -> Self {
        Self::Rows(Mutex::new(None))
    }

    /// The end of a statement that was refused or failed.
    pub(crate) fn failed(body: Vec<u8>) -> Self {
        Self::Failed(Failed { body: Bytes::from(body), cancelled: false })
    }

    /// The end of a statement that was cancelled.
    pub(crate) fn cancelled(body: Vec<u8>) -> Self {
        Self::Failed(Failed { body: Bytes::from(body), cancelled: true })
    }

    /// What the client gets; rows only once.
    pub(crate) fn take(&self) -> Option<Bytes> {
        match self {
            Self::Rows(rows) => {
                let rows = rows.lock().unwrap_or_else(PoisonError::into_inner).take();
                rows.map(|rows| rows.body)
            }
            Self::Failed(failed) => Some(failed.body.clone()),
        }
    }
}

/// What is kept of a statement that ran, to judge and fetch its result again.
#[derive(Clone)]
pub(crate) struct Ran {
    pub(crate) upstream_query_id: String,
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) place: Place,
    /// Text and bind types; `None` if the text is too long to keep.
    pub(crate) asked: Option<Asked>,
}

/// What a verdict is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) sql: Arc<str>,
    pub(crate) bind_types: Arc<[String]>,
    pub(crate) describe_only: bool,
}

/// Longest text that is kept to judge a later fetch. The result of a longer one is voided when it is
/// fetched again under another epoch.
const KEPT_SQL_BYTES: usize = 64 * 1024;

impl Asked {
    /// What to ask about a request.
    pub(crate) fn of(request: &QueryRequest) -> Self {
        Self {
            sql: request.sql.as_str().into(),
            bind_types: request.bind_types().into_iter().map(str::to_owned).collect(),
            describe_only: request.describe_only,
        }
    }

    /// The same, if it is short enough to keep.
    pub(crate) fn kept(&self) -> Option<Self> {
        (self.sql.len() <= KEPT_SQL_BYTES).then(|| self.clone())
    }
}

/// One statement of one session.
pub(crate) struct Statement {
    pub(crate) query_id: Uuid,
    pub(crate) upstream_request_id: Uuid,
    /// Digest of text, binds, parameters and flags.
    pub(crate) digest: BodyDigest,
    pub(crate) reference: String,
    pub(crate) session: Arc<Session>,
    /// `scheme://host:port` for chunk URLs.
    pub(crate) base: String,
    pub(crate) started: Instant,
    /// What budgets have counted of it.
    pub(crate) tally: Arc<Tally>,
    /// A byte of it may have gone upstream.
    pub(crate) sent: AtomicBool,
    /// It runs, and running it twice changes nothing.
    pub(crate) read_only: AtomicBool,
    /// A held statement has a waiter, or was decided: ask again.
    pub(crate) poke: Notify,
    phase: watch::Sender<Phase>,
    cancelled: watch::Sender<Option<&'static str>>,
    waiter_s: AtomicU64,
    ran: Mutex<Option<Ran>>,
}

impl Statement {
    /// A statement in its first moment.
    pub(crate) fn new(
        ids: Identity,
        digest: BodyDigest,
        reference: String,
        session: Arc<Session>,
        base: String,
    ) -> Self {
        Self {
            query_id: ids.query_id,
            upstream_request_id: ids.upstream_request_id,
            digest,
            reference,
            session,
            base,
            started: Instant::now(),
            tally: Arc::default(),
            sent: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
            poke: Notify::new(),
            phase: watch::Sender::new(Phase::Working),
            cancelled: watch::Sender::new(None),
            waiter_s: AtomicU64::new(0),
            ran: Mutex::default(),
        }
    }

    /// Its phases from now on.
    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Where it is.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Go on to another phase. The last one stays.
    pub(crate) fn enter(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            let open = !matches!(phase, Phase::Finished(_));
            if open {
                *phase = next;
            }
            open
        });
    }

    /// Come to the end.
    pub(crate) fn finish(&self, end: End) {
        self.enter(Phase::Finished(Arc::new(Finished { end, at: Instant::now() })));
    }

    /// Somebody wants it to stop. The first reason stays.
    pub(crate) fn cancel(&self, why: &'static str) {
        self.cancelled.send_if_modified(|cancelled| {
            let first = cancelled.is_none();
            if first {
                *cancelled = Some(why);
            }
            first
        });
    }

    /// Why it shall stop, if it shall.
    pub(crate) fn cancel_reason(&self) -> Option<&'static str> {
        *self.cancelled.borrow()
    }

    /// Returns when it shall stop. Cancel-safe.
    pub(crate) async fn until_cancelled(&self) -> &'static str {
        let mut cancelled = self.cancelled.subscribe();
        match cancelled.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or("cancelled"),
            Err(_) => "cancelled",
        }
    }

    /// Returns when it has finished. Cancel-safe.
    pub(crate) async fn until_finished(&self) {
        let mut phase = self.phase.subscribe();
        let _ = phase.wait_for(|phase| matches!(phase, Phase::Finished(_))).await;
    }

    /// Whether it has finished.
    pub(crate) fn has_finished(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Finished(_))
    }

    /// Whether a client asked for it within the last minute (F13).
    pub(crate) fn has_waiter(&self) -> bool {
        self.alone_s() <= WAITER_S
    }

    /// Whether it only reads, runs, and nobody has asked for it for too long (F13).
    pub(crate) fn is_orphan(&self) -> bool {
        self.read_only.load(Ordering::Acquire) && !self.has_finished() && self.alone_s() > ORPHAN_S
    }

    /// Seconds since a client asked for it.
    fn alone_s(&self) -> u64 {
        let seen = self.waiter_s.load(Ordering::Acquire);
        self.started.elapsed().as_secs().saturating_sub(seen)
    }

    /// A client asks for it now.
    pub(crate) fn seen(&self) {
        self.waiter_s.store(self.started.elapsed().as_secs(), Ordering::Release);
    }

    /// Remember how to fetch its result again.
    pub(crate) fn keep(&self, ran: Ran) {
        *self.ran.lock().unwrap_or_else(PoisonError::into_inner) = Some(ran);
    }

    /// How to fetch its result again.
    pub(crate) fn ran(&self) -> Option<Ran> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drop rows that nobody took; they can be fetched again.
    pub(crate) fn forget_rows(&self, older_than: std::time::Duration) {
        if let Phase::Finished(finished) = self.phase()
            && matches!(finished.end, End::Rows(_))
            && finished.at.elapsed() >= older_than
        {
            drop(finished.end.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::ROOM_BYTES;

    #[test]
    fn rows_that_find_no_room_are_fetched_again() {
        let room = Arc::new(Room::default());
        let others = room.take(ROOM_BYTES - 3).unwrap();

        assert!(End::rows(vec![0; 4], &room).take().is_none());
        let kept = End::rows(vec![0; 3], &room);
        assert_eq!(room.taken(), ROOM_BYTES);
        assert_eq!(kept.take().unwrap().len(), 3);

        drop(others);
        assert_eq!(room.taken(), 0);
    }
}
