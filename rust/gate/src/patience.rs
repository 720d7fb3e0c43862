//! Time limits of a connection, on the stream itself.
//!
//! | what | limit |
//! |---|---|
//! | a request's head, from its first byte to its last | `header_timeout_s` |
//! | the first head, from the connection's first moment | `header_timeout_s` |
//! | silence between requests | `idle_timeout_s` |
//! | a client that takes no bytes of its answer | `idle_timeout_s` |
//!
//! The server's own limit of heads counts the silence before them too, so it would close the
//! connections that drivers keep.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Whether a request is being handled; while one is, the client may be silent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Busy(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    handling: AtomicBool,
    /// Beginnings and ends so far.
    changes: AtomicU64,
}

impl Busy {
    /// A request is being handled until the guard is dropped.
    pub(crate) fn begin(&self) -> BusyGuard {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
        self.0.handling.store(true, Ordering::Release);
        BusyGuard(self.clone())
    }

    fn is(&self) -> bool {
        self.0.handling.load(Ordering::Acquire)
    }
}

/// See [`Busy::begin`].
pub(crate) struct BusyGuard(Busy);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        let requests = &self.0.0;
        requests.handling.store(false, Ordering::Release);
        requests.changes.fetch_add(1, Ordering::AcqRel);
    }
}

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
}

/// A stream that fails once its client has been silent for too long.
pub(crate) struct Patient<S> {
    inner: S,
    patience: Patience,
    busy: Busy,
    /// Last byte in either direction.
    active: Instant,
    /// Beginning of a head that is not complete.
    head: Option<Instant>,
    /// Beginnings and ends of requests that were seen.
    changes: u64,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(crate) fn new(inner: S, patience: Patience, busy: Busy) -> Self {
        let active = Instant::now();
        Self {
            inner,
            patience,
            busy,
            active,
            // Who connects and says nothing has no more time than who says it slowly.
            head: Some(active),
            changes: 0,
            read_timer: Box::pin(sleep_until(active + patience.head)),
            write_timer: None,
        }
    }

    /// Whether the client was silent for too long; wakes the task when that may be.
    fn read_is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let changes = self.busy.0.changes.load(Ordering::Acquire);
        if changes != self.changes {
            // The head was complete, and the time the handler took was not the client's silence.
            self.changes = changes;
            self.head = None;
            self.active = Instant::now();
        }
        if self.busy.is() {
            // Looked at again when the handler is done: it wakes the connection.
            return false;
        }
        let deadline = match self.head {
            Some(first) => first + self.patience.head,
            None => self.active + self.patience.idle,
        };
        // A timer that goes off too early is set again; moving it with every request costs more.
        if self.read_timer.deadline() > deadline {
            self.read_timer.as_mut().reset(deadline);
        }
        while self.read_timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.read_timer.as_mut().reset(deadline);
        }
        false
    }

    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write_timer = None;
            self.active = Instant::now();
            return result;
        }
        let limit = self.patience.idle;
        let timer =
            self.write_timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                let now = Instant::now();
                this.active = now;
                if buffer.filled().len() > before && !this.busy.is() {
                    this.head.get_or_insert(now);
                }
                Poll::Ready(result)
            }
            Poll::Pending if this.read_is_late(cx) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.wrote(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_flush(cx) {
            // Nothing was written: silence is measured on reads.
            ready @ Poll::Ready(_) => ready,
            Poll::Pending => this.wrote(cx, Poll::Pending),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Patience =
        Patience { head: Duration::from_millis(40), idle: Duration::from_millis(120) };

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
    }

    #[test]
    fn silence_ends_the_connection_and_sooner_before_the_first_request() {
        run(async {
            for (served, limit) in [(false, SHORT.head), (true, SHORT.idle)] {
                let (_client, server) = duplex(64);
                let busy = Busy::default();
                let mut server = Patient::new(server, SHORT, busy.clone());
                if served {
                    drop(busy.begin());
                }
                let started = Instant::now();
                let error = server.read_u8().await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                assert!(started.elapsed() >= limit);
                assert_eq!(started.elapsed() < SHORT.idle, !served);
            }
        });
    }

    #[test]
    fn a_dribbled_head_ends_sooner_however_busy_it_looks() {
        run(async {
            let (mut client, server) = duplex(64);
            let mut server = Patient::new(server, SHORT, Busy::default());
            let dribble = tokio::spawn(async move {
                while client.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
            });
            let started = Instant::now();
            let mut sink = [0; 1];
            while server.read(&mut sink).await.is_ok() {}
            assert!(started.elapsed() < SHORT.idle);
            drop(server);
            dribble.await.unwrap();
        });
    }

    #[test]
    fn while_a_request_is_handled_the_client_may_be_silent() {
        run(async {
            let (mut client, server) = duplex(64);
            let busy = Busy::default();
            let mut server = Patient::new(server, SHORT, busy.clone());
            let guard = busy.begin();
            let limit = SHORT.idle * 2;
            assert!(tokio::time::timeout(limit, server.read_u8()).await.is_err());
            drop(guard);
            assert!(tokio::time::timeout(SHORT.head, server.read_u8()).await.is_err());
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'x');
        });
    }

    #[test]
    fn a_client_that_takes_nothing_ends_the_connection() {
        run(async {
            let (_client, server) = duplex(16);
            let mut server = Patient::new(server, SHORT, Busy::default());
            let error = server.write_all(&[0; 64]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }
}
