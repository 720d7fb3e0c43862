//! Chunk tickets: what a client needs to fetch one chunk of one result (F20).
//!
//! ```text
//!   URL:     public id (drivers log it)          chunkHeaders: secret (they do not)
//!                 └────────────► ticket ◄──── opens ───┘
//!                                  └─► real URL and headers, encrypted under the secret
//! ```
//!
//! The table holds the secret's hash and a ciphertext, so neither the table nor a logged URL gives a
//! chunk away.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Token, TokenHash, TokenKind, keys::Keys, lock};

/// Tickets of one session. Beyond it the oldest result of the session loses its chunks.
const PER_SESSION: usize = 20_000;

/// Tickets in all; each takes about two kilobytes.
const TOTAL: usize = 100_000;

/// The chunks of one result could not be ticketed; the result is withheld.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No randomness, or the cipher failed.
    #[error("chunk addresses cannot be sealed")]
    Cipher,
    /// Too many chunks.
    #[error("the result has more chunks than tickets are left")]
    Full,
}

/// What belongs to all chunks of one result.
#[derive(Debug)]
pub struct TicketSet<T> {
    /// Session that may fetch them.
    pub session: String,
    /// Unix time at which they end.
    pub expires_at_s: f64,
    /// Fetches allowed for each chunk.
    pub uses: u32,
    /// What the caller keeps with them, such as the mask plan.
    pub context: Arc<T>,
}

/// A ticket that was opened.
#[derive(Debug)]
pub struct Ticket<T> {
    /// Session it belongs to; the caller checks that it may still act.
    pub session: String,
    /// The real address and headers, as sealed.
    pub address: Zeroizing<Vec<u8>>,
    /// What the caller kept with it.
    pub context: Arc<T>,
    /// Unix time at which a running fetch must end too.
    pub expires_at_s: f64,
}

/// Outcome of presenting a ticket.
#[derive(Debug)]
pub enum Redeemed<T> {
    /// Good; one use is spent.
    Open(Ticket<T>),
    /// Unknown id, wrong secret, expired or used up: the client learns no difference.
    Refused,
}

struct Row<T> {
    set: Arc<TicketSet<T>>,
    secret: TokenHash,
    nonce: [u8; 12],
    sealed: Vec<u8>,
    uses_left: u32,
}

struct State<T> {
    rows: HashMap<Uuid, Row<T>>,
    results: HashMap<String, VecDeque<Vec<Uuid>>>,
}

/// The table of tickets.
pub struct Tickets<T> {
    state: Mutex<State<T>>,
}

impl<T> Default for Tickets<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { rows: HashMap::new(), results: HashMap::new() }) }
    }
}

/// The cipher under a secret. The public id is bound as associated data, so a ciphertext moved to
/// another ticket does not open.
fn cipher(secret: &str) -> Result<LessSafeKey, SealError> {
    let mut root = Zeroizing::new([0_u8; 32]);
    let digits = secret.strip_prefix(TokenKind::Chunk.prefix()).ok_or(SealError::Cipher)?;
    hex::decode_to_slice(digits, root.as_mut()).map_err(|_| SealError::Cipher)?;
    let key = Keys::new(*root).subkey("chunk-address");
    UnboundKey::new(&AES_256_GCM, key.bytes()).map(LessSafeKey::new).map_err(|_| SealError::Cipher)
}

impl<T> Tickets<T> {
    /// Ticket every address of one result. Returns the secret for all of them, and their public ids
    /// in order.
    pub fn issue(
        &self,
        set: TicketSet<T>,
        addresses: &[Zeroizing<Vec<u8>>],
    ) -> Result<(Token, Vec<Uuid>), SealError> {
        if addresses.len() > PER_SESSION {
            return Err(SealError::Full);
        }
        let secret = Token::random(TokenKind::Chunk).ok_or(SealError::Cipher)?;
        let key = cipher(secret.reveal())?;
        let set = Arc::new(set);
        let mut rows = Vec::with_capacity(addresses.len());
        for address in addresses {
            let id = Uuid::new_v4();
            let mut nonce = [0_u8; 12];
            aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Cipher)?;
            let mut sealed = address.to_vec();
            key.seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(id.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| SealError::Cipher)?;
            let uses_left = set.uses;
            let set = Arc::clone(&set);
            rows.push((id, Row { set, secret: secret.hash(), nonce, sealed, uses_left }));
        }
        let ids: Vec<Uuid> = rows.iter().map(|(id, _)| *id).collect();
        let mut state = lock(&self.state);
        state.make_room(&set.session, ids.len())?;
        state.rows.extend(rows);
        state.results.entry(set.session.clone()).or_default().push_back(ids.clone());
        Ok((secret, ids))
    }

    /// Open a ticket with its secret, and spend one use.
    pub fn redeem(&self, id: &Uuid, secret: &str, now_s: f64) -> Redeemed<T> {
        let Some(hash) = TokenHash::of(TokenKind::Chunk, secret) else { return Redeemed::Refused };
        let (nonce, mut sealed, set) = {
            let mut state = lock(&self.state);
            let Some(row) = state.rows.get_mut(id) else { return Redeemed::Refused };
            if row.secret != hash || row.uses_left == 0 || now_s >= row.set.expires_at_s {
                return Redeemed::Refused;
            }
            row.uses_left -= 1;
            (row.nonce, Zeroizing::new(row.sealed.clone()), Arc::clone(&row.set))
        };
        let opened = cipher(secret).ok().and_then(|key| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let plain = key.open_in_place(nonce, Aad::from(id.as_bytes()), &mut sealed).ok()?;
            Some(Zeroizing::new(plain.to_vec()))
        });
        match opened {
            Some(address) => Redeemed::Open(Ticket {
                session: set.session.clone(),
                address,
                context: Arc::clone(&set.context),
                expires_at_s: set.expires_at_s,
            }),
            None => Redeemed::Refused,
        }
    }

    /// Drop the tickets of a session.
    pub fn end_session(&self, session: &str) {
        let mut state = lock(&self.state);
        for id in state.results.remove(session).into_iter().flatten().flatten() {
            state.rows.remove(&id);
        }
    }

    /// Drop what has expired.
    pub fn sweep(&self, now_s: f64) {
        let mut state = lock(&self.state);
        let State { rows, results } = &mut *state;
        rows.retain(|_, row| now_s < row.set.expires_at_s);
        for of_session in results.values_mut() {
            of_session.retain(|ids| ids.first().is_some_and(|id| rows.contains_key(id)));
        }
        results.retain(|_, of_session| !of_session.is_empty());
    }

    /// Tickets held.
    pub fn len(&self) -> usize {
        lock(&self.state).rows.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> State<T> {
    fn make_room(&mut self, session: &str, count: usize) -> Result<(), SealError> {
        let State { rows, results } = self;
        if let Some(of_session) = results.get_mut(session) {
            let mut held: usize = of_session.iter().map(Vec::len).sum();
            while held + count > PER_SESSION {
                let Some(oldest) = of_session.pop_front() else { break };
                held -= oldest.len();
                for id in oldest {
                    rows.remove(&id);
                }
            }
        }
        if rows.len() + count > TOTAL { Err(SealError::Full) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(session: &str, uses: u32) -> TicketSet<u8> {
        TicketSet { session: session.to_owned(), expires_at_s: 100.0, uses, context: Arc::new(7) }
    }

    fn address(text: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(text.as_bytes().to_vec())
    }

    fn opens(result: &Redeemed<u8>) -> bool {
        matches!(result, Redeemed::Open(_))
    }

    #[test]
    fn the_public_id_alone_opens_nothing() {
        let table = Tickets::default();
        let (secret, ids) = table.issue(set("s", 10), &[address("https://a")]).unwrap();
        let other = Token::random(TokenKind::Chunk).unwrap();

        assert!(!opens(&table.redeem(&ids[0], "", 0.0)));
        assert!(!opens(&table.redeem(&ids[0], other.reveal(), 0.0)));
        assert!(!opens(&table.redeem(&Uuid::new_v4(), secret.reveal(), 0.0)));
        let Redeemed::Open(ticket) = table.redeem(&ids[0], secret.reveal(), 0.0) else {
            panic!("the right secret opens it")
        };
        assert_eq!(ticket.address.as_slice(), b"https://a");
    }

    #[test]
    fn who_has_the_public_id_alone_does_not_use_the_ticket_up() {
        let table = Tickets::default();
        let (secret, ids) = table.issue(set("s", 1), &[address("a")]).unwrap();
        for _ in 0..20 {
            let guess = Token::random(TokenKind::Chunk).unwrap();
            assert!(!opens(&table.redeem(&ids[0], guess.reveal(), 0.0)));
        }

        assert!(opens(&table.redeem(&ids[0], secret.reveal(), 0.0)));
    }

    #[test]
    fn a_ticket_ends_with_its_time_and_its_session() {
        let table = Tickets::default();
        let (secret, ids) = table.issue(set("s", 10), &[address("a")]).unwrap();
        assert!(!opens(&table.redeem(&ids[0], secret.reveal(), 100.0)));
        assert!(opens(&table.redeem(&ids[0], secret.reveal(), 99.0)));

        table.end_session("s");

        assert!(!opens(&table.redeem(&ids[0], secret.reveal(), 99.0)));
        assert!(table.is_empty());
    }

    #[test]
    fn the_table_does_not_hold_the_address_in_clear() {
        let table = Tickets::default();
        table.issue(set("s", 1), &[address("https://bucket/secret-signature")]).unwrap();
        let state = lock(&table.state);
        let row = state.rows.values().next().unwrap();
        assert!(!row.sealed.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn an_address_moved_to_another_ticket_does_not_open() {
        let table = Tickets::default();
        let (secret, ids) = table.issue(set("s", 9), &[address("a"), address("b")]).unwrap();
        {
            let rows = &mut lock(&table.state).rows;
            let other = rows.remove(&ids[1]).unwrap();
            let row = rows.get_mut(&ids[0]).unwrap();
            (row.nonce, row.sealed) = (other.nonce, other.sealed);
        }

        assert!(!opens(&table.redeem(&ids[0], secret.reveal(), 0.0)));
    }

    #[test]
    fn the_oldest_result_of_a_session_gives_way() {
        let table = Tickets::default();
        let many: Vec<_> = (0..=PER_SESSION / 2).map(|_| address("a")).collect();
        let (old_secret, old) = table.issue(set("s", 1), &many).unwrap();
        let (new_secret, new) = table.issue(set("s", 1), &many).unwrap();

        assert!(!opens(&table.redeem(&old[0], old_secret.reveal(), 0.0)));
        assert!(opens(&table.redeem(&new[0], new_secret.reveal(), 0.0)));
    }

    proptest! {
        #[test]
        fn a_ticket_opens_exactly_as_often_as_allowed(uses in 0_u32..5, tries in 0_usize..10) {
            let table = Tickets::default();
            let (secret, ids) = table.issue(set("s", uses), &[address("a"), address("b")]).unwrap();
            let opened =
                (0..tries).filter(|_| opens(&table.redeem(&ids[0], secret.reveal(), 0.0))).count();
            prop_assert_eq!(opened, tries.min(uses as usize));
            prop_assert_eq!(opens(&table.redeem(&ids[1], secret.reveal(), 0.0)), uses > 0);
        }
    }
}
