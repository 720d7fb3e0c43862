//! `QUERY_TAG` of every statement: says which entry of which ledger it belongs to (F24).
//!
//! The MAC is over gateway, entry number and text, so that a tag cannot be moved to another statement
//! nor made by somebody else; what the client wanted as its tag is kept inside.

use serde::Serialize;
use sha2::{Digest, Sha256};
use snowgate_session::Subkey;

/// Longest tag Snowflake takes, in characters.
const TAG_CHARS: usize = 2000;

/// Layout of the tag.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Tag<'a> {
    v: u32,
    gw: &'a str,
    seq: u64,
    mac: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    client: &'a str,
}

/// The tag of the statement whose intent is entry `seq`.
pub(crate) fn query_tag(key: &Subkey, gateway: &str, seq: u64, sql: &str, client: &str) -> String {
    let text_hash = Sha256::digest(sql.as_bytes());
    let mac = hex::encode(key.mac(&[gateway.as_bytes(), &seq.to_be_bytes(), &text_hash]));
    let mut tag = Tag { v: VERSION, gw: gateway, seq, mac, client };
    let mut kept = client.chars().count();
    loop {
        let text = serde_json::to_string(&tag).unwrap_or_default();
        if kept == 0 || text.chars().count() <= TAG_CHARS {
            return text;
        }
        kept /= 2;
        let end = client.char_indices().nth(kept).map_or(client.len(), |(at, _)| at);
        tag.client = client.get(..end).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use snowgate_session::Keys;

    use super::*;

    fn tag(seq: u64, sql: &str, client: &str) -> serde_json::Value {
        let key = Keys::new([1; 32]).subkey("tag");
        serde_json::from_str(&query_tag(&key, "gw-1", seq, sql, client)).unwrap()
    }

    #[test]
    fn a_tag_fits_one_statement_and_one_entry_only() {
        let base = tag(7, "select 1", "nightly");
        assert_eq!(base["client"], "nightly");
        assert_eq!(base["seq"], 7);
        assert_ne!(base["mac"], tag(8, "select 1", "nightly")["mac"]);
        assert_ne!(base["mac"], tag(7, "select 2", "nightly")["mac"]);
        assert_eq!(base["mac"], tag(7, "select 1", "forged \"mac\":\"0\"")["mac"]);
    }

    #[test]
    fn a_tag_of_one_gateway_is_none_of_another() {
        let mac = |root: u8, gateway: &str| {
            let key = Keys::new([root; 32]).subkey("tag");
            let text = query_tag(&key, gateway, 7, "select 1", "");
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["mac"].clone()
        };
        assert_ne!(mac(1, "gw-1"), mac(1, "gw-2"));
        assert_ne!(mac(1, "gw-1"), mac(2, "gw-1"), "nobody makes one without the key");
    }

    #[test]
    fn a_long_client_tag_is_cut_to_what_snowflake_takes() {
        let key = Keys::new([1; 32]).subkey("tag");
        let text = query_tag(&key, "gw-1", 7, "select 1", &"\"ä".repeat(1000));
        assert!(text.chars().count() <= TAG_CHARS);
    }
}
