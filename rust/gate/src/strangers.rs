//! What people nobody knows are recorded of.
//!
//! An open port must not let anybody fill the disk, and nothing may go unseen: refusals are entries of
//! their own up to a rate; what comes faster is counted, and the count is an entry.

use std::sync::{Mutex, PoisonError};

use crate::session::now_s;

/// Refusals in a row that are entries of their own: a fleet of jobs that all fail at once.
const BURST: f64 = 300.0;

/// Entries a second after that: about 100 MB of ledger a day, if it goes on for so long.
const PER_S: f64 = 1.0;

/// Refusals of one kind.
pub(crate) struct Strangers(Mutex<Seen>);

struct Seen {
    /// Entries that may still be written.
    left: f64,
    at_s: f64,
    missed: Option<Missed>,
}

/// Refusals that have no entry of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Missed {
    pub(crate) count: u64,
    /// Unix time of the first.
    pub(crate) since_s: f64,
}

impl Default for Strangers {
    fn default() -> Self {
        Self::at(now_s())
    }
}

impl Strangers {
    fn at(at_s: f64) -> Self {
        Self(Mutex::new(Seen { left: BURST, at_s, missed: None }))
    }

    /// Whether this refusal is to be recorded; otherwise it is counted.
    pub(crate) fn may_record(&self) -> bool {
        self.may_record_at(now_s())
    }

    fn may_record_at(&self, now_s: f64) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed_s = (now_s - seen.at_s).max(0.0);
        seen.at_s = now_s;
        seen.left = (seen.left + passed_s * PER_S).min(BURST);
        if seen.left >= 1.0 {
            seen.left -= 1.0;
            return true;
        }
        seen.missed.get_or_insert(Missed { count: 0, since_s: now_s }).count += 1;
        false
    }

    /// What was counted since this was last asked.
    pub(crate) fn missed(&self) -> Option<Missed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).missed.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_recorded_or_counted_and_never_both() {
        let strangers = Strangers::at(1000.0);
        let recorded = (0..1000).filter(|_| strangers.may_record_at(1000.5)).count();
        assert_eq!(recorded, 300);
        assert_eq!(strangers.missed(), Some(Missed { count: 700, since_s: 1000.5 }));
        assert_eq!(strangers.missed(), None);
    }

    #[test]
    fn the_rate_recovers_and_a_clock_set_back_gives_nothing() {
        let strangers = Strangers::at(1000.0);
        let at = |now_s: f64| (0..1000).filter(|_| strangers.may_record_at(now_s)).count();
        assert_eq!((at(1000.0), at(900.0), at(910.0)), (300, 0, 10));
        assert_eq!(at(100_000.0), 300);
    }
}
