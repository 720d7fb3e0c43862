//! Writing to the ledger from async code.
//!
//! # Rules
//!
//! - What must be durable before something happens is awaited ([`Recorder::append`]); an outcome
//!   rides with a later commit ([`Recorder::later`]).
//! - Once a write or sync failed the ledger takes nothing more, and everything is denied. An entry
//!   that is refused for itself, such as one whose text has no key, denies what it was for.
//! - An entry is bounded: a list that would not fit is cut, with its length and digest beside it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::Serialize;
use serde_json::{Map, Value};
use snowgate_ledger::{Ledger, LedgerError, NewEntry, Text};
use snowgate_session::parts_digest;
use tokio::sync::oneshot;

use crate::reply::Refusal;

/// Bytes one list may take in an entry; four of them fit.
const LIST_BYTES: usize = 6 * 1024;

/// Bytes one text field may take in an entry.
const TEXT_BYTES: usize = 1024;

/// Fields of an entry under construction.
#[derive(Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// No fields.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Fields that were made elsewhere.
    pub(crate) fn of(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// Add a value; texts beyond the limit are cut.
    pub(crate) fn put(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) if text.len() > TEXT_BYTES => {
                let cut: String = text.chars().take(TEXT_BYTES / 4).collect();
                Value::String(format!("{cut}…"))
            }
            other => other,
        };
        self.0.insert(name.to_owned(), value);
        self
    }

    /// Add a list, cut to what fits.
    pub(crate) fn list<T: Serialize>(mut self, name: &str, values: &[T]) -> Self {
        let mut kept = Vec::new();
        let mut bytes = 0;
        let mut cut = false;
        for value in values {
            let Ok(value) = serde_json::to_value(value) else { continue };
            bytes += value.to_string().len() + 1;
            cut |= bytes > LIST_BYTES;
            if cut {
                break;
            }
            kept.push(value);
        }
        if cut {
            let whole = serde_json::to_vec(values).unwrap_or_default();
            let digest = hex::encode(parts_digest(&[&whole]));
            self.0.insert(format!("{name}_total"), values.len().into());
            self.0.insert(format!("{name}_digest"), digest.into());
        }
        self.0.insert(name.to_owned(), kept.into());
        self
    }

    /// The finished map.
    pub(crate) fn done(self) -> Map<String, Value> {
        self.0
    }
}

/// An entry that was handed over.
#[must_use]
pub(crate) struct Begun(oneshot::Receiver<Option<u64>>);

impl Begun {
    /// Wait until it is durable. Returns its sequence number.
    pub(crate) async fn durable(self) -> Result<u64, Refusal> {
        self.0.await.ok().flatten().ok_or_else(Refusal::ledger)
    }
}

/// The ledger, as the gate uses it.
#[derive(Clone)]
pub(crate) struct Recorder {
    ledger: Ledger,
    failed: Arc<AtomicBool>,
}

impl Recorder {
    /// Record into `ledger`.
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger, failed: Arc::default() }
    }

    /// Append an entry and wait until it is durable. Returns its sequence number.
    ///
    /// Cancel-safe: an entry that was handed over is written whether or not anybody waits.
    pub(crate) async fn append(
        &self,
        kind: &str,
        fields: Fields,
        texts: Vec<Text>,
    ) -> Result<u64, Refusal> {
        self.begin(kind, fields, texts).durable().await
    }

    /// Hand an entry over; several that are handed over together are durable together.
    pub(crate) fn begin(&self, kind: &str, fields: Fields, texts: Vec<Text>) -> Begun {
        let (sender, receiver) = oneshot::channel();
        let failed = Arc::clone(&self.failed);
        self.ledger.append(
            NewEntry { kind: kind.to_owned(), fields: fields.done(), texts },
            move |result| {
                if let Err(error) = &result {
                    note(error, &failed);
                }
                // The asker may be gone; the entry stands all the same.
                let _ = sender.send(result.ok());
            },
        );
        Begun(receiver)
    }

    /// Append an entry that nobody waits for.
    pub(crate) fn later(&self, kind: &str, fields: Fields) {
        let failed = Arc::clone(&self.failed);
        self.ledger.append_later(
            NewEntry { kind: kind.to_owned(), fields: fields.done(), texts: Vec::new() },
            move |result| {
                if let Err(error) = result {
                    note(&error, &failed);
                }
            },
        );
    }

    /// Whether entries are taken. Once it is false it stays false.
    pub(crate) fn healthy(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    /// The ledger itself.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

/// Log a failed append, and remember if it was not for the entry itself.
fn note(error: &LedgerError, failed: &AtomicBool) {
    tracing::error!(%error, "ledger entry was not written");
    if error.is_final() {
        failed.store(true, Ordering::Release);
    }
}

/// A text to be encrypted beside an entry.
pub(crate) fn text(field: &str, subject: &str, content: impl Into<Vec<u8>>) -> Text {
    Text { field: field.to_owned(), subject: subject.to_owned(), bytes: content.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_does_not_fit_is_cut_and_says_so() {
        let names: Vec<String> = (0..2000).map(|number| format!("DB.S.TABLE_{number}")).collect();
        let fields = Fields::new().list("objects", &names).done();

        assert!(serde_json::to_string(&fields).unwrap().len() < LIST_BYTES + 200);
        assert_eq!(fields["objects_total"], 2000);
        assert_eq!(fields["objects_digest"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn a_ledger_that_takes_nothing_denies_everything_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let kek = snowgate_ledger::Kek::from_root(&[7; 32]).unwrap();
        let settings = snowgate_ledger::Settings::new(
            at("ledger"),
            "snowgate/gw",
            at("key"),
            at("texts"),
            kek,
        );
        let recorder = Recorder::new(Ledger::open(settings, &mut |_, _, _| {}).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let append = |kind: &str| runtime.block_on(recorder.append(kind, Fields::new(), vec![]));
        assert!(append("start").is_ok());
        assert_eq!(append("Not A Kind").unwrap_err().rules, ["ledger-unavailable"]);
        assert!(recorder.healthy(), "an entry refused for itself harms nothing");

        recorder.ledger().close().unwrap();

        assert_eq!(append("intent").unwrap_err().rules, ["ledger-unavailable"]);
        assert!(!recorder.healthy());
    }

    #[test]
    fn a_list_that_fits_is_whole() {
        let fields = Fields::new().list("tags", &["pii"]).done();
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"tags":["pii"]}"#);
    }
}
