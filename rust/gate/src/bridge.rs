//! Questions from the gate to the control plane, and the answers back.
//!
//! ```text
//!   gate task ── ask ──► queue ── wake fd ──► control plane: take(max) … answer(batch)
//!        ▲                                                          │
//!        └───────────────── oneshot per question ◄──────────────────┘
//! ```
//!
//! # Rules
//!
//! - The queue and the map of pending questions are bounded: a full bridge refuses, it never grows.
//! - A question whose asker is gone is dropped on both sides: removed here if not yet taken, else the
//!   control plane is told by a [`CANCEL`] notice.
//! - No answer within the asker's limit is an error, and the gate denies on every error (fail closed).
//! - This module knows no Python: `core` wraps it. The wake-up is one readable file descriptor, since
//!   that is what any event loop can wait for (`performance.md`, variants A and B).

use std::{
    collections::{HashMap, VecDeque},
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

/// Kind of the notice that says a taken question needs no answer any more; its payload is the id as
/// eight little-endian bytes.
pub const CANCEL: &str = "cancel";

/// Questions that may wait or be under way at once. Beyond it the gate answers that it is busy: at a
/// thousand statements a second this is more than ten seconds of arrears.
pub const DEFAULT_CAPACITY: usize = 16_384;

/// One question, as the control plane takes it.
#[derive(Debug)]
pub struct Question {
    /// Number to answer with; 0 for a notice, which takes no answer.
    pub id: u64,
    /// What is asked: `login`, `judge`, …
    pub kind: &'static str,
    /// JSON, except for [`CANCEL`].
    pub payload: Vec<u8>,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Too many questions wait already.
    #[error("the control plane has too many questions waiting")]
    Busy,
    /// No answer came in time.
    #[error("the control plane did not answer in time")]
    Late,
    /// The control plane is gone.
    #[error("the control plane has stopped")]
    Stopped,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Question>,
    pending: HashMap<u64, oneshot::Sender<Vec<u8>>>,
    stopped: bool,
}

/// The bridge itself; shared by the gate and the control plane.
pub struct Bridge {
    state: Mutex<State>,
    next_id: AtomicU64,
    capacity: usize,
    wake_read: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    wake_write: OwnedFd,
}

impl Bridge {
    /// A bridge for at most `capacity` open questions.
    pub fn new(capacity: usize) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let wake_read = {
            use rustix::event::{EventfdFlags, eventfd};
            eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?
        };
        #[cfg(not(target_os = "linux"))]
        let (wake_read, wake_write) = {
            let (read, write) = rustix::pipe::pipe()?;
            for fd in [&read, &write] {
                rustix::io::ioctl_fionbio(fd, true)?;
                rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
            }
            (read, write)
        };
        Ok(Self {
            state: Mutex::default(),
            next_id: AtomicU64::new(1),
            capacity,
            wake_read,
            #[cfg(not(target_os = "linux"))]
            wake_write,
        })
    }

    /// The descriptor that is readable while questions wait. It stays owned by the bridge.
    pub fn wake_fd(&self) -> RawFd {
        self.wake_read.as_raw_fd()
    }

    /// Ask, and wait at most `limit` for the answer.
    ///
    /// Cancel-safe: dropping the future drops the question on both sides.
    pub async fn ask(
        &self,
        kind: &'static str,
        payload: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, AskError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.stopped {
                return Err(AskError::Stopped);
            }
            if state.pending.len() >= self.capacity {
                return Err(AskError::Busy);
            }
            state.pending.insert(id, sender);
            self.push(&mut state, Question { id, kind, payload });
        }
        let guard = Withdraw { bridge: self, id };
        let answer = tokio::time::timeout(limit, receiver).await;
        drop(guard);
        match answer {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(AskError::Stopped),
            Err(_) => Err(AskError::Late),
        }
    }

    /// Tell the control plane something that takes no answer. Dropped when the bridge is full or
    /// stopped: a notice carries nothing that safety needs.
    pub fn tell(&self, kind: &'static str, payload: Vec<u8>) {
        let mut state = self.lock();
        if !state.stopped && state.queue.len() < self.capacity {
            self.push(&mut state, Question { id: 0, kind, payload });
        }
    }

    /// Take at most `max` waiting questions, oldest first. The descriptor stays readable while more wait.
    pub fn take(&self, max: usize) -> Vec<Question> {
        let mut state = self.lock();
        self.clear_wake();
        let count = state.queue.len().min(max);
        let taken = state.queue.drain(..count).collect();
        if !state.queue.is_empty() {
            self.wake();
        }
        taken
    }

    /// Answer a batch. Answers to unknown or withdrawn questions are dropped.
    pub fn answer(&self, answers: impl IntoIterator<Item = (u64, Vec<u8>)>) {
        let mut state = self.lock();
        for (id, bytes) in answers {
            if let Some(sender) = state.pending.remove(&id) {
                // The asker may have gone between its time limit and its guard: nothing to do then.
                let _ = sender.send(bytes);
            }
        }
    }

    /// Refuse everything from now on, and wake every asker with [`AskError::Stopped`].
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.queue.clear();
        state.pending.clear();
        self.wake();
    }

    /// Questions that wait for an answer.
    pub fn open_questions(&self) -> usize {
        self.lock().pending.len()
    }

    fn push(&self, state: &mut State, question: Question) {
        let was_empty = state.queue.is_empty();
        state.queue.push_back(question);
        if was_empty {
            self.wake();
        }
    }

    fn withdraw(&self, id: u64) {
        let mut state = self.lock();
        if state.pending.remove(&id).is_none() {
            return;
        }
        if let Some(at) = state.queue.iter().position(|question| question.id == id) {
            state.queue.remove(at);
        } else if !state.stopped {
            let notice = Question { id: 0, kind: CANCEL, payload: id.to_le_bytes().to_vec() };
            self.push(&mut state, notice);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding the lock leaves the queue usable: every step keeps it consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(target_os = "linux")]
    fn wake(&self) {
        // A counter that is already at its limit is readable, which is all that is wanted.
        let _ = rustix::io::write(self.wake_read.as_fd(), &1_u64.to_ne_bytes());
    }

    #[cfg(not(target_os = "linux"))]
    fn wake(&self) {
        let _ = rustix::io::write(self.wake_write.as_fd(), &[1]);
    }

    fn clear_wake(&self) {
        let mut buffer = [0_u8; 64];
        while rustix::io::read(self.wake_read.as_fd(), &mut buffer).is_ok_and(|count| count == 64) {
        }
    }
}

/// Removes a question when its asker ends, whichever way it ends.
struct Withdraw<'a> {
    bridge: &'a Bridge,
    id: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.bridge.withdraw(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn readable(bridge: &Bridge) -> bool {
        use rustix::event::{PollFd, PollFlags, poll};
        let fd = bridge.wake_read.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(&mut fds, Some(&rustix::event::Timespec::default())).unwrap() == 1
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
    }

    fn take_one(bridge: &Bridge) -> Question {
        loop {
            if let Some(question) = bridge.take(1).pop() {
                return question;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_answer_reaches_its_asker() {
        let bridge = Arc::new(Bridge::new(8).unwrap());
        let asker = Arc::clone(&bridge);
        let runtime = runtime();
        let task = runtime
            .spawn(async move { asker.ask("judge", b"q".to_vec(), Duration::from_secs(5)).await });

        let question = take_one(&bridge);
        assert_eq!((question.kind, question.payload.as_slice()), ("judge", b"q".as_slice()));
        bridge.answer([(question.id, b"a".to_vec())]);

        assert_eq!(runtime.block_on(task).unwrap(), Ok(b"a".to_vec()));
        assert_eq!(bridge.open_questions(), 0);
    }

    #[test]
    fn silence_is_an_error_and_the_question_is_dropped_on_both_sides() {
        let bridge = Bridge::new(8).unwrap();
        let answer = runtime().block_on(bridge.ask("judge", Vec::new(), Duration::from_millis(1)));
        assert_eq!(answer, Err(AskError::Late));
        assert_eq!(bridge.open_questions(), 0);
        assert!(bridge.take(8).is_empty());
    }

    #[test]
    fn a_question_taken_and_then_abandoned_is_cancelled() {
        let bridge = Arc::new(Bridge::new(8).unwrap());
        let asker = Arc::clone(&bridge);
        let runtime = runtime();
        let task = runtime
            .spawn(async move { asker.ask("judge", Vec::new(), Duration::from_mins(1)).await });
        let question = take_one(&bridge);

        task.abort();
        let notice = take_one(&bridge);

        assert_eq!(notice.kind, CANCEL);
        assert_eq!(notice.payload, question.id.to_le_bytes());
        bridge.answer([(question.id, Vec::new())]);
    }

    #[test]
    fn a_full_bridge_refuses() {
        let bridge = Arc::new(Bridge::new(1).unwrap());
        let asker = Arc::clone(&bridge);
        let runtime = runtime();
        let _first = runtime
            .spawn(async move { asker.ask("judge", Vec::new(), Duration::from_mins(1)).await });
        let _taken = take_one(&bridge);

        let second = runtime.block_on(bridge.ask("judge", Vec::new(), Duration::from_secs(1)));

        assert_eq!(second, Err(AskError::Busy));
    }

    #[test]
    fn the_descriptor_is_readable_while_questions_wait() {
        let bridge = Bridge::new(8).unwrap();
        assert!(!readable(&bridge));
        bridge.tell("note", Vec::new());
        bridge.tell("note", Vec::new());
        assert!(readable(&bridge));
        assert_eq!(bridge.take(1).len(), 1);
        assert!(readable(&bridge));
        assert_eq!(bridge.take(1).len(), 1);
        assert!(!readable(&bridge));
    }

    #[test]
    fn a_stopped_bridge_answers_nobody() {
        let bridge = Bridge::new(8).unwrap();
        bridge.stop();
        let answer = runtime().block_on(bridge.ask("judge", Vec::new(), Duration::from_secs(1)));
        assert_eq!(answer, Err(AskError::Stopped));
    }
}
