//! Log lines of the Rust half, in the form of `python/snowgate/telemetry/log.py`.
//!
//! One JSON object a line on stderr: `time`, `level`, `room`, `message`, and the event's fields. An
//! extension module has a `tracing` of its own, so nobody else hears these events or adds to them.

use std::{
    fmt,
    io::Write,
    sync::{
        Once,
        atomic::{AtomicU8, Ordering},
    },
};

use pyo3::prelude::*;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::{Context, SubscriberExt},
};

/// Lowest level written, as Python counts: 10 debug, 20 info, 30 warning, 40 error.
static LOWEST: AtomicU8 = AtomicU8::new(u8::MAX);

/// Bytes of a time to the millisecond, without its zone.
const MILLISECONDS: usize = "2026-11-24T08:00:00.123".len();

/// Write log lines of this level and above to stderr; may be called again with another level.
#[pyfunction]
pub(crate) fn log_to_stderr(level: u8) {
    static INSTALLED: Once = Once::new();
    LOWEST.store(level, Ordering::Relaxed);
    INSTALLED.call_once(|| {
        // Fails only where there is a subscriber already, and nothing else here sets one.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(Lines));
    });
}

/// Python's name and number of a level.
fn level_of(level: Level) -> (&'static str, u8) {
    match level {
        Level::ERROR => ("error", 40),
        Level::WARN => ("warning", 30),
        Level::INFO => ("info", 20),
        Level::DEBUG | Level::TRACE => ("debug", 10),
    }
}

/// The room that speaks: `gate.record` for `snowgate_gate::record`. None for foreign crates.
fn room_of(target: &str) -> Option<String> {
    let room = target.strip_prefix("snowgate")?.trim_start_matches(['_', ':']);
    Some(room.replace("::", "."))
}

/// Writes each event as a line.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("snowgate")
            && level_of(*metadata.level()).1 >= LOWEST.load(Ordering::Relaxed)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let Some(room) = room_of(metadata.target()) else { return };
        let mut time = String::new();
        // Writing to a string cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        time.truncate(MILLISECONDS);
        time.push('Z');
        let mut line = Fields(Map::new());
        event.record(&mut line);
        line.put("time", time);
        line.put("level", level_of(*metadata.level()).0);
        line.put("room", room);
        let mut text = Value::Object(line.0).to_string();
        text.push('\n');
        // In one write, so that lines of both halves do not mix; there is nobody to tell of a failure.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// An event's fields as JSON.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }
}
