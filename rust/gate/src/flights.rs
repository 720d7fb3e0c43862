//! Verdicts that are being asked for: those who want the same one wait for it.
//!
//! Fifty workers of one job start with the same text. Each would ask the control plane, which takes a
//! few questions of one principal at a time and refuses the rest as too many (F27).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use snowgate_session::VerdictKey;
use tokio::sync::watch;

type UnderWay = Arc<Mutex<HashMap<VerdictKey, watch::Receiver<()>>>>;

/// The questions under way.
#[derive(Default)]
pub(crate) struct Flights(UnderWay);

/// A question under way. Those who wait for it go on when this is dropped.
pub(crate) struct Flight {
    under_way: UnderWay,
    key: VerdictKey,
    _landed: watch::Sender<()>,
}

impl Flights {
    /// Begin a question, or wait until somebody else's ends: then the cache may know the verdict. It
    /// is waited for once; a verdict that is nobody else's to use must not line them up.
    ///
    /// Cancel-safe: a question whose client went away ends, and those who waited ask themselves.
    pub(crate) async fn join(&self, key: VerdictKey) -> Option<Flight> {
        let mut landing = {
            let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(landing) = under_way.get(&key) {
                landing.clone()
            } else {
                let (landed, landing) = watch::channel(());
                under_way.insert(key, landing);
                return Some(Flight { under_way: Arc::clone(&self.0), key, _landed: landed });
            }
        };
        // Nothing is ever sent: this ends when the sender is dropped.
        let _ = landing.changed().await;
        None
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
