//! Verdicts that may be used again for the same bytes and the same policy input (F4).
//!
//! The key is a digest of everything the verdict was computed from, the epoch included: a change of
//! policy, catalog or identity status raises the epoch, and no older verdict is found any more.
//!
//! A template (`snowgate_sql::template`) has a key of its own kind, so that no text is ever taken for
//! one. Its verdict counts for its instances if it lets them run; otherwise it only says that exact
//! texts are to be asked for.

use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::{Decision, Verdict, retry::digest_part};

/// Digest of a verdict's inputs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VerdictKey([u8; 32]);

/// The inputs of a verdict beside the text. Whatever policy or analysis can read must be here.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// Epoch of policy, catalog and identities.
    pub epoch: u64,
    /// Digest of the identity's policy input, from the login.
    pub input: &'a str,
    /// Account, issuer and subject.
    pub principal: &'a str,
    /// Groups, sorted as the login gave them.
    pub groups: &'a [String],
    /// Pinned role.
    pub role: &'a str,
    /// Driver.
    pub client_app: &'a str,
    /// Address of the login.
    pub source: &'a str,
    /// Current database.
    pub database: &'a str,
    /// Current schema.
    pub schema: &'a str,
    /// Session and count of its statements that may have changed how names resolve (temporary
    /// objects, variables, parameters); `None` while there are none, so that sessions share verdicts.
    pub overlay: Option<(&'a str, u64)>,
    /// Only the shape of the result is asked for.
    pub describe_only: bool,
}

/// The text that a verdict is about.
#[derive(Clone, Copy, Debug)]
pub struct KeyText<'a> {
    /// Exact text, or a template's.
    pub sql: &'a str,
    /// Types of the binds, in order; of a template, those of its slots too.
    pub bind_types: &'a [String],
    /// `sql` is a template.
    pub template: bool,
}

/// The keys of one session in one epoch, whatever the text.
#[derive(Clone)]
pub struct VerdictKeys(Sha256);

impl VerdictKeys {
    /// The keys for `parts`.
    pub fn new(parts: &KeyParts<'_>) -> Self {
        let (overlay_session, overlay_count) = parts.overlay.unwrap_or(("", 0));
        let mut digest = Sha256::new();
        for part in [
            parts.epoch.to_be_bytes().as_slice(),
            parts.input.as_bytes(),
            parts.principal.as_bytes(),
            parts.role.as_bytes(),
            parts.client_app.as_bytes(),
            parts.source.as_bytes(),
            parts.database.as_bytes(),
            parts.schema.as_bytes(),
            overlay_session.as_bytes(),
            &overlay_count.to_be_bytes(),
            &[u8::from(parts.describe_only)],
            &(parts.groups.len() as u64).to_be_bytes(),
        ] {
            digest_part(&mut digest, part);
        }
        for group in parts.groups {
            digest_part(&mut digest, group.as_bytes());
        }
        Self(digest)
    }

    /// The key for a text.
    pub fn key(&self, text: &KeyText<'_>) -> VerdictKey {
        let mut digest = self.0.clone();
        digest_part(&mut digest, &[u8::from(text.template)]);
        digest_part(&mut digest, text.sql.as_bytes());
        for kind in text.bind_types {
            digest_part(&mut digest, kind.as_bytes());
        }
        VerdictKey(digest.finalize().into())
    }
}

/// What is known of a template.
#[derive(Clone, Debug)]
pub enum Known {
    /// Every instance has this verdict.
    Usable(Arc<Verdict>),
    /// Each instance is judged by its exact text.
    Exact,
}

/// The cache; bounded by a number of entries.
pub struct VerdictCache {
    entries: Cache<VerdictKey, Arc<Verdict>>,
}

impl VerdictCache {
    /// A cache of at most `capacity` verdicts.
    pub fn new(capacity: usize) -> Self {
        Self { entries: Cache::new(capacity) }
    }

    /// The verdict for `key`, if it may still be used at `now_s`.
    pub fn get(&self, key: &VerdictKey, now_s: f64) -> Option<Arc<Verdict>> {
        self.entries.get(key).filter(|verdict| verdict.valid_at(now_s))
    }

    /// Keep a verdict, if it says that it may be kept.
    pub fn insert(&self, key: VerdictKey, verdict: &Arc<Verdict>) {
        if verdict.cacheable {
            self.entries.insert(key, Arc::clone(verdict));
        }
    }

    /// What is known of the template under `key` at `now_s`.
    pub fn template(&self, key: &VerdictKey, now_s: f64) -> Option<Known> {
        self.get(key, now_s).map(|verdict| known(&verdict))
    }

    /// Keep a template's verdict, also one that is of no use: its instances are asked for at once
    /// then.
    pub fn insert_template(&self, key: VerdictKey, verdict: &Arc<Verdict>) -> Known {
        if !is_passing(verdict) {
            self.entries.insert(key, Arc::clone(verdict));
        }
        known(verdict)
    }

    /// Drop everything: the epoch changed, and old keys only take room.
    pub fn clear(&self) {
        self.entries.clear();
    }

    /// Verdicts held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A hold names what people approve, and a denial what is wrong: both are said of the exact text. But
/// what is denied for a reason that passes is denied for the same reason as an exact text.
fn known(verdict: &Arc<Verdict>) -> Known {
    let allowed = verdict.decision == Decision::Allow && verdict.cacheable;
    if allowed || is_passing(verdict) { Known::Usable(Arc::clone(verdict)) } else { Known::Exact }
}

/// Whether it is a denial for something that may be over in a moment, such as a catalog being read.
fn is_passing(verdict: &Verdict) -> bool {
    verdict.decision == Decision::Deny && !verdict.cacheable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(groups: &[String]) -> KeyParts<'_> {
        KeyParts {
            epoch: 1,
            input: "input",
            principal: "p",
            groups,
            role: "R",
            client_app: "app",
            source: "10.0.0.1",
            database: "D",
            schema: "S",
            overlay: None,
            describe_only: false,
        }
    }

    const TEXT: KeyText<'static> = KeyText { sql: "select 1", bind_types: &[], template: false };

    fn key() -> VerdictKey {
        VerdictKeys::new(&parts(&[])).key(&TEXT)
    }

    fn verdict(json: &str) -> Arc<Verdict> {
        Arc::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn sessions_that_differ_in_one_input_never_share_a_verdict() {
        let groups = ["a".to_owned(), "b".to_owned()];
        let base = parts(&groups);
        let fewer = parts(groups.get(..1).unwrap());
        let binds = ["b".to_owned()];
        let variants = [
            KeyParts { epoch: 2, ..base },
            KeyParts { input: "other", ..base },
            KeyParts { principal: "q", ..base },
            fewer,
            KeyParts { role: "Q", ..base },
            KeyParts { client_app: "other", ..base },
            KeyParts { source: "10.0.0.2", ..base },
            KeyParts { database: "E", ..base },
            KeyParts { schema: "T", ..base },
            KeyParts { overlay: Some(("s", 1)), ..base },
            KeyParts { describe_only: true, ..base },
        ];
        let cache = VerdictCache::new(100);
        let keys = VerdictKeys::new(&base);
        cache.insert(
            keys.key(&TEXT),
            &verdict(r#"{"epoch":1,"decision":"allow","cacheable":true}"#),
        );

        assert!(cache.get(&keys.key(&TEXT), 0.0).is_some());
        for variant in &variants {
            assert!(cache.get(&VerdictKeys::new(variant).key(&TEXT), 0.0).is_none(), "{variant:?}");
        }
        for text in [
            KeyText { sql: "select  1", ..TEXT },
            KeyText { bind_types: &binds, ..TEXT },
            KeyText { template: true, ..TEXT },
        ] {
            assert!(cache.get(&keys.key(&text), 0.0).is_none(), "{text:?}");
        }
        let shifted = VerdictKeys::new(&fewer).key(&KeyText { bind_types: &binds, ..TEXT });
        assert!(cache.get(&shifted, 0.0).is_none());
    }

    #[test]
    fn a_verdict_ends_at_its_time_boundary() {
        let cache = VerdictCache::new(4);
        let key = key();
        cache.insert(
            key,
            &verdict(r#"{"epoch":1,"decision":"allow","cacheable":true,"valid_until_s":100.0}"#),
        );

        assert!(cache.get(&key, 99.9).is_some());
        assert!(cache.get(&key, 100.0).is_none());
    }

    #[test]
    fn a_verdict_that_may_not_be_kept_is_not_kept() {
        let cache = VerdictCache::new(4);
        let key = key();
        cache.insert(key, &verdict(r#"{"epoch":1,"decision":"allow"}"#));
        assert!(cache.is_empty());
    }

    #[test]
    fn a_template_counts_for_its_instances_if_they_may_run() {
        let cases = [
            (r#"{"epoch":1,"decision":"allow","cacheable":true}"#, true, true),
            (r#"{"epoch":1,"decision":"allow","cacheable":false}"#, false, true),
            (r#"{"epoch":1,"decision":"hold","cacheable":false}"#, false, true),
            (r#"{"epoch":1,"decision":"deny","cacheable":true}"#, false, true),
            // Such as a catalog that is being read: it counts now, and is asked for again.
            (r#"{"epoch":1,"decision":"deny","cacheable":false}"#, true, false),
        ];
        for (json, usable, kept) in cases {
            let cache = VerdictCache::new(4);
            let key = key();
            let known = cache.insert_template(key, &verdict(json));
            assert_eq!(matches!(known, Known::Usable(_)), usable, "{json}");
            let found = cache.template(&key, 0.0);
            assert_eq!(found.is_some(), kept, "{json}");
            assert_eq!(matches!(found, Some(Known::Usable(_))), usable && kept, "{json}");
        }
    }
}
