//! What makes two requests the same statement (F11).
//!
//! ```text
//!   session ‖ client requestId ‖ body digest ──HMAC──► query id shown to the client
//!                                                         └──HMAC──► upstream requestId
//! ```
//!
//! Both ids follow from the request alone, so they are the same after a restart and on every replica:
//! a retry finds the intent of its first attempt, and upstream sees one statement.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Subkey;

/// Digest of everything in a request that decides what runs.
pub type BodyDigest = [u8; 32];

/// SHA-256 over `parts`, each preceded by its length, so that shifted parts differ.
pub fn parts_digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest_part(&mut digest, part);
    }
    digest.finalize().into()
}

/// Add a part to a digest, preceded by its length.
pub(crate) fn digest_part(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_be_bytes());
    digest.update(part);
}

/// The two ids of a statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Query id the client sees.
    pub query_id: Uuid,
    /// requestId sent upstream.
    pub upstream_request_id: Uuid,
}

impl Identity {
    /// The ids of a request, in the form of random UUIDs: drivers and Snowflake check the form.
    pub fn derive(key: &Subkey, session: &str, request: &Uuid, digest: &BodyDigest) -> Self {
        let mac = key.mac(&[b"query", session.as_bytes(), request.as_bytes(), digest]);
        Self::of_query(key, uuid_of(mac))
    }

    /// The ids of a statement whose query id is known.
    pub fn of_query(key: &Subkey, query_id: Uuid) -> Self {
        let mac = key.mac(&[b"upstream", query_id.as_bytes()]);
        Self { query_id, upstream_request_id: uuid_of(mac) }
    }
}

fn uuid_of(mac: [u8; 32]) -> Uuid {
    let mut bytes = [0_u8; 16];
    for (target, source) in bytes.iter_mut().zip(mac) {
        *target = source;
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Keys;

    proptest! {
        #[test]
        fn ids_are_stable_and_every_input_counts(
            session in "[a-z]{1,8}", request in any::<u128>(), sql in ".{0,20}", binds in ".{0,9}",
        ) {
            let key = Keys::new([1; 32]).subkey("retry");
            let other_key = Keys::new([2; 32]).subkey("retry");
            let request = Uuid::from_u128(request);
            let digest = parts_digest(&[sql.as_bytes(), binds.as_bytes()]);
            let base = Identity::derive(&key, &session, &request, &digest);

            prop_assert_eq!(base, Identity::derive(&key, &session, &request, &digest));
            prop_assert_ne!(base.query_id, base.upstream_request_id);
            prop_assert_eq!(base.upstream_request_id.get_version_num(), 4);
            for other in [
                Identity::derive(&other_key, &session, &request, &digest),
                Identity::derive(&key, &format!("{session}x"), &request, &digest),
                Identity::derive(&key, &session, &Uuid::from_u128(!request.as_u128()), &digest),
                Identity::derive(&key, &session, &request,
                    &parts_digest(&[format!("{sql}{binds}").as_bytes(), b"x"])),
            ] {
                prop_assert_ne!(base.upstream_request_id, other.upstream_request_id);
                prop_assert_ne!(base.query_id, other.query_id);
            }
        }
    }
}
