//! From upstream's result to the client's: compared with the plan, masked, its chunks ticketed.
//!
//! # Rules
//!
//! - The row type is compared with the prediction. Another number of columns, or another name where
//!   one was predicted, voids every column and raises an alert.
//! - What cannot be masked is withheld, with an alert; it is never passed on.
//! - Upstream's chunk addresses and keys never leave: the client gets tickets (F20).

use std::sync::Arc;

use serde::Serialize;
use snowgate_mask::{Column, Mask, MaskPlan, mask_arrow_stream, mask_json_rowset};
use snowgate_session::{SealError, TicketSet, Verdict};
use snowgate_wire::{ClientChunk, InlineRows, Render, RenderRows, ResultHead};
use zeroize::Zeroizing;

use crate::{
    chunk::ChunkContext,
    meter::Meter,
    reply::Refusal,
    session::{Session, now_s},
    state::State,
};

/// Header under which drivers send the secret of a result's chunks. The Python driver logs chunk
/// headers, except those whose name holds `encryption`.
pub(crate) const SECRET_HEADER: &str = "x-snowgate-encryption-key";

/// Time after the end of its session in which a ticket is no use any more anyway.
const TICKET_GRACE_S: f64 = 60.0;

/// Inline rows above this are masked off the worker's other tasks.
const LARGE_BYTES: usize = 256 * 1024;

/// Bytes a masked value may be longer than the value: `"***"` in place of `""`, or of nothing.
const MASK_GROWTH_BYTES: i64 = 6;

/// What the ledger says about a column of a result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShownColumn {
    pub(crate) name: String,
    pub(crate) mask: Mask,
    pub(crate) tags: Vec<String>,
}

/// A result for the client.
pub(crate) struct Rendered {
    pub(crate) body: Vec<u8>,
    /// Columns that are not shown as they are.
    pub(crate) masked: Vec<ShownColumn>,
    pub(crate) rows: Option<i64>,
    /// Bytes of its rows, those in chunks included.
    pub(crate) bytes: u64,
}

/// Why a result is withheld.
pub(crate) enum Withheld {
    /// It could not be masked.
    Masking(Refusal),
    /// It is larger than a rule lets through, than what is left of a budget, or than can be handed
    /// out.
    Size(Refusal),
}

impl From<Withheld> for Refusal {
    fn from(withheld: Withheld) -> Self {
        match withheld {
            Withheld::Masking(refusal) | Withheld::Size(refusal) => refusal,
        }
    }
}

/// How a result is shown.
pub(crate) struct Show<'a> {
    pub(crate) state: &'a State,
    pub(crate) session: &'a Session,
    pub(crate) verdict: &'a Verdict,
    pub(crate) query_id: &'a str,
    pub(crate) reference: &'a str,
    pub(crate) base: &'a str,
    pub(crate) meter: &'a Meter,
}

impl Show<'_> {
    /// The client's reply, or why the result is withheld.
    pub(crate) fn render(&self, head: &ResultHead) -> Result<Rendered, Withheld> {
        let masks = self.masks(head);
        let plan = MaskPlan::new(
            head.columns
                .iter()
                .map(|column| Column::from_rowtype(&column.kind, column.ext_type_name.as_deref()))
                .zip(masks.iter().map(|shown| shown.mask))
                .collect(),
        );
        let rows = self.rows(head, &plan).map_err(Withheld::Masking)?;
        let metered = self.meter.head(self.state, self.session, head, rows.bytes(head));
        let bytes = metered.map_err(Withheld::Size)?;
        let masked: Vec<bool> = (0..plan.columns()).map(|index| plan.is_null(index)).collect();
        let (secret, chunks) = self.chunks(head, &plan)?;
        let headers = secret.as_ref().map(|secret| [(SECRET_HEADER, secret.reveal())]);
        let body = head.render(&Render {
            query_id: self.query_id,
            rows: match &rows {
                Rows::Keep => RenderRows::Keep,
                Rows::Json(rowset) => RenderRows::Json(rowset),
                Rows::Arrow(stream) => RenderRows::Arrow(stream),
                Rows::None => RenderRows::Empty,
            },
            chunks: &chunks,
            chunk_headers: headers.as_ref().map_or(&[], |headers| headers.as_slice()),
            masked: &masked,
        });
        let masked = masks.into_iter().filter(|shown| shown.mask != Mask::Pass).collect();
        Ok(Rendered { body, masked, rows: head.total, bytes })
    }

    /// The mask of each column. Void for all of them where prediction and result disagree.
    fn masks(&self, head: &ResultHead) -> Vec<ShownColumn> {
        let void = || {
            let columns = head.columns.iter();
            let void = |name: &String| ShownColumn {
                name: name.clone(),
                mask: Mask::Void,
                tags: self.verdict.tags.clone(),
            };
            columns.map(|column| void(&column.name)).collect()
        };
        if self.verdict.void_all {
            return void();
        }
        let Some(plan) = &self.verdict.plan else {
            let pass = |name: &String| ShownColumn {
                name: name.clone(),
                mask: Mask::Pass,
                tags: Vec::new(),
            };
            return head.columns.iter().map(|column| pass(&column.name)).collect();
        };
        let named = plan
            .iter()
            .zip(&head.columns)
            .all(|(planned, column)| planned.name.as_ref().is_none_or(|name| *name == column.name));
        if plan.len() != head.columns.len() || !named {
            let detail = if named { "number of columns" } else { "name of a column" };
            if self.session.surprises() {
                self.state.alert("rowtype", Some(self.session), self.reference, detail);
            }
            return void();
        }
        plan.iter()
            .zip(&head.columns)
            .map(|(planned, column)| ShownColumn {
                name: column.name.clone(),
                mask: planned.mask,
                tags: planned.tags.clone(),
            })
            .collect()
    }

    fn rows(&self, head: &ResultHead, plan: &MaskPlan) -> Result<Rows, Refusal> {
        if plan.is_clear() {
            return Ok(Rows::Keep);
        }
        match &head.rows {
            InlineRows::None => Ok(Rows::None),
            InlineRows::Json(rowset) => {
                let rowset = rowset.get().as_bytes();
                let mut masked = Vec::with_capacity(rowset.len());
                heavy(rowset.len(), || mask_json_rowset(plan, rowset, &mut masked))
                    .map_err(|error| self.withheld(&error.to_string()))?;
                Ok(Rows::Json(masked))
            }
            InlineRows::ArrowBase64(base64) => {
                let stream =
                    head.rows.arrow().map_err(|error| self.withheld(&error.to_string()))?;
                let stream = stream.unwrap_or_default();
                let mut masked = Vec::with_capacity(stream.len());
                heavy(base64.len(), || mask_arrow_stream(plan, &stream, &mut masked))
                    .map_err(|error| self.withheld(&error.to_string()))?;
                Ok(Rows::Arrow(masked))
            }
        }
    }

    /// Tickets in place of upstream's chunks.
    fn chunks(
        &self,
        head: &ResultHead,
        plan: &MaskPlan,
    ) -> Result<(Option<snowgate_session::Token>, Vec<ClientChunk>), Withheld> {
        if head.chunks.is_empty() {
            return Ok((None, Vec::new()));
        }
        let headers: Vec<(&str, &str)> = head
            .chunk_headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        let addresses: Result<Vec<Zeroizing<Vec<u8>>>, serde_json::Error> = head
            .chunks
            .iter()
            .enumerate()
            .map(|(number, chunk)| {
                serde_json::to_vec(&(number, chunk.url.expose(), &headers)).map(Zeroizing::new)
            })
            .collect();
        let addresses =
            addresses.map_err(|_| Withheld::Masking(self.withheld("chunk addresses")))?;
        #[expect(clippy::cast_precision_loss, reason = "at most six hours")]
        let age_s = self.state.limits.ticket_age_s as f64;
        let set = TicketSet {
            session: self.session.id.clone(),
            expires_at_s: (now_s() + age_s).min(self.session.who.expires_at_s + TICKET_GRACE_S),
            uses: self.state.limits.ticket_uses,
            context: Arc::new(ChunkContext {
                format: head.format,
                plan: plan.clone(),
                reference: self.reference.to_owned(),
                meter: self.meter.clone(),
            }),
        };
        let issued = self.state.tickets.issue(set, &addresses).map_err(|error| match error {
            SealError::Full => Withheld::Size(self.too_many_chunks(error)),
            _ => Withheld::Masking(self.withheld(&error.to_string())),
        });
        let (secret, ids) = issued?;
        let masked = (0..plan.columns()).filter(|_| !plan.is_clear()).count();
        let per_row = MASK_GROWTH_BYTES.saturating_mul(i64::try_from(masked).unwrap_or(i64::MAX));
        let chunks = head.chunks.iter().zip(ids).map(|(chunk, id)| {
            let growth = per_row.saturating_mul(chunk.row_count.max(0));
            let size = chunk.uncompressed_size.unwrap_or(0).saturating_add(growth);
            ClientChunk {
                url: format!("{}/snowgate/chunk/{id}", self.base),
                row_count: chunk.row_count,
                uncompressed_size: size,
                compressed_size: chunk.compressed_size.unwrap_or(size),
            }
        });
        Ok((Some(secret), chunks.collect()))
    }

    fn too_many_chunks(&self, error: SealError) -> Refusal {
        self.state.alert("chunk-tickets", Some(self.session), self.reference, &error.to_string());
        Refusal::denied(
            "chunk-tickets",
            "the result has more pieces than the gateway can hand out, and is withheld; the \
             statement itself has run",
            "ask for fewer rows, or try again when other results have been fetched",
        )
    }

    fn withheld(&self, detail: &str) -> Refusal {
        self.state.alert("masking", Some(self.session), self.reference, detail);
        Refusal::denied(
            "masking",
            "the result could not be masked and is withheld; the statement itself has run",
            "report the reference",
        )
    }
}

enum Rows {
    Keep,
    Json(Vec<u8>),
    Arrow(Vec<u8>),
    None,
}

impl Rows {
    /// Bytes of the rows that go with the head.
    fn bytes(&self, head: &ResultHead) -> usize {
        match (self, &head.rows) {
            (Self::Json(bytes) | Self::Arrow(bytes), _) => bytes.len(),
            (Self::Keep, InlineRows::Json(rowset)) => rowset.get().len(),
            (Self::Keep, InlineRows::ArrowBase64(text)) => text.len() / 4 * 3,
            (Self::None, _) | (Self::Keep, InlineRows::None) => 0,
        }
    }
}

/// Run what may take long without holding up the worker's other tasks.
fn heavy<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > LARGE_BYTES { tokio::task::block_in_place(work) } else { work() }
}
