//! Token renewal and cancel: small requests with one purpose each.

use crate::{
    Failure, Secret, WireError,
    envelope::Envelope,
    json::{Object, ObjectWriter},
};

/// What a token request wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenRequestKind {
    /// A fresh session token for the same session.
    Renew,
    /// Anything else (ISSUE, CLONE …), which would mint another credential: refused.
    Other,
}

/// `POST /session/token-request`.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The session token to renew.
    pub old_session_token: Option<Secret>,
    /// What is wanted.
    pub kind: TokenRequestKind,
}

impl TokenRequest {
    /// Read the body.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut object = Object::message(body)?;
        let kind = match object.text("requestType")?.as_deref() {
            Some("RENEW") => TokenRequestKind::Renew,
            _ => TokenRequestKind::Other,
        };
        Ok(Self { old_session_token: object.text("oldSessionToken")?.map(Secret::new), kind })
    }

    /// The body of the gateway's own renewal upstream.
    pub fn renewal(old_session_token: &Secret) -> Vec<u8> {
        ObjectWriter::new()
            .put("oldSessionToken", old_session_token.expose())
            .put("requestType", "RENEW")
            .finish()
    }
}

/// Upstream's answer to a renewal.
#[derive(Debug)]
pub enum TokenAnswer {
    /// New tokens.
    Renewed(UpstreamTokens),
    /// Refused.
    Refused(Failure),
}

/// Tokens after a renewal.
#[derive(Debug)]
#[non_exhaustive]
pub struct UpstreamTokens {
    /// New session token.
    pub token: Secret,
    /// New master token, if it changed.
    pub master_token: Option<Secret>,
    /// Life of the session token in seconds.
    pub validity_s: i64,
    /// Life of the master token in seconds.
    pub master_validity_s: Option<i64>,
}

impl TokenAnswer {
    /// Read the reply.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut data = match Envelope::read(body)?.outcome()? {
            Ok(data) => data,
            Err(failure) => return Ok(Self::Refused(failure)),
        };
        Ok(Self::Renewed(UpstreamTokens {
            token: data.need("sessionToken")?,
            master_token: data.take("masterToken")?,
            validity_s: data.take("validityInSecondsST")?.unwrap_or(3600),
            master_validity_s: data.take("validityInSecondsMT")?,
        }))
    }
}

/// The reply to a driver's renewal, with the gateway's own tokens.
pub fn token_reply(
    token: &Secret,
    master_token: &Secret,
    validity_s: u64,
    master_validity_s: u64,
    session_id: i64,
) -> Vec<u8> {
    let data = ObjectWriter::new()
        .put("sessionToken", token.expose())
        .put("validityInSecondsST", &validity_s)
        .put("masterToken", master_token.expose())
        .put("validityInSecondsMT", &master_validity_s)
        .put("sessionId", &session_id)
        .finish();
    crate::success(&data)
}

/// `POST /queries/v1/abort-request`, which names a request id, or
/// `POST /queries/{id}/abort-request`, whose body says nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AbortRequest {
    /// The request id of the statement to cancel.
    pub request_id: Option<String>,
}

impl AbortRequest {
    /// Read the body; an empty one is an empty object.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        if body.is_empty() {
            return Ok(Self { request_id: None });
        }
        Ok(Self { request_id: Object::message(body)?.text("requestId")? })
    }

    /// The body that cancels `request_id` upstream.
    pub fn body(request_id: &str) -> Vec<u8> {
        ObjectWriter::new().put("requestId", request_id).finish()
    }
}
