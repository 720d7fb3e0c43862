//! What the gate sends back: bodies, envelopes, refusals.
//!
//! Driver endpoints answer with HTTP 200 whatever happens: drivers retry for ever, or hide the message,
//! when a refusal comes as an HTTP status (`protocol.md` section 5).

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use snowgate_wire::Failure;
use tokio::sync::mpsc;
use uuid::Uuid;

/// A stream was given up: the connection is cut, so that the client cannot take a part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the result was withdrawn while it was being sent")]
pub(crate) struct Withdrawn;

/// Body of a reply: whole, or pieces as they become ready.
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// Pieces; an error cuts the connection.
    Stream(mpsc::Receiver<Result<Bytes, Withdrawn>>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(pieces) => {
                pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A reply on its way.
pub(crate) type Reply = Response<ReplyBody>;

/// A JSON reply with this status.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    // Node reads a reply as JSON only if the type says so.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A JSON reply with status 200.
pub(crate) fn ok(body: impl Into<Bytes>) -> Reply {
    json(StatusCode::OK, body)
}

/// An empty reply with this status.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

/// Codes and SQLSTATEs the gate gives (`protocol.md` sections 2.4 and 5).
pub(crate) mod codes {
    /// Code and SQLSTATE of a denial: insufficient privileges.
    pub(crate) const DENIED: (&str, &str) = ("003001", "42501");
    /// A hold or a statement was cancelled or expired.
    pub(crate) const CANCELLED: (&str, &str) = ("000604", "57014");
    /// The session token is not one of ours.
    pub(crate) const TOKEN_UNKNOWN: (&str, &str) = ("390104", "08001");
    /// The session is gone; only a new login helps.
    pub(crate) const SESSION_GONE: (&str, &str) = ("390111", "08001");
    /// The session token must be renewed.
    pub(crate) const TOKEN_EXPIRED: (&str, &str) = ("390112", "08001");
    /// The master token is not one of ours.
    pub(crate) const MASTER_UNKNOWN: (&str, &str) = ("390113", "08001");
    /// A login was refused and the control plane gave no code of its own.
    pub(crate) const LOGIN_REFUSED: (&str, &str) = ("390100", "08001");
    /// Upstream cannot be reached, or its reply cannot be used (the connectors' own "could not connect").
    pub(crate) const UPSTREAM: (&str, &str) = ("250001", "08006");
}

/// Why a request is not served. Rendered for the client and recorded in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Code and SQLSTATE.
    pub(crate) codes: (String, String),
    /// Names of the rules that refused it.
    pub(crate) rules: Vec<String>,
    /// Why, without literals.
    pub(crate) reason: String,
    /// What the client can do; may be empty.
    pub(crate) remedy: String,
}

impl Refusal {
    /// A denial by one built-in rule.
    pub(crate) fn denied(rule: &str, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::with(codes::DENIED, rule, reason, remedy)
    }

    /// A refusal with other codes than a denial's.
    pub(crate) fn with(
        codes: (&str, &str),
        rule: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            codes: (codes.0.to_owned(), codes.1.to_owned()),
            rules: vec![rule.to_owned()],
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    /// The control plane did not answer, or not in a way that can be understood.
    pub(crate) fn control_plane(reason: impl Into<String>) -> Self {
        Self::denied("control-plane", reason, "try again; if it stays, ask the operator")
    }

    /// The ledger takes no entries: nothing may happen that it does not know of.
    pub(crate) fn ledger() -> Self {
        Self::denied(
            "ledger-unavailable",
            "the ledger cannot be written",
            "ask the operator; nothing is forwarded until the ledger works again",
        )
    }

    /// A fault of our own; its details are in the log under the reference.
    pub(crate) fn internal() -> Self {
        Self::denied("internal", "the gateway failed to handle the request", "report the reference")
    }

    /// The message for the client.
    pub(crate) fn message(&self, reference: &str) -> String {
        let head = if self.codes.0 == codes::DENIED.0 {
            format!("denied by rule {}: {}", self.rules.join(", "), self.reason)
        } else {
            self.reason.clone()
        };
        let tail = match self.remedy.as_str() {
            "" => String::new(),
            remedy => format!("; what to do: {remedy}"),
        };
        format!("{head}; reference {reference}{tail}")
    }

    /// The failure for the client. Drivers want a query id in UUID form, so there always is one.
    pub(crate) fn failure(&self, reference: &str, query_id: Option<&Uuid>) -> Failure {
        let query_id = query_id.copied().unwrap_or_else(Uuid::new_v4).to_string();
        let (code, sqlstate) = (&self.codes.0, &self.codes.1);
        Failure::new(code, sqlstate, self.message(reference), &query_id)
    }

    /// The reply for the client.
    pub(crate) fn render(&self, reference: &str, query_id: Option<&Uuid>) -> Reply {
        ok(self.failure(reference, query_id).render())
    }
}

/// A fresh reference: it stands in the client's message, in the questions, and in the ledger.
pub(crate) fn reference() -> String {
    Uuid::new_v4().to_string()
}

/// A future that cannot fail, as hyper's services want it.
pub(crate) type Served = Result<Reply, Infallible>;
