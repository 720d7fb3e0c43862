//! The story of statements: each outcome has its intent, for entries to be written and those read.

use serde_json::{Map, Value};

/// A set of entry numbers.
#[derive(Clone, Debug, Default)]
struct Marks(Vec<u64>);

impl Marks {
    fn set(&mut self, seq: u64) {
        let word = usize::try_from(seq / 64).unwrap_or(usize::MAX);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (seq % 64);
        }
    }

    fn has(&self, seq: u64) -> bool {
        let word = usize::try_from(seq / 64).ok().and_then(|word| self.0.get(word));
        word.is_some_and(|word| word >> (seq % 64) & 1 == 1)
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// The part of an entry in the story of statements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Intent,
    /// The outcome of this intent.
    Outcome(u64),
    None,
}

/// The story of statements, for entries to be written and those read: each outcome has its intent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    intents: Marks,
    outcomes: Marks,
}

impl Story {
    /// The part of the next entry, or why it cannot follow.
    pub(crate) fn admit(&self, kind: &str, fields: &Map<String, Value>) -> Result<Part, String> {
        match kind {
            "intent" => Ok(Part::Intent),
            "outcome" => fields
                .get("intent")
                .and_then(Value::as_u64)
                .filter(|intent| self.intents.has(*intent))
                .map(Part::Outcome)
                .ok_or_else(|| "outcome without its intent".to_owned()),
            _ => Ok(Part::None),
        }
    }

    pub(crate) fn take(&mut self, seq: u64, part: Part) {
        match part {
            Part::Intent => self.intents.set(seq),
            Part::Outcome(intent) => self.outcomes.set(intent),
            Part::None => {}
        }
    }

    /// Intents without outcome.
    pub(crate) fn open(&self) -> u64 {
        self.intents.count() - self.outcomes.count()
    }
}
