//! The control plane's answer to a statement: a decision and, independent of it, a mask plan (F12).

use serde::{Deserialize, Serialize};
use snowgate_mask::{Mask, strictest};

use crate::Budget;

/// What happens to a statement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It runs.
    Allow,
    /// It waits for an approval.
    Hold,
    /// It never runs.
    Deny,
}

/// One output column of a predicted result.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnPlan {
    /// Predicted name; `None` where Snowflake makes one up.
    pub name: Option<String>,
    /// What the reader sees.
    pub mask: Mask,
    /// Tags that reach the column.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// Terms on which a held statement is released.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HoldTerms {
    /// Rule that holds it.
    pub rule: String,
    /// Groups whose people may approve.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// Approvals needed.
    #[serde(default)]
    pub quorum: u32,
    /// Life of the request, in seconds.
    #[serde(default)]
    pub expires_s: f64,
    /// Tags that an approval shows in clear; of a released statement, those that it does show.
    #[serde(default)]
    pub unmask: Vec<String>,
    /// Digest of the objects behind it, where it unmasks: the control plane compares it.
    #[serde(default)]
    pub definitions: String,
}

/// The most of something that a rule lets through in one result.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// How much, the bound included.
    pub most: u64,
    /// The rule.
    pub rule: String,
}

/// The largest result that is let through.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ResultLimit {
    /// Most rows.
    #[serde(default)]
    pub rows: Option<Bound>,
    /// Most bytes.
    #[serde(default)]
    pub bytes: Option<Bound>,
}

impl ResultLimit {
    /// Whether a result of any size is let through.
    pub fn is_open(&self) -> bool {
        self.rows.is_none() && self.bytes.is_none()
    }

    /// The lower bound of each.
    #[must_use]
    pub fn tighten(self, other: Self) -> Self {
        let lower = |one: Option<Bound>, two: Option<Bound>| match (one, two) {
            (Some(one), Some(two)) => Some(if one.most <= two.most { one } else { two }),
            (one, two) => one.or(two),
        };
        Self { rows: lower(self.rows, other.rows), bytes: lower(self.bytes, other.bytes) }
    }
}

/// A tag, and a value that one of its columns is compared with (F1). The value is known by its keyed
/// hash, or it is a bind; with neither, nobody knows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The tag.
    pub tag: String,
    /// Keyed hash of the value, hex.
    #[serde(default)]
    pub hash: Option<String>,
    /// Position of the bind, from 1.
    #[serde(default)]
    pub bind: Option<u32>,
}

/// One answer. Unknown keys are an error: a restriction the gate does not know must not be ignored.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "answers to questions independent of one another"
)]
pub struct Verdict {
    /// Epoch it was judged in.
    pub epoch: u64,
    /// Allow, hold or deny.
    pub decision: Decision,
    /// Class of the statement, such as `select`.
    #[serde(default)]
    pub class: String,
    /// Head word.
    #[serde(default)]
    pub verb: String,
    /// Rules that decided it, masks included.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Why, for the client; names no literal.
    #[serde(default)]
    pub reason: String,
    /// What the client can do about it.
    #[serde(default)]
    pub remedy: String,
    /// Objects it touches, `DB.SCHEMA.NAME`.
    #[serde(default)]
    pub objects: Vec<String>,
    /// Tags it touches.
    #[serde(default)]
    pub tags: Vec<String>,
    /// It may change session state, so others wait for it (F9). Assumed unless said otherwise.
    #[serde(default = "yes")]
    pub barrier: bool,
    /// Running it twice changes nothing. Not assumed unless said.
    #[serde(default)]
    pub read_only: bool,
    /// Masks in output order; `None` when the result holds no governed rows.
    #[serde(default)]
    pub plan: Option<Vec<ColumnPlan>>,
    /// Every column of whatever comes back is voided.
    #[serde(default)]
    pub void_all: bool,
    /// Upstream's error text may quote governed values: only its code is passed on.
    #[serde(default)]
    pub hide_errors: bool,
    /// It changes tables, views or tags: the control plane reads the catalog again after it.
    #[serde(default)]
    pub changes_catalog: bool,
    /// Terms, when the decision is hold.
    #[serde(default)]
    pub hold: Option<HoldTerms>,
    /// SHA-256, hex, of the policy in force.
    #[serde(default)]
    pub policy: String,
    /// Unix time at which the verdict ends.
    #[serde(default)]
    pub valid_until_s: Option<f64>,
    /// The gate may use it again for the same bytes and the same policy input.
    #[serde(default)]
    pub cacheable: bool,
    /// Rules that match and are not enforced: recorded only.
    #[serde(default)]
    pub shadow: Vec<String>,
    /// The largest result that is let through.
    #[serde(default)]
    pub limit: ResultLimit,
    /// Budgets it counts in.
    #[serde(default)]
    pub budgets: Vec<Budget>,
    /// What it compares tagged columns with. Told only if a budget counts it.
    #[serde(default)]
    pub compared: Vec<Compared>,
    /// Budgets that the hold is for too: whoever approves it lets it go over them.
    #[serde(default)]
    pub over: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Verdict {
    /// Whether it may be used at `now_s`.
    pub fn valid_at(&self, now_s: f64) -> bool {
        self.valid_until_s.is_none_or(|end| now_s < end)
    }

    /// Tags that its hold shows in clear.
    pub fn unmasked(&self) -> &[String] {
        self.hold.as_ref().map_or(&[], |terms| &terms.unmask)
    }

    /// Whether a result under it is passed on as it came.
    pub fn clear(&self) -> bool {
        !self.void_all
            && self
                .plan
                .as_ref()
                .is_none_or(|plan| plan.iter().all(|column| matches!(column.mask, Mask::Pass)))
    }

    /// What a reader may see under both verdicts: the stricter mask of each column (F5). Plans that
    /// do not fit each other void everything.
    #[must_use]
    pub fn tighten(mut self, then: &Self) -> Self {
        self.void_all |= then.void_all;
        self.hide_errors |= then.hide_errors;
        self.limit = std::mem::take(&mut self.limit).tighten(then.limit.clone());
        match (&mut self.plan, &then.plan) {
            (_, None) => {}
            (None, Some(plan)) => self.plan = Some(plan.clone()),
            (Some(now), Some(then)) if now.len() == then.len() => {
                for (now, then) in now.iter_mut().zip(then) {
                    now.mask = strictest(now.mask, then.mask);
                    if now.name != then.name {
                        now.name = None;
                    }
                    let missing = then.tags.iter().filter(|tag| !now.tags.contains(tag));
                    let missing: Vec<String> = missing.cloned().collect();
                    now.tags.extend(missing);
                }
            }
            (Some(_), Some(_)) => self.void_all = true,
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask() -> impl Strategy<Value = Mask> {
        prop_oneof![
            Just(Mask::Pass),
            (0_u16..4, 0_u16..4)
                .prop_map(|(keep_first, keep_last)| Mask::Partial { keep_first, keep_last }),
            Just(Mask::Redact),
            Just(Mask::Null),
            Just(Mask::Void),
        ]
    }

    fn verdict(masks: Option<&[Mask]>) -> Verdict {
        let mut verdict: Verdict =
            serde_json::from_str(r#"{"epoch":1,"decision":"allow"}"#).unwrap();
        verdict.plan = masks.map(|masks| {
            masks
                .iter()
                .map(|mask| ColumnPlan { name: None, mask: *mask, tags: Vec::new() })
                .collect()
        });
        verdict
    }

    proptest! {
        #[test]
        fn tightening_never_shows_more(now in prop::collection::vec(mask(), 0..4),
                                       then in prop::collection::vec(mask(), 0..4)) {
            let tight = verdict(Some(&now)).tighten(&verdict(Some(&then)));
            let columns = tight.plan.unwrap();
            if now.len() == then.len() {
                for ((column, now), then) in columns.iter().zip(&now).zip(&then) {
                    prop_assert_eq!(column.mask, strictest(*now, *then));
                }
            } else {
                prop_assert!(tight.void_all);
            }
        }
    }

    #[test]
    fn the_lower_limit_of_both_verdicts_counts() {
        let limited = |rows: Option<u64>| {
            let mut verdict = verdict(None);
            verdict.limit.rows = rows.map(|most| Bound { most, rule: format!("r{most}") });
            verdict
        };
        for (now, then) in [(Some(5), Some(9)), (Some(9), Some(5)), (None, Some(5))] {
            let tight = limited(now).tighten(&limited(then));
            assert_eq!(tight.limit, limited(Some(5)).limit);
        }
    }

    #[test]
    fn a_plan_of_then_holds_even_if_nothing_is_governed_now() {
        let tight = verdict(None).tighten(&verdict(Some(&[Mask::Redact])));
        assert!(!tight.clear());
    }

    #[test]
    fn an_unknown_decision_or_key_is_an_error() {
        for text in [
            r#"{"epoch":1,"decision":"maybe"}"#,
            r#"{"epoch":1,"decision":"allow","mask_rows":true}"#,
            r#"{"decision":"allow"}"#,
        ] {
            assert!(serde_json::from_str::<Verdict>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_is_taken_as_dangerous() {
        let verdict = verdict(None);
        assert!(verdict.barrier);
        assert!(!verdict.read_only);
        assert!(!verdict.cacheable);
    }
}
