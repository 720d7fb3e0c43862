//! Request bodies: read within limits of size, time, and memory in all.
//!
//! # Rules
//!
//! - Before a login nobody makes the gate keep more than [`SMALL_BYTES`], nor for longer than it waits
//!   for a head.
//! - Of large bodies only [`LARGE_AT_ONCE`] are read at a time, and few of one identity; the others
//!   wait their turn.
//! - What statements under way keep of their requests, and what results that nobody has taken yet keep,
//!   is bounded in all ([`Room`]).

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use snowgate_wire::{WireError, decode_body};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::{reply::Refusal, routes::Call, state::State};

/// Bodies of logins, renewals, cancels. The longest is a login with its client environment.
const SMALL_BYTES: usize = 256 * 1024;

/// Bodies above [`SMALL_BYTES`] that are read at once.
const LARGE_AT_ONCE: usize = 16;

/// Those of them that may be of one identity: who sends slowly does not hold up all others.
const LARGE_OF_ONE: usize = 4;

/// Bytes that the texts and binds of all statements under way may take together, and again the results
/// that wait for their clients.
pub(crate) const ROOM_BYTES: usize = 512 * 1024 * 1024;

/// How much of a body is of interest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Size {
    /// Nothing: it is read so that the client hears the answer, and forgotten piece by piece.
    Discard,
    /// A small one.
    Small,
    /// Up to the configured limit.
    Large,
}

/// The body in clear.
pub(crate) async fn read(
    state: &State,
    call: &Call,
    body: Incoming,
    size: Size,
) -> Result<Bytes, Refusal> {
    let limits = &state.limits;
    let time_s = match size {
        Size::Small => limits.header_timeout_s.min(limits.idle_timeout_s),
        Size::Discard | Size::Large => limits.idle_timeout_s,
    };
    let whole = async {
        match size {
            Size::Discard => discard(body, state.limits.body_bytes).await,
            Size::Small => keep(call, body, SMALL_BYTES.min(state.limits.body_bytes)).await,
            Size::Large => {
                let small = body.size_hint().upper().is_some_and(|upper| {
                    usize::try_from(upper).is_ok_and(|upper| upper <= SMALL_BYTES)
                });
                let turn = if small { None } else { turn(state, call).await };
                let body = keep(call, body, state.limits.body_bytes).await;
                drop(turn);
                body
            }
        }
    };
    let late = || Refusal::denied("request-time", "the request came too slowly", "");
    tokio::time::timeout(Duration::from_secs(time_s), whole).await.map_err(|_| late())?
}

async fn turn<'a>(state: &'a State, call: &Call) -> Option<Turn<'a>> {
    let session = state.session(call).ok()?;
    state.large_bodies.take(session.who.principal.key()).await
}

async fn discard(mut body: Incoming, limit_bytes: usize) -> Result<Bytes, Refusal> {
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ended_early())?;
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > limit_bytes {
            return Err(too_large(limit_bytes));
        }
    }
    Ok(Bytes::new())
}

async fn keep(call: &Call, body: Incoming, limit_bytes: usize) -> Result<Bytes, Refusal> {
    let raw = match Limited::new(body, limit_bytes).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(too_large(limit_bytes)),
        Err(_) => return Err(ended_early()),
    };
    match decode_body(call.header("content-encoding"), &raw, limit_bytes) {
        Ok(Cow::Borrowed(_)) => Ok(raw.clone()),
        Ok(Cow::Owned(clear)) => Ok(Bytes::from(clear)),
        Err(WireError::TooLarge { .. }) => Err(too_large(limit_bytes)),
        Err(error) => Err(Refusal::denied("request-body", error.to_string(), "")),
    }
}

fn ended_early() -> Refusal {
    Refusal::denied("request-body", "the request ended early", "")
}

fn too_large(limit_bytes: usize) -> Refusal {
    Refusal::denied(
        "request-size",
        format!("the request is larger than {limit_bytes} bytes"),
        "send less: bind values in smaller batches, or split the statement",
    )
}

/// Turns of those who send large bodies.
pub(crate) struct Turns {
    all: Semaphore,
    /// By identity, as long as it has or waits for a turn.
    own: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A turn, until it is dropped.
pub(crate) struct Turn<'a> {
    _own: OwnedSemaphorePermit,
    _all: SemaphorePermit<'a>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Semaphore::new(LARGE_AT_ONCE), own: Mutex::default() }
    }
}

impl Turns {
    async fn take(&self, identity: String) -> Option<Turn<'_>> {
        let own = {
            let mut all = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, own| {
                Arc::strong_count(own) > 1 || own.available_permits() < LARGE_OF_ONE
            });
            let own = all.entry(identity).or_insert_with(|| Arc::new(Semaphore::new(LARGE_OF_ONE)));
            Arc::clone(own)
        };
        // Its own first: who waits for that takes no turn of others.
        let own = own.acquire_owned().await.ok()?;
        Some(Turn { _own: own, _all: self.all.acquire().await.ok()? })
    }
}

/// Memory that many share.
#[derive(Debug, Default)]
pub(crate) struct Room(AtomicUsize);

/// A part of the room; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Part {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    /// Take a part of the room, if it is left.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Part> {
        let before = self.0.fetch_add(bytes, Ordering::AcqRel);
        let part = Part { room: Arc::clone(self), bytes };
        (before.saturating_add(bytes) <= ROOM_BYTES).then_some(part)
    }

    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_bounded_and_given_back() {
        let room = Arc::new(Room::default());
        let most = room.take(ROOM_BYTES - 10).unwrap();
        assert!(room.take(11).is_none());
        assert!(room.take(10).is_some());

        drop(most);

        assert_eq!(room.taken(), 0);
        assert!(room.take(ROOM_BYTES).is_some());
    }
}
