//! Statements by query id and by request: ownership, and retries that meet their first attempt.
//!
//! ```text
//!   (session, requestId) ──► query id ──► statement
//!                 upstream query id ──┘
//! ```
//!
//! # Rules
//!
//! - Same session, requestId and bytes: the same statement. Other bytes: refused (F11).
//! - A statement belongs to one session; whoever asks by query id says for which (F5).
//! - A statement under way is never forgotten; of the finished ones the oldest goes first.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use uuid::Uuid;

use crate::{BodyDigest, lock};

/// Bounds of the table.
#[derive(Clone, Copy, Debug)]
pub struct StatementLimits {
    /// Statements of one session that may be under way, held ones included.
    pub open_per_session: usize,
    /// Finished statements remembered for one session.
    pub finished_per_session: usize,
    /// Statements in all.
    pub total: usize,
}

impl Default for StatementLimits {
    /// Drivers run a few statements at once and fetch recent results; 10,000 sessions of them fit.
    fn default() -> Self {
        Self { open_per_session: 64, finished_per_session: 1000, total: 200_000 }
    }
}

/// Result of registering a request.
#[derive(Debug)]
pub enum Registered<T> {
    /// Its first attempt: the caller runs it.
    New(Arc<T>),
    /// A retry of this statement.
    Same(Arc<T>),
    /// The requestId was used for other bytes.
    Differs,
    /// Too many statements are under way.
    Busy,
}

struct Row<T> {
    session: String,
    request: Uuid,
    digest: BodyDigest,
    upstream: Option<Uuid>,
    finished: bool,
    statement: Arc<T>,
}

#[derive(Default)]
struct OfSession {
    requests: HashMap<Uuid, Uuid>,
    finished: VecDeque<Uuid>,
}

struct State<T> {
    rows: HashMap<Uuid, Row<T>>,
    aliases: HashMap<Uuid, Uuid>,
    sessions: HashMap<String, OfSession>,
}

/// The table of statements. `T` is what the caller keeps with each.
pub struct Statements<T> {
    state: Mutex<State<T>>,
    limits: StatementLimits,
}

impl<T> State<T> {
    fn remove(&mut self, query_id: &Uuid) -> Option<Arc<T>> {
        let row = self.rows.remove(query_id)?;
        if let Some(upstream) = row.upstream {
            self.aliases.remove(&upstream);
        }
        if let Some(session) = self.sessions.get_mut(&row.session) {
            session.requests.remove(&row.request);
        }
        Some(row.statement)
    }
}

impl<T> Statements<T> {
    /// An empty table.
    pub fn new(limits: StatementLimits) -> Self {
        let state =
            State { rows: HashMap::new(), aliases: HashMap::new(), sessions: HashMap::new() };
        Self { state: Mutex::new(state), limits }
    }

    /// Find the statement of a request, or add it. `make` is called for a new one only.
    pub fn register(
        &self,
        session: &str,
        request: Uuid,
        digest: &BodyDigest,
        query_id: Uuid,
        make: impl FnOnce() -> T,
    ) -> Registered<T> {
        let mut state = lock(&self.state);
        let known = state.sessions.get(session).and_then(|of| of.requests.get(&request));
        if let Some(row) = known.and_then(|known| state.rows.get(known)) {
            return if row.digest == *digest {
                Registered::Same(Arc::clone(&row.statement))
            } else {
                Registered::Differs
            };
        }
        let State { rows, sessions, .. } = &mut *state;
        let of = sessions.entry(session.to_owned()).or_default();
        // A statement that is held since before a restart is found by its query id first: that id
        // follows from session, requestId and bytes, so it is the same statement.
        if let Some(row) = rows.get_mut(&query_id) {
            if row.session != session || row.digest != *digest {
                return Registered::Differs;
            }
            of.requests.remove(&row.request);
            of.requests.insert(request, query_id);
            row.request = request;
            return Registered::Same(Arc::clone(&row.statement));
        }
        let open = of.requests.len().saturating_sub(of.finished.len());
        if open >= self.limits.open_per_session || rows.len() >= self.limits.total {
            return Registered::Busy;
        }
        of.requests.insert(request, query_id);
        let statement = Arc::new(make());
        rows.insert(
            query_id,
            Row {
                session: session.to_owned(),
                request,
                digest: *digest,
                upstream: None,
                finished: false,
                statement: Arc::clone(&statement),
            },
        );
        Registered::New(statement)
    }

    /// The statement of `session` with this query id, ours or upstream's. Another session's is not
    /// found: it does not exist for the asker.
    pub fn by_query(&self, session: &str, query_id: &Uuid) -> Option<Arc<T>> {
        let state = lock(&self.state);
        let own = state.aliases.get(query_id).unwrap_or(query_id);
        let row = state.rows.get(own).filter(|row| row.session == session)?;
        Some(Arc::clone(&row.statement))
    }

    /// The statement with our query id, whosever it is; for the control plane only.
    pub fn any(&self, query_id: &Uuid) -> Option<Arc<T>> {
        lock(&self.state).rows.get(query_id).map(|row| Arc::clone(&row.statement))
    }

    /// The statement of a request, to cancel it.
    pub fn by_request(&self, session: &str, request: &Uuid) -> Option<Arc<T>> {
        let state = lock(&self.state);
        let query_id = state.sessions.get(session)?.requests.get(request)?;
        state.rows.get(query_id).map(|row| Arc::clone(&row.statement))
    }

    /// Upstream gave the statement this id: both work from now on.
    pub fn alias(&self, query_id: &Uuid, upstream: Uuid) {
        let mut state = lock(&self.state);
        let State { rows, aliases, .. } = &mut *state;
        let Some(row) = rows.get_mut(query_id) else { return };
        if let Some(before) = row.upstream.replace(upstream) {
            aliases.remove(&before);
        }
        aliases.insert(upstream, *query_id);
    }

    /// The statement came to its end: it may be forgotten when room is needed.
    pub fn finish(&self, query_id: &Uuid) {
        let mut state = lock(&self.state);
        let State { rows, sessions, .. } = &mut *state;
        let Some(row) = rows.get_mut(query_id).filter(|row| !row.finished) else { return };
        row.finished = true;
        let Some(of) = sessions.get_mut(&row.session) else { return };
        of.finished.push_back(*query_id);
        if of.finished.len() > self.limits.finished_per_session
            && let Some(oldest) = of.finished.pop_front()
        {
            state.remove(&oldest);
        }
    }

    /// Forget a statement that came to its end after its session.
    pub fn forget(&self, query_id: &Uuid) {
        let mut state = lock(&self.state);
        let Some(session) = state.rows.get(query_id).map(|row| row.session.clone()) else { return };
        state.remove(query_id);
        if state.sessions.get(&session).is_some_and(|of| of.requests.is_empty()) {
            state.sessions.remove(&session);
        }
    }

    /// Forget a session and give back its statements, finished or not.
    pub fn end_session(&self, session: &str) -> Vec<Arc<T>> {
        let mut state = lock(&self.state);
        let Some(of) = state.sessions.remove(session) else { return Vec::new() };
        of.requests.values().filter_map(|query_id| state.remove(query_id)).collect()
    }

    /// All statements of a session.
    pub fn of_session(&self, session: &str) -> Vec<Arc<T>> {
        let state = lock(&self.state);
        let Some(of) = state.sessions.get(session) else { return Vec::new() };
        let rows = of.requests.values().filter_map(|query_id| state.rows.get(query_id));
        rows.map(|row| Arc::clone(&row.statement)).collect()
    }

    /// Every statement, for the sweep.
    pub fn all(&self) -> Vec<Arc<T>> {
        lock(&self.state).rows.values().map(|row| Arc::clone(&row.statement)).collect()
    }

    /// Statements held.
    pub fn len(&self) -> usize {
        lock(&self.state).rows.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: StatementLimits =
        StatementLimits { open_per_session: 2, finished_per_session: 2, total: 100 };

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn a_retry_meets_its_first_attempt_and_other_bytes_are_refused() {
        let table = Statements::new(SMALL);
        assert!(matches!(table.register("s", id(1), &[0; 32], id(10), || 'a'), Registered::New(_)));

        assert!(matches!(
            table.register("s", id(1), &[0; 32], id(10), || 'b'),
            Registered::Same(statement) if *statement == 'a'
        ));
        assert!(matches!(
            table.register("s", id(1), &[1; 32], id(11), || 'c'),
            Registered::Differs
        ));
        assert!(matches!(table.register("t", id(1), &[1; 32], id(12), || 'd'), Registered::New(_)));
    }

    #[test]
    fn another_session_does_not_find_a_statement_by_either_id() {
        let table = Statements::new(SMALL);
        table.register("s", id(1), &[0; 32], id(10), || 'a');
        table.alias(&id(10), id(99));

        assert!(table.by_query("s", &id(10)).is_some());
        assert!(table.by_query("s", &id(99)).is_some());
        assert!(table.by_query("t", &id(10)).is_none());
        assert!(table.by_query("t", &id(99)).is_none());
        assert!(table.by_request("t", &id(1)).is_none());
    }

    #[test]
    fn a_statement_that_began_as_its_session_ended_is_forgotten_alone() {
        let table = Statements::new(SMALL);
        table.end_session("s");
        table.register("s", id(1), &[0; 32], id(10), || 'a');
        table.register("s", id(2), &[0; 32], id(11), || 'b');

        table.forget(&id(10));

        assert!(table.by_query("s", &id(10)).is_none());
        assert!(table.by_query("s", &id(11)).is_some());
        table.forget(&id(11));
        assert!(table.is_empty());
        assert!(table.end_session("s").is_empty());
    }

    #[test]
    fn a_retry_meets_a_statement_that_was_found_by_its_query_id_before() {
        let table = Statements::new(SMALL);
        table.register("s", id(10), &[0; 32], id(10), || 'a');

        assert!(matches!(
            table.register("s", id(1), &[0; 32], id(10), || 'b'),
            Registered::Same(statement) if *statement == 'a'
        ));
        assert!(table.by_request("s", &id(1)).is_some());
        assert!(matches!(
            table.register("t", id(1), &[0; 32], id(10), || 'c'),
            Registered::Differs
        ));
    }

    #[test]
    fn statements_under_way_are_bounded_and_never_forgotten() {
        let table = Statements::new(SMALL);
        table.register("s", id(1), &[0; 32], id(10), || 'a');
        table.register("s", id(2), &[0; 32], id(20), || 'b');
        assert!(matches!(table.register("s", id(3), &[0; 32], id(30), || 'c'), Registered::Busy));

        table.finish(&id(20));

        assert!(matches!(table.register("s", id(3), &[0; 32], id(30), || 'c'), Registered::New(_)));
        assert!(table.by_query("s", &id(10)).is_some());
    }

    proptest! {
        /// The table against a model: an open statement is always found, by its session only, and
        /// the bounds hold.
        #[test]
        fn open_statements_stay_and_bounds_hold(events in prop::collection::vec(
            (0_usize..2, 1_u128..8, 0_u8..5), 1..80,
        )) {
            let table = Statements::new(SMALL);
            let mut open: Vec<(usize, u128)> = Vec::new();
            for (session, request, event) in events {
                let name = session.to_string();
                let query = id(request * 10 + session as u128);
                match event {
                    0..=2 => {
                        let result = table.register(&name, id(request), &[0; 32], query, || query);
                        if matches!(result, Registered::New(_)) {
                            open.push((session, request));
                        }
                    }
                    3 => {
                        table.finish(&query);
                        open.retain(|entry| *entry != (session, request));
                    }
                    _ => {
                        table.end_session(&name);
                        open.retain(|(of, _)| *of != session);
                    }
                }
                for session in 0..2 {
                    let count = open.iter().filter(|(of, _)| *of == session).count();
                    prop_assert!(count <= SMALL.open_per_session);
                    let all = table.of_session(&session.to_string()).len();
                    prop_assert!(all <= count + SMALL.finished_per_session);
                }
                for (session, request) in &open {
                    let query = id(request * 10 + *session as u128);
                    prop_assert!(table.by_query(&session.to_string(), &query).is_some());
                    prop_assert!(table.by_query(&(1 - session).to_string(), &query).is_none());
                }
            }
        }
    }
}
