//! Idle connections, one pool a session.
//!
//! A connection is taken out, used for one request, and put back when the answer was read to its end.
//! A request that failed, timed out or was dropped takes its connection with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{io::AsyncRead, io::AsyncWrite, net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;

use crate::UpstreamError;

/// Below the 60 s after which usual load balancers close a silent connection.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// Drivers fetch four to ten chunks at once.
const IDLE_PER_TARGET: usize = 8;

pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// Where a connection leads.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    /// The value of the Host header; default ports are left out (RFC 9110, section 7.2).
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// Opens connections.
pub(crate) struct Connector {
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) limit: Duration,
}

impl Connector {
    /// A fresh connection; nothing is sent on it beyond the TLS handshake.
    pub(crate) async fn connect(&self, target: &Target) -> Result<Sender, UpstreamError> {
        tokio::time::timeout(self.limit, self.open(target))
            .await
            .map_err(|_| unreachable("no connection in time"))?
    }

    async fn open(&self, target: &Target) -> Result<Sender, UpstreamError> {
        let host = target.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, target.port))
            .await
            .map_err(|error| unreachable(&error.kind().to_string()))?;
        // One small request at a time: waiting for more to send only adds delay.
        stream.set_nodelay(true).map_err(|error| unreachable(&error.kind().to_string()))?;
        if !target.tls {
            return handshake(stream).await;
        }
        let tls = self.tls.as_ref().ok_or_else(|| unreachable("TLS is switched off"))?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| unreachable("the host is no valid server name"))?;
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| unreachable(&format!("TLS: {error}")))?;
        handshake(stream).await
    }
}

async fn handshake<T>(stream: T) -> Result<Sender, UpstreamError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| unreachable("HTTP handshake"))?;
    // Ends with the sender or the peer; its errors reach whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
}

fn unreachable(reason: &str) -> UpstreamError {
    UpstreamError::Unreachable { reason: reason.to_owned() }
}

struct Idle {
    sender: Sender,
    since: Instant,
}

#[derive(Default)]
struct State {
    idle: HashMap<Target, Vec<Idle>>,
    reaping: bool,
}

/// The idle connections of one session.
#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and a list of connections cannot be half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle connection that looks alive, the youngest first.
    pub(crate) async fn take(&self, target: &Target) -> Option<Sender> {
        loop {
            let mut idle = self.state().idle.get_mut(target)?.pop()?;
            let young = idle.since.elapsed() < IDLE_LIMIT;
            if young && !idle.sender.is_closed() && idle.sender.ready().await.is_ok() {
                return Some(idle.sender);
            }
        }
    }

    /// Put a connection back whose last answer was read to its end.
    pub(crate) fn put(self: &Arc<Self>, target: &Target, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut state = self.state();
        let idle = state.idle.entry(target.clone()).or_default();
        if idle.len() < IDLE_PER_TARGET {
            idle.push(Idle { sender, since: Instant::now() });
        }
        if !state.reaping {
            state.reaping = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Close all idle connections.
    pub(crate) fn clear(&self) {
        self.state().idle.clear();
    }

    /// Close what has been idle too long; whether something is left.
    fn reap(&self) -> bool {
        let mut state = self.state();
        for idle in state.idle.values_mut() {
            idle.retain(|idle| idle.since.elapsed() < IDLE_LIMIT && !idle.sender.is_closed());
        }
        state.idle.retain(|_, idle| !idle.is_empty());
        state.reaping = !state.idle.is_empty();
        state.reaping
    }
}

/// Runs while a pool holds idle connections, and ends with it.
async fn reap(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE_LIMIT / 5).await;
        match pool.upgrade() {
            Some(pool) if pool.reap() => {}
            _ => return,
        }
    }
}
