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

use crate::{Decision, Verdict, retry::parts_digest};

/// Digest of a verdict's inputs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VerdictKey([u8; 32]);

/// The inputs of a verdict. Whatever policy or analysis can read must be here.
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
    /// Types of the binds, in order.
    pub bind_types: &'a [String],
    /// Only the shape of the result is asked for.
    pub describe_only: bool,
    /// Exact text, or a template's.
    pub sql: &'a str,
    /// `sql` is a template, and its slots are among the bind types.
    pub template: bool,
}

impl VerdictKey {
    /// Digest of `parts`.
    pub fn new(parts: &KeyParts<'_>) -> Self {
        let (overlay_session, overlay_count) = parts.overlay.unwrap_or(("", 0));
        let group_count = (parts.groups.len() as u64).to_be_bytes();
        let epoch = parts.epoch.to_be_bytes();
        let overlay_count = overlay_count.to_be_bytes();
        let kind = [u8::from(parts.describe_only), u8::from(parts.template)];
        let mut fields: Vec<&[u8]> = vec![
            &epoch,
            parts.input.as_bytes(),
            parts.principal.as_bytes(),
            parts.role.as_bytes(),
            parts.client_app.as_bytes(),
            parts.source.as_bytes(),
            parts.database.as_bytes(),
            parts.schema.as_bytes(),
            overlay_session.as_bytes(),
            &overlay_count,
            &kind,
            parts.sql.as_bytes(),
            &group_count,
        ];
        fields.extend(parts.groups.iter().map(String::as_bytes));
        fields.extend(parts.bind_types.iter().map(String::as_bytes));
        Self(parts_digest(&fields))
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

    fn parts<'a>(groups: &'a [String], binds: &'a [String]) -> KeyParts<'a> {
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
            bind_types: binds,
            describe_only: false,
            sql: "select 1",
            template: false,
        }
    }

    fn verdict(json: &str) -> Arc<Verdict> {
        Arc::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn sessions_that_differ_in_one_input_never_share_a_verdict() {
        let groups = ["a".to_owned(), "b".to_owned()];
        let fewer = ["a".to_owned()];
        let none: [String; 0] = [];
        let text = ["b".to_owned()];
        let base = parts(&groups, &none);
        let variants = [
            KeyParts { epoch: 2, ..base },
            KeyParts { input: "other", ..base },
            KeyParts { principal: "q", ..base },
            KeyParts { groups: &fewer, ..base },
            KeyParts { groups: &fewer, bind_types: &text, ..base },
            KeyParts { role: "Q", ..base },
            KeyParts { client_app: "other", ..base },
            KeyParts { source: "10.0.0.2", ..base },
            KeyParts { database: "E", ..base },
            KeyParts { schema: "T", ..base },
            KeyParts { overlay: Some(("s", 1)), ..base },
            KeyParts { bind_types: &text, ..base },
            KeyParts { describe_only: true, ..base },
            KeyParts { sql: "select  1", ..base },
            KeyParts { template: true, ..base },
        ];
        let cache = VerdictCache::new(100);
        cache.insert(
            VerdictKey::new(&base),
            &verdict(r#"{"epoch":1,"decision":"allow","cacheable":true}"#),
        );

        assert!(cache.get(&VerdictKey::new(&base), 0.0).is_some());
        for variant in &variants {
            assert!(cache.get(&VerdictKey::new(variant), 0.0).is_none(), "{variant:?}");
        }
    }

    #[test]
    fn a_verdict_ends_at_its_time_boundary() {
        let cache = VerdictCache::new(4);
        let key = VerdictKey::new(&parts(&[], &[]));
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
        let key = VerdictKey::new(&parts(&[], &[]));
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
            let key = VerdictKey::new(&KeyParts { template: true, ..parts(&[], &[]) });
            let known = cache.insert_template(key, &verdict(json));
            assert_eq!(matches!(known, Known::Usable(_)), usable, "{json}");
            let found = cache.template(&key, 0.0);
            assert_eq!(found.is_some(), kept, "{json}");
            assert_eq!(matches!(found, Some(Known::Usable(_))), usable && kept, "{json}");
        }
    }
}
