//! A panic is an error of the one who panicked, never the end of the gate.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

/// The work panicked; its message is in the log.
#[derive(Debug, thiserror::Error)]
#[error("a task failed")]
pub(crate) struct Panicked;

/// Work whose panic is its result. Not a task of its own: that would cost a wake-up and several copies
/// of the future for each request.
pub(crate) struct Caught<F>(Pin<Box<F>>);

/// See [`Caught`].
pub(crate) fn caught<F: Future>(work: F) -> Caught<F> {
    Caught(Box::pin(work))
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let work = self.0.as_mut();
        // What others share with the work is behind locks that bear a panic, and the work itself is
        // not polled again: whoever awaits it has its result.
        match catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_result() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let late = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "on purpose");
        };
        assert!(runtime.block_on(caught(late)).is_err());
        assert_eq!(runtime.block_on(caught(async { 7 })).unwrap(), 7);
    }
}
