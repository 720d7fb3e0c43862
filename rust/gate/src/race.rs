//! Two futures, the first result wins.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// Which of two futures was first.
#[derive(Debug)]
pub(crate) enum First<A, B> {
    /// The first argument.
    One(A),
    /// The second argument.
    Other(B),
}

/// Wait for either; the loser is dropped. If both are ready the first argument wins.
///
/// Cancel-safe if both futures are.
pub(crate) async fn race<A: Future, B: Future>(a: A, b: B) -> First<A::Output, B::Output> {
    let mut a = pin!(a);
    let mut b = pin!(b);
    poll_fn(|cx| {
        if let Poll::Ready(result) = a.as_mut().poll(cx) {
            return Poll::Ready(First::One(result));
        }
        b.as_mut().poll(cx).map(First::Other)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn the_one_that_is_ready_wins() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert!(matches!(race(ready(1), pending::<()>()).await, First::One(1)));
            assert!(matches!(race(pending::<()>(), ready(2)).await, First::Other(2)));
            assert!(matches!(race(ready(1), ready(2)).await, First::One(1)));
        });
    }
}
