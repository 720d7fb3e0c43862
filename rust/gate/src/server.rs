//! The listener: accepts connections, speaks HTTP/1.1, drains.
//!
//! # Rules
//!
//! - Connections, heads, bodies and their times are bounded (`Limits`, [`crate::patience`]).
//! - A request with both Transfer-Encoding and Content-Length is framed by the former and its
//!   connection closes: hyper does so, and nothing behind us re-uses the framing.
//! - A panic in a handler is an answer by rule `internal`, never a lost gate.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    caught::caught,
    patience::{Busy, Patience, Patient},
    race::{First, race},
    reply::{Refusal, Served, reference},
    routes,
    state::State,
};

/// Headers a request may carry; drivers send about fifteen.
const MAX_HEADERS: usize = 100;

/// Pause after a failed accept: the process is out of descriptors, and hurrying does not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listener and what it needs.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    pub(crate) acceptor: Option<TlsAcceptor>,
    pub(crate) state: Arc<State>,
    pub(crate) open: Arc<AtomicUsize>,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) encrypted: bool,
}

impl Server {
    /// Serve until `stop` holds a grace period; then let what runs end within it.
    pub(crate) async fn run(self, mut stop: watch::Receiver<Option<Duration>>) {
        let room = Arc::new(Semaphore::new(self.state.limits.connections));
        let graceful = GracefulShutdown::new();
        let grace = loop {
            let next = async {
                let permit = Arc::clone(&room).acquire_owned().await.ok()?;
                Some((permit, self.listener.accept().await))
            };
            let stopped =
                async { stop.wait_for(Option::is_some).await.ok().and_then(|grace| *grace) };
            match race(stopped, next).await {
                First::One(grace) => break grace.unwrap_or_default(),
                First::Other(None) => break Duration::ZERO,
                First::Other(Some((permit, Ok((stream, address))))) => {
                    self.connection(stream, address, permit, &graceful);
                }
                First::Other(Some((_, Err(error)))) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        drop(self.listener);
        if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("connections were still open when the grace period ended");
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        permit: OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
    ) {
        // Answers are written whole; waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&self.state);
        let peer = Peer { address, encrypted: self.acceptor.is_some() };
        let acceptor = self.acceptor.clone();
        let watcher = graceful.watcher();
        let open = Arc::clone(&self.open);
        tokio::spawn(async move {
            open.fetch_add(1, Ordering::Relaxed);
            match acceptor {
                None => serve(stream, peer, state, watcher).await,
                Some(acceptor) => {
                    let limit = Duration::from_secs(state.limits.header_timeout_s);
                    match tokio::time::timeout(limit, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => serve(stream, peer, state, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("TLS handshake took too long"),
                    }
                }
            }
            open.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }
}

async fn serve<Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: Stream,
    peer: Peer,
    state: Arc<State>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let limits = &state.limits;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        // hyper's own minimum is 8 KiB.
        .max_buf_size(limits.header_bytes.max(8192));
    let patience = Patience {
        head: Duration::from_secs(limits.header_timeout_s),
        idle: Duration::from_secs(limits.idle_timeout_s),
    };
    let busy = Busy::default();
    let stream = Patient::new(stream, patience, busy.clone());
    let service = service_fn({
        let state = Arc::clone(&state);
        move |request| {
            let guard = busy.begin();
            let served = handle(request, peer, Arc::clone(&state));
            async move {
                let reply = served.await;
                drop(guard);
                reply
            }
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// One request. It is stopped when the client goes; whatever must not stop runs in tasks of its own.
async fn handle(request: Request<Incoming>, peer: Peer, state: Arc<State>) -> Served {
    let answer = caught(async move { routes::answer(request, peer, &state).await });
    Ok(answer.await.unwrap_or_else(|error| {
        let reference = reference();
        tracing::error!(reference, %error, "a request");
        Refusal::internal().render(&reference, None)
    }))
}
