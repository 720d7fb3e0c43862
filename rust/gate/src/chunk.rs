//! `GET /snowgate/chunk/{id}`: one chunk of one result, masked on its way (F20).
//!
//! ```text
//!   ticket + secret ─► storage ─► inflate ─► mask ─► client
//!                         └────── clear: as stored ────►
//! ```
//!
//! # Rules
//!
//! - The session, and the ticket's time, are checked at the start and every [`CHECK_BYTES`].
//! - What the meter does not let through cuts the connection, and its result is over (`meter`).
//! - What storage answers other than 200 is an empty 503: drivers retry it, and it tells nothing.
//! - A chunk that cannot be masked cuts the connection in mid-stream, with an alert: a driver never
//!   takes a part for the whole.

use std::{io::Write, sync::Arc};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::{HeaderValue, StatusCode, header};
use snowgate_mask::{ArrowStreamMasker, JsonChunkMasker, MaskError, MaskPlan};
use snowgate_session::{Redeemed, Ticket};
use snowgate_upstream::{ChunkReply, Encoding};
use snowgate_wire::{ResultFormat, Secret};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    meter::Meter,
    record::Fields,
    reply::{Reply, ReplyBody, Withdrawn, empty},
    result::SECRET_HEADER,
    routes::Call,
    session::{Session, now_s},
    state::{Denied, State, count},
};

/// Bytes after which a running stream asks again whether it may go on (F20).
const CHECK_BYTES: usize = 8 * 1024 * 1024;

/// Pieces that may wait for the client: what is read ahead of a slow one.
const PIECES: usize = 4;

/// Bytes of compressed input that are inflated and masked at once.
const STEP_BYTES: usize = 64 * 1024;

/// Path of chunks, for the ledger.
const PATH: &str = "/snowgate/chunk";

/// What a ticket keeps beside the address.
pub(crate) struct ChunkContext {
    pub(crate) format: ResultFormat,
    pub(crate) plan: MaskPlan,
    pub(crate) reference: String,
    pub(crate) meter: Meter,
}

/// Serve one chunk.
pub(crate) async fn serve(state: &Arc<State>, call: &Call, id: Uuid) -> Reply {
    let secret = call.header(SECRET_HEADER).unwrap_or_default();
    let Redeemed::Open(ticket) = state.tickets.redeem(&id, secret, now_s()) else {
        return refused(state, call, "the chunk's ticket is not good").await;
    };
    let Some(session) = state.sessions.get(&ticket.session, now_s()) else {
        return refused(state, call, "the session of the chunk is over").await;
    };
    if session.over().is_some() || !state.ledger.healthy() {
        return refused(state, call, "the session of the chunk is over").await;
    }
    if ticket.context.meter.is_cut() {
        // Drivers try no client's fault again.
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let Ok((number, url, headers)) =
        serde_json::from_slice::<(usize, Secret, Vec<(String, Secret)>)>(&ticket.address)
    else {
        return empty(StatusCode::SERVICE_UNAVAILABLE);
    };
    let chunk = match session.upstream.fetch_chunk(&url, &headers).await {
        Ok(chunk) if chunk.status == 200 => chunk,
        Ok(chunk) => {
            tracing::warn!(status = chunk.status, "storage refused a chunk");
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        }
        Err(error) => {
            tracing::warn!(%error, "a chunk could not be fetched");
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        }
    };
    count(&state.counters.chunks);
    stream(state, session, ticket, number, chunk)
}

/// A refusal tells nothing: an empty 503, and an entry within the strangers' rate.
async fn refused(state: &State, call: &Call, reason: &str) -> Reply {
    if state.may_record_stranger() {
        let fields = Fields::new()
            .put("reference", call.reference.as_str())
            .list("rules", &["chunk-ticket"])
            .put("path", call.head.uri.path())
            .put("principal", ())
            .put("session", ())
            .put("reason", reason);
        let _ = state.ledger.append("denial", fields, Vec::new()).await;
    }
    empty(StatusCode::SERVICE_UNAVAILABLE)
}

fn stream(
    state: &Arc<State>,
    session: Arc<Session>,
    ticket: Ticket<ChunkContext>,
    number: usize,
    chunk: ChunkReply,
) -> Reply {
    let (sender, receiver) = mpsc::channel(PIECES);
    let clear = ticket.context.plan.is_clear();
    let (encoding, length_bytes) = (chunk.encoding, chunk.length_bytes);
    let mut relay =
        Relay { state: Arc::clone(state), session, ticket, number, sent_bytes: 0, sender };
    tokio::spawn(async move {
        let done = if clear { relay.as_stored(chunk).await } else { relay.masked(chunk).await };
        if done.is_err() {
            // The client may be gone; then nothing is cut but the air.
            let _ = relay.sender.send(Err(Withdrawn)).await;
        }
    });
    let mut reply = http::Response::new(ReplyBody::Stream(receiver));
    let headers = reply.headers_mut();
    // Node hangs on a chunk that calls itself JSON.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if clear && encoding == Encoding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let (true, Some(length)) = (clear, length_bytes) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    reply
}

struct Relay {
    state: Arc<State>,
    session: Arc<Session>,
    ticket: Ticket<ChunkContext>,
    /// Of the chunk in its result.
    number: usize,
    sent_bytes: u64,
    sender: mpsc::Sender<Result<Bytes, Withdrawn>>,
}

impl Relay {
    /// Whether the stream may go on.
    fn check(&self) -> Result<(), Withdrawn> {
        let good = self.session.over().is_none()
            && now_s() < self.ticket.expires_at_s
            && self.state.ledger.healthy();
        if good { Ok(()) } else { Err(Withdrawn) }
    }

    async fn send(&mut self, piece: Bytes) -> Result<(), Withdrawn> {
        self.sent_bytes = self.sent_bytes.saturating_add(piece.len() as u64);
        let meter = &self.ticket.context.meter;
        let fits = meter.chunk(&self.state, &self.session, self.number, self.sent_bytes);
        if let Err(refusal) = fits {
            let reference = &self.ticket.context.reference;
            let what = Denied { reference, path: PATH, ..Denied::default() };
            self.state.denied(Some(&self.session), &what, &refusal).await;
            return Err(Withdrawn);
        }
        self.sender.send(Ok(piece)).await.map_err(|_| Withdrawn)
    }

    async fn as_stored(&mut self, mut chunk: ChunkReply) -> Result<(), Withdrawn> {
        let mut since = 0;
        while let Some(piece) = chunk.next().await {
            let piece = piece.map_err(|_| Withdrawn)?;
            since += piece.len();
            if since >= CHECK_BYTES {
                since = 0;
                self.check()?;
            }
            self.send(piece).await?;
        }
        Ok(())
    }

    async fn masked(&mut self, mut chunk: ChunkReply) -> Result<(), Withdrawn> {
        let context = &self.ticket.context;
        let mut pipe = Pipe::new(context.format, &context.plan, chunk.encoding);
        let mut since = 0;
        while let Some(piece) = chunk.next().await {
            let piece = piece.map_err(|_| Withdrawn)?;
            for step in piece.chunks(STEP_BYTES) {
                let out = pipe.push(step).map_err(|error| self.unmasked(&error))?;
                since += out.len().max(step.len());
                if since >= CHECK_BYTES {
                    since = 0;
                    self.check()?;
                }
                if !out.is_empty() {
                    self.send(Bytes::from(out)).await?;
                }
            }
        }
        let out = pipe.finish().map_err(|error| self.unmasked(&error))?;
        self.check()?;
        if out.is_empty() { Ok(()) } else { self.send(Bytes::from(out)).await }
    }

    fn unmasked(&self, error: &PipeError) -> Withdrawn {
        let reference = &self.ticket.context.reference;
        self.state.alert("masking", Some(&self.session), reference, &error.to_string());
        Withdrawn
    }
}

/// Why a chunk could not be masked.
#[derive(Debug, thiserror::Error)]
enum PipeError {
    #[error("the chunk's gzip stream is damaged")]
    Gzip,
    #[error(transparent)]
    Mask(#[from] MaskError),
}

/// Inflates, if need be, and masks.
struct Pipe {
    inflate: Option<MultiGzDecoder<Vec<u8>>>,
    masker: Masker,
}

enum Masker {
    Json(Box<JsonChunkMasker>),
    Arrow(Box<ArrowStreamMasker>),
}

impl Pipe {
    fn new(format: ResultFormat, plan: &MaskPlan, encoding: Encoding) -> Self {
        let masker = match format {
            ResultFormat::Json => Masker::Json(Box::new(JsonChunkMasker::new(plan))),
            ResultFormat::Arrow => Masker::Arrow(Box::new(ArrowStreamMasker::new(plan))),
        };
        let inflate = (encoding == Encoding::Gzip).then(|| MultiGzDecoder::new(Vec::new()));
        Self { inflate, masker }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, PipeError> {
        let mut out = Vec::new();
        match &mut self.inflate {
            None => self.masker.push(bytes, &mut out)?,
            Some(inflate) => {
                inflate.write_all(bytes).map_err(|_| PipeError::Gzip)?;
                let clear = std::mem::take(inflate.get_mut());
                self.masker.push(&clear, &mut out)?;
            }
        }
        Ok(out)
    }

    fn finish(self) -> Result<Vec<u8>, PipeError> {
        let mut out = Vec::new();
        let Self { inflate, mut masker } = self;
        if let Some(inflate) = inflate {
            let rest = inflate.finish().map_err(|_| PipeError::Gzip)?;
            masker.push(&rest, &mut out)?;
        }
        match masker {
            Masker::Json(masker) => masker.finish()?,
            Masker::Arrow(masker) => masker.finish(&mut out)?,
        };
        Ok(out)
    }
}

impl Masker {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
        match self {
            Self::Json(masker) => masker.push(bytes, out),
            Self::Arrow(masker) => masker.push(bytes, out),
        }
    }
}
