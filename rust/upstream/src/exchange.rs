//! One request and its whole answer, within limits.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use snowgate_wire::decode_body;

use crate::{
    UpstreamError,
    pool::{Connector, Pool, Sender, Target},
};

/// A request that can be written; its headers hold the token, so it has no `Debug`.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query string.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Send a request and wait for the head of the answer.
///
/// A pooled connection that turns out closed gives the request back untouched, and another one is
/// used. Once a byte was written, every failure is final (F11).
pub(crate) async fn send(
    connector: &Connector,
    pool: &Pool,
    target: &Target,
    call: Call,
) -> Result<(Response<Incoming>, Sender), UpstreamError> {
    let mut request = Request::builder().method(call.method).uri(call.path);
    if let Some(headers) = request.headers_mut() {
        *headers = call.headers;
        let host = http::HeaderValue::from_str(&target.authority())
            .map_err(|_| UpstreamError::config("the host is not a valid host name"))?;
        headers.insert(header::HOST, host);
    }
    let mut request = request
        .body(Full::new(call.body))
        .map_err(|_| UpstreamError::config("the request cannot be written as HTTP"))?;
    loop {
        let (mut sender, pooled) = match pool.take(target).await {
            Some(sender) => (sender, true),
            None => (connector.connect(target).await?, false),
        };
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, sender)),
            Err(mut failed) => match failed.take_message() {
                Some(untouched) if pooled => request = untouched,
                Some(_) => {
                    let reason = "the connection closed at once".to_owned();
                    return Err(UpstreamError::Unreachable { reason });
                }
                None => {
                    let reason = failed.into_error().to_string();
                    return Err(UpstreamError::Broken { reason });
                }
            },
        }
    }
}

/// Send a request, and read the whole answer, inflated. Any status but 200 is an error.
pub(crate) async fn exchange(
    connector: &Connector,
    pool: &Arc<Pool>,
    target: &Target,
    call: Call,
    limit: Duration,
    limit_bytes: usize,
) -> Result<Vec<u8>, UpstreamError> {
    let whole = async {
        let (response, sender) = send(connector, pool, target, call).await?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(UpstreamError::Status { status: head.status.as_u16() });
        }
        let raw = read(body, limit_bytes).await?;
        pool.put(target, sender);
        let encoding = head.headers.get(header::CONTENT_ENCODING);
        let encoding = encoding.map(|value| value.to_str().unwrap_or("?"));
        match decode_body(encoding, &raw, limit_bytes) {
            Ok(clear) => Ok(clear.into_owned()),
            Err(snowgate_wire::WireError::TooLarge { limit_bytes }) => {
                Err(UpstreamError::TooLarge { limit_bytes })
            }
            Err(error) => Err(error.into()),
        }
    };
    tokio::time::timeout(limit, whole).await.map_err(|_| UpstreamError::Timeout { limit })?
}

async fn read(mut body: Incoming, limit_bytes: usize) -> Result<Bytes, UpstreamError> {
    let too_large = || UpstreamError::TooLarge { limit_bytes };
    if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > limit_bytes) {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| UpstreamError::Broken { reason: error.to_string() })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit_bytes - whole.len() {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
