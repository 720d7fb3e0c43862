//! Chunks of results, from cloud storage.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use snowgate_wire::Secret;

use crate::{
    Protocol, Session, UpstreamError,
    exchange::{Call, send},
    pool::{Pool, Sender, Target},
};

/// Headers that storage may be sent: those of the three clouds. A reply that names another one (Host,
/// Authorization, Cookie) is not believed.
const HEADER_PREFIXES: [&str; 3] = ["x-amz-", "x-goog-", "x-ms-"];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What the bytes of a chunk are, as their first bytes show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// The chunk itself.
    Identity,
    /// The chunk in gzip, whatever the header says.
    Gzip,
}

/// The answer of storage. When the status is not 200 there is no body: what storage says about a
/// failure is not for clients.
pub struct ChunkReply {
    /// HTTP status. 403 usually means that the URL has expired.
    pub status: u16,
    /// How the body is encoded.
    pub encoding: Encoding,
    /// Bytes of the body as stored, if announced.
    pub length_bytes: Option<u64>,
    body: Option<Body>,
}

struct Body {
    first: Option<Bytes>,
    incoming: Incoming,
    left_bytes: u64,
    limit_bytes: u64,
    silence: Duration,
    pool: Arc<Pool>,
    target: Target,
    sender: Sender,
}

impl ChunkReply {
    /// The next piece of the body; none at its end. After an error there is nothing more.
    ///
    /// Cancel-safe. Dropping the reply before the end closes its connection.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        let body = self.body.as_mut()?;
        if let Some(first) = body.first.take() {
            return Some(Ok(first));
        }
        match body.read().await {
            Ok(Some(data)) => Some(Ok(data)),
            Ok(None) => {
                let body = self.body.take()?;
                body.pool.put(&body.target, body.sender);
                None
            }
            Err(error) => {
                self.body = None;
                Some(Err(error))
            }
        }
    }
}

impl Body {
    /// Enough to tell gzip from the rest.
    async fn start(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let Some(first) = self.read().await? else { return Ok(None) };
        if first.len() >= GZIP_MAGIC.len() {
            return Ok(Some(first));
        }
        let second = self.read().await?.unwrap_or_default();
        Ok(Some([first, second].concat().into()))
    }

    /// The next piece with at least one byte.
    async fn read(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let limit = self.silence;
            let frame = tokio::time::timeout(limit, self.incoming.frame())
                .await
                .map_err(|_| UpstreamError::Timeout { limit })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame =
                frame.map_err(|error| UpstreamError::Broken { reason: error.to_string() })?;
            let Ok(data) = frame.into_data() else { continue };
            self.left_bytes = u64::try_from(data.len())
                .ok()
                .and_then(|read| self.left_bytes.checked_sub(read))
                .ok_or_else(|| too_large(self.limit_bytes))?;
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
}

impl Session {
    /// Fetch a chunk: one attempt, no redirect.
    ///
    /// `url` and `headers` come from [`snowgate_wire::ResultHead`]. Works on a session that is gone,
    /// as the URL is a credential of its own: whether a client may still fetch is for the caller.
    pub async fn fetch_chunk(
        &self,
        url: &Secret,
        headers: &[(String, Secret)],
    ) -> Result<ChunkReply, UpstreamError> {
        let limits = self.shared().limits;
        let (target, path) = locate(url, self.shared().protocol)?;
        let call = Call {
            method: Method::GET,
            path,
            headers: storage_headers(headers)?,
            body: Bytes::new(),
        };
        let start = async {
            let connector = &self.shared().connector;
            let (response, sender) = send(connector, self.pool(), &target, call).await?;
            let status = response.status();
            let incoming = response.into_body();
            let length_bytes = incoming.size_hint().exact();
            if status != StatusCode::OK {
                let status = status.as_u16();
                return Ok(ChunkReply {
                    status,
                    encoding: Encoding::Identity,
                    length_bytes,
                    body: None,
                });
            }
            if length_bytes.is_some_and(|length| length > limits.chunk_bytes) {
                return Err(too_large(limits.chunk_bytes));
            }
            let mut body = Body {
                first: None,
                incoming,
                left_bytes: limits.chunk_bytes,
                limit_bytes: limits.chunk_bytes,
                silence: limits.chunk_silence,
                pool: Arc::clone(self.pool()),
                target,
                sender,
            };
            body.first = body.start().await?;
            let zipped = body.first.as_ref().is_some_and(|first| first.starts_with(&GZIP_MAGIC));
            let encoding = if zipped { Encoding::Gzip } else { Encoding::Identity };
            Ok(ChunkReply { status: 200, encoding, length_bytes, body: Some(body) })
        };
        let limit = limits.chunk_start;
        tokio::time::timeout(limit, start).await.map_err(|_| UpstreamError::Timeout { limit })?
    }
}

fn too_large(limit_bytes: u64) -> UpstreamError {
    UpstreamError::TooLarge { limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX) }
}

fn unusable(reason: &str) -> UpstreamError {
    UpstreamError::Unreachable { reason: reason.to_owned() }
}

/// Where the URL leads. Plain HTTP only where Snowflake itself is reached that way.
fn locate(url: &Secret, protocol: Protocol) -> Result<(Target, String), UpstreamError> {
    let uri: Uri = url.expose().parse().map_err(|_| unusable("the chunk URL is no URL"))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") if protocol == Protocol::Http => false,
        _ => return Err(unusable("the chunk URL is neither https nor as Snowflake is reached")),
    };
    let host = uri.host().ok_or_else(|| unusable("the chunk URL names no host"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(unusable("the chunk URL holds a user"));
    }
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((Target { tls, host: host.to_owned(), port }, path.to_owned()))
}

fn storage_headers(named: &[(String, Secret)]) -> Result<HeaderMap, UpstreamError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    for (name, value) in named {
        let wrong = || unusable("a chunk header is not one of cloud storage");
        let name: HeaderName = name.parse().map_err(|_| wrong())?;
        if !HEADER_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)) {
            return Err(wrong());
        }
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
