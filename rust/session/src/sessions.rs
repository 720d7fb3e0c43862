//! Sessions by token: opening, renewal, expiry, kill.
//!
//! ```text
//!   open ──► live ──renew──► live, old token good for a moment more
//!              ├─ token expired ──► Expired (the driver renews)
//!              └─ closed, killed, too old ──► Gone (the driver must log in again)
//! ```
//!
//! The master token stays the same for the life of the session: a renewal whose answer is lost is
//! simply sent again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use crate::{Token, TokenHash, TokenKind, lock};

/// How long the token before the current one is still taken: requests already under way in other
/// threads of the driver carry it.
const OLD_TOKEN_GRACE_S: f64 = 60.0;

/// Hashes of ended sessions that are remembered, to answer "gone" rather than "unknown".
const REMEMBERED: usize = 4096;

/// What a token belongs to.
#[derive(Debug)]
pub enum Lookup<T> {
    /// A session that may act.
    Live(Arc<T>),
    /// The session lives, its token must be renewed.
    Expired,
    /// The session has ended.
    Gone,
    /// No such token.
    Unknown,
}

/// The tokens of a new session.
#[derive(Debug)]
pub struct Opened {
    /// Sent with every request.
    pub session: Token,
    /// Sent to renew.
    pub master: Token,
}

/// The token of a renewed session.
#[derive(Debug)]
pub struct Renewed<T> {
    /// The new session token.
    pub session: Token,
    /// Whose it is.
    pub owner: Arc<T>,
    /// Unix time at which the new token ends.
    pub token_expires_at_s: f64,
}

/// No room for another session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many sessions")]
pub struct SessionsFull;

/// A session to restore.
#[derive(Debug)]
pub struct Restored<T> {
    /// Public id.
    pub id: String,
    /// Hash of its session token.
    pub token: TokenHash,
    /// Hash of its master token.
    pub master: TokenHash,
    /// Unix time at which the session token ends.
    pub token_expires_at_s: f64,
    /// Unix time at which the session ends.
    pub expires_at_s: f64,
    /// What the caller keeps with it.
    pub owner: Arc<T>,
}

struct Row<T> {
    owner: Arc<T>,
    token: TokenHash,
    token_expires_at_s: f64,
    old_token: Option<(TokenHash, f64)>,
    master: TokenHash,
    expires_at_s: f64,
}

enum Slot {
    Session(String),
    Master(String),
    Ended,
}

struct State<T> {
    rows: HashMap<String, Row<T>>,
    slots: HashMap<TokenHash, Slot>,
    ended: VecDeque<TokenHash>,
}

/// The table of sessions. `T` is what the caller keeps with each.
pub struct Sessions<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    token_s: f64,
}

impl<T> Sessions<T> {
    /// A table of at most `capacity` sessions whose tokens last `token_s` seconds.
    pub fn new(capacity: usize, token_s: f64) -> Self {
        let state = State { rows: HashMap::new(), slots: HashMap::new(), ended: VecDeque::new() };
        Self { state: Mutex::new(state), capacity, token_s }
    }

    /// Whether one owner may have another session: of `same` ones there are less than half of what
    /// fits, so that nobody takes the room of all others.
    pub fn has_share(&self, same: impl Fn(&T) -> bool) -> Result<(), SessionsFull> {
        let state = lock(&self.state);
        let taken = state.rows.values().filter(|row| same(&row.owner)).count();
        if taken >= self.capacity.div_ceil(2) { Err(SessionsFull) } else { Ok(()) }
    }

    /// Add a session.
    ///
    /// The tokens are made by the caller beforehand, so that their hashes can be stored first.
    pub fn open(
        &self,
        id: &str,
        tokens: &Opened,
        now_s: f64,
        expires_at_s: f64,
        owner: Arc<T>,
    ) -> Result<f64, SessionsFull> {
        let token_expires_at_s = (now_s + self.token_s).min(expires_at_s);
        self.restore(Restored {
            id: id.to_owned(),
            token: tokens.session.hash(),
            master: tokens.master.hash(),
            token_expires_at_s,
            expires_at_s,
            owner,
        })?;
        Ok(token_expires_at_s)
    }

    /// Add a session whose tokens exist already.
    pub fn restore(&self, session: Restored<T>) -> Result<(), SessionsFull> {
        let mut state = lock(&self.state);
        if state.rows.len() >= self.capacity || state.rows.contains_key(&session.id) {
            return Err(SessionsFull);
        }
        state.slots.insert(session.token, Slot::Session(session.id.clone()));
        state.slots.insert(session.master, Slot::Master(session.id.clone()));
        state.rows.insert(
            session.id,
            Row {
                owner: session.owner,
                token: session.token,
                token_expires_at_s: session.token_expires_at_s,
                old_token: None,
                master: session.master,
                expires_at_s: session.expires_at_s,
            },
        );
        Ok(())
    }

    /// The session of a session token.
    pub fn by_token(&self, text: &str, now_s: f64) -> Lookup<T> {
        let Some(hash) = TokenHash::of(TokenKind::Session, text) else { return Lookup::Unknown };
        let state = lock(&self.state);
        let id = match state.slots.get(&hash) {
            Some(Slot::Session(id)) => id,
            Some(Slot::Ended) => return Lookup::Gone,
            Some(Slot::Master(_)) | None => return Lookup::Unknown,
        };
        let Some(row) = state.rows.get(id) else { return Lookup::Gone };
        if now_s >= row.expires_at_s {
            return Lookup::Gone;
        }
        let good_until_s = match row.old_token {
            Some((old, until_s)) if old == hash => until_s,
            _ => row.token_expires_at_s,
        };
        if now_s < good_until_s { Lookup::Live(Arc::clone(&row.owner)) } else { Lookup::Expired }
    }

    /// The session of a master token, for a renewal to be judged.
    pub fn by_master(&self, text: &str, now_s: f64) -> Lookup<T> {
        let Some(hash) = TokenHash::of(TokenKind::Master, text) else { return Lookup::Unknown };
        let state = lock(&self.state);
        let id = match state.slots.get(&hash) {
            Some(Slot::Master(id)) => id,
            Some(Slot::Ended) => return Lookup::Gone,
            Some(Slot::Session(_)) | None => return Lookup::Unknown,
        };
        match state.rows.get(id) {
            Some(row) if now_s < row.expires_at_s => Lookup::Live(Arc::clone(&row.owner)),
            _ => Lookup::Gone,
        }
    }

    /// Give a session a new token. The one before stays good for a moment; `None` if the session has
    /// ended meanwhile.
    pub fn renew(&self, id: &str, token: Token, now_s: f64) -> Option<Renewed<T>> {
        let mut state = lock(&self.state);
        let State { rows, slots, .. } = &mut *state;
        let row = rows.get_mut(id).filter(|row| now_s < row.expires_at_s)?;
        if let Some((forgotten, _)) = row.old_token.take() {
            slots.remove(&forgotten);
        }
        let until_s = row.token_expires_at_s.max(now_s).min(now_s + OLD_TOKEN_GRACE_S);
        row.old_token = Some((row.token, until_s));
        row.token = token.hash();
        row.token_expires_at_s = (now_s + self.token_s).min(row.expires_at_s);
        slots.insert(row.token, Slot::Session(id.to_owned()));
        Some(Renewed {
            session: token,
            owner: Arc::clone(&row.owner),
            token_expires_at_s: row.token_expires_at_s,
        })
    }

    /// The session with this id, if it lives.
    pub fn get(&self, id: &str, now_s: f64) -> Option<Arc<T>> {
        let state = lock(&self.state);
        let row = state.rows.get(id).filter(|row| now_s < row.expires_at_s)?;
        Some(Arc::clone(&row.owner))
    }

    /// Hashes and end of the current token: what is stored of a session.
    pub fn hashes(&self, id: &str) -> Option<(TokenHash, TokenHash, f64)> {
        let state = lock(&self.state);
        state.rows.get(id).map(|row| (row.token, row.master, row.token_expires_at_s))
    }

    /// End a session: closed, killed, or lost upstream. Its tokens are "gone" from now on.
    pub fn end(&self, id: &str) -> Option<Arc<T>> {
        let mut state = lock(&self.state);
        let row = state.rows.remove(id)?;
        let old = row.old_token.map(|(hash, _)| hash);
        for hash in [Some(row.token), Some(row.master), old].into_iter().flatten() {
            state.slots.insert(hash, Slot::Ended);
            state.ended.push_back(hash);
        }
        while state.ended.len() > REMEMBERED {
            if let Some(hash) = state.ended.pop_front() {
                state.slots.remove(&hash);
            }
        }
        Some(row.owner)
    }

    /// Ids of the sessions whose time is over.
    pub fn overdue(&self, now_s: f64) -> Vec<String> {
        let state = lock(&self.state);
        let over = state.rows.iter().filter(|(_, row)| now_s >= row.expires_at_s);
        over.map(|(id, _)| id.clone()).collect()
    }

    /// All live sessions.
    pub fn all(&self) -> Vec<Arc<T>> {
        lock(&self.state).rows.values().map(|row| Arc::clone(&row.owner)).collect()
    }

    /// Number of live sessions.
    pub fn len(&self) -> usize {
        lock(&self.state).rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> Opened {
        Opened {
            session: Token::random(TokenKind::Session).unwrap(),
            master: Token::random(TokenKind::Master).unwrap(),
        }
    }

    fn live(lookup: Lookup<u32>) -> Option<u32> {
        match lookup {
            Lookup::Live(owner) => Some(*owner),
            _ => None,
        }
    }

    #[test]
    fn an_expired_token_is_renewed_with_the_master_token_only() {
        let table = Sessions::new(4, 100.0);
        let tokens = tokens();
        table.open("s", &tokens, 0.0, 1000.0, Arc::new(1_u32)).unwrap();
        assert!(matches!(table.by_token(tokens.session.reveal(), 100.0), Lookup::Expired));
        assert!(matches!(table.by_master(tokens.session.reveal(), 100.0), Lookup::Unknown));
        assert_eq!(live(table.by_master(tokens.master.reveal(), 100.0)), Some(1));

        let renewed = table.renew("s", Token::random(TokenKind::Session).unwrap(), 100.0).unwrap();

        assert_eq!(live(table.by_token(renewed.session.reveal(), 150.0)), Some(1));
        assert!(matches!(table.by_token(renewed.session.reveal(), 200.0), Lookup::Expired));
    }

    #[test]
    fn requests_under_way_during_a_renewal_still_pass() {
        let table = Sessions::new(4, 1000.0);
        let tokens = tokens();
        table.open("s", &tokens, 0.0, 5000.0, Arc::new(1_u32)).unwrap();
        table.renew("s", Token::random(TokenKind::Session).unwrap(), 10.0).unwrap();

        assert_eq!(live(table.by_token(tokens.session.reveal(), 20.0)), Some(1));
        assert!(matches!(table.by_token(tokens.session.reveal(), 71.0), Lookup::Expired));
    }

    #[test]
    fn a_session_ends_at_its_time_and_cannot_be_renewed() {
        let table = Sessions::new(4, 100.0);
        let tokens = tokens();
        table.open("s", &tokens, 0.0, 50.0, Arc::new(1_u32)).unwrap();

        assert!(matches!(table.by_token(tokens.session.reveal(), 50.0), Lookup::Gone));
        assert!(matches!(table.by_master(tokens.master.reveal(), 50.0), Lookup::Gone));
        assert!(table.renew("s", Token::random(TokenKind::Session).unwrap(), 50.0).is_none());
        assert_eq!(table.overdue(50.0), ["s"]);
    }

    #[test]
    fn a_full_table_refuses() {
        let table = Sessions::new(1, 100.0);
        table.open("a", &tokens(), 0.0, 50.0, Arc::new(1_u32)).unwrap();
        assert_eq!(table.open("b", &tokens(), 0.0, 50.0, Arc::new(2)), Err(SessionsFull));
    }

    #[test]
    fn one_owner_has_half_of_the_table_at_most() {
        let table = Sessions::new(3, 100.0);
        for id in ["a", "b"] {
            assert_eq!(table.has_share(|owner| *owner == 1), Ok(()));
            table.open(id, &tokens(), 0.0, 50.0, Arc::new(1_u32)).unwrap();
        }
        assert_eq!(table.has_share(|owner| *owner == 1), Err(SessionsFull));
        assert_eq!(table.has_share(|owner| *owner == 2), Ok(()));
        table.end("a");
        assert_eq!(table.has_share(|owner| *owner == 1), Ok(()));
    }

    proptest! {
        /// Whatever the order of events, a token never opens another session than its own, and an
        /// ended session never comes back.
        #[test]
        fn tokens_open_their_own_session_or_none(events in prop::collection::vec(
            (0_usize..3, 0_u8..4), 1..40,
        )) {
            let table = Sessions::new(8, 100.0);
            let mut known: Vec<(usize, String)> = Vec::new();
            let mut ended = [false; 3];
            for id in 0..3_usize {
                let tokens = tokens();
                table.open(&id.to_string(), &tokens, 0.0, 1e9, Arc::new(id)).unwrap();
                known.push((id, tokens.session.reveal().to_owned()));
            }
            let mut now_s = 0.0;
            for (id, event) in events {
                now_s += 1.0;
                match event {
                    0 => {
                        table.end(&id.to_string());
                        ended[id] = true;
                    }
                    1 | 2 => {
                        let token = Token::random(TokenKind::Session).unwrap();
                        if let Some(renewed) = table.renew(&id.to_string(), token, now_s) {
                            known.push((id, renewed.session.reveal().to_owned()));
                        }
                    }
                    _ => {}
                }
                for (owner, token) in &known {
                    match table.by_token(token, now_s) {
                        Lookup::Live(found) => {
                            prop_assert_eq!(*found, *owner);
                            prop_assert!(!ended[*owner]);
                        }
                        Lookup::Expired | Lookup::Unknown => {}
                        Lookup::Gone => prop_assert!(ended[*owner]),
                    }
                }
            }
        }
    }
}
