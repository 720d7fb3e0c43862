//! What the reader may see of each column.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How one column is shown.
///
/// As JSON: `"pass"`, `"redact"`, `"null"`, `"void"`, or `{"partial":[first,last]}`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(from = "WrittenMask", into = "WrittenMask")]
pub enum Mask {
    /// As it is.
    Pass,
    /// Of text, the first and last characters around `***`, as long as they are together at most
    /// half of the value; a shorter value is `***`. NULL stays NULL. Any other type is NULL.
    Partial {
        /// Characters (Unicode scalar values) kept at the start.
        keep_first: u16,
        /// Characters kept at the end.
        keep_last: u16,
    },
    /// `***` for text, NULL for any other type; in every row, those with NULL too.
    Redact,
    /// NULL in every row.
    Null,
    /// As `Redact`: one constant of the type. Named apart because it is the mask of whatever no
    /// configured mask fits (F2).
    Void,
}

/// The JSON form of [`Mask`].
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum WrittenMask {
    Pass,
    Partial(u16, u16),
    Redact,
    Null,
    Void,
}

impl From<WrittenMask> for Mask {
    fn from(written: WrittenMask) -> Self {
        match written {
            WrittenMask::Pass => Self::Pass,
            WrittenMask::Partial(keep_first, keep_last) => Self::Partial { keep_first, keep_last },
            WrittenMask::Redact => Self::Redact,
            WrittenMask::Null => Self::Null,
            WrittenMask::Void => Self::Void,
        }
    }
}

impl From<Mask> for WrittenMask {
    fn from(mask: Mask) -> Self {
        match mask {
            Mask::Pass => Self::Pass,
            Mask::Partial { keep_first, keep_last } => Self::Partial(keep_first, keep_last),
            Mask::Redact => Self::Redact,
            Mask::Null => Self::Null,
            Mask::Void => Self::Void,
        }
    }
}

impl Mask {
    /// Rank: the larger one wins. The order of the verdict's `MaskKind`.
    fn strictness(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Partial { .. } => 1,
            Self::Redact => 2,
            Self::Null => 3,
            Self::Void => 4,
        }
    }
}

/// The mask that shows no more than either (F5, F12): `void` over `null` over `redact` over
/// `partial` over `pass`.
///
/// Two unequal partial masks give `redact`. No partial mask would do: the one that keeps fewer
/// characters opens shorter values, which the other one covers.
///
/// Commutative, associative, idempotent: the order of rules never matters.
pub fn strictest(a: Mask, b: Mask) -> Mask {
    match (a, b) {
        (Mask::Partial { .. }, Mask::Partial { .. }) if a != b => Mask::Redact,
        _ if a.strictness() >= b.strictness() => a,
        _ => b,
    }
}

/// The type of a column as Snowflake names it, whatever carries it.
///
/// Source: `protocol.md` §3.2, the `type` of a rowtype entry.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LogicalType {
    /// `fixed`: a number with a scale.
    Fixed,
    /// `real`.
    Real,
    /// `decfloat`.
    DecFloat,
    /// `text`.
    Text,
    /// `boolean`.
    Boolean,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `timestamp_ntz`.
    TimestampNtz,
    /// `timestamp_ltz`.
    TimestampLtz,
    /// `timestamp_tz`.
    TimestampTz,
    /// `binary`.
    Binary,
    /// `variant`.
    Variant,
    /// `object`, structured or not.
    Object,
    /// `array`, structured or not.
    Array,
    /// `map`.
    Map,
    /// `vector`.
    Vector,
    /// `geography`.
    Geography,
    /// `geometry`.
    Geometry,
    /// Anything else, intervals and types to come. Masked, it is NULL.
    Other,
}

impl LogicalType {
    /// Reads the `type` of a rowtype entry, in any case; an unknown name is [`Self::Other`].
    pub fn from_rowtype(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "fixed" => Self::Fixed,
            "real" => Self::Real,
            "decfloat" => Self::DecFloat,
            "text" => Self::Text,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp_ntz" => Self::TimestampNtz,
            "timestamp_ltz" => Self::TimestampLtz,
            "timestamp_tz" => Self::TimestampTz,
            "binary" => Self::Binary,
            "variant" => Self::Variant,
            "object" => Self::Object,
            "array" => Self::Array,
            "map" => Self::Map,
            "vector" => Self::Vector,
            "geography" => Self::Geography,
            "geometry" => Self::Geometry,
            _ => Self::Other,
        }
    }
}

/// One output column.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Column {
    /// Its type.
    pub logical: LogicalType,
}

impl Column {
    /// A column of this type.
    pub fn new(logical: LogicalType) -> Self {
        Self { logical }
    }

    /// Reads a rowtype entry: its `type`, and its `extTypeName` where there is one. With an extended
    /// type (`GEOGRAPHY`, `GEOMETRY`, or one to come) the column is no plain text, whatever `type`
    /// says.
    pub fn from_rowtype(type_name: &str, ext_type_name: Option<&str>) -> Self {
        Self::new(LogicalType::from_rowtype(ext_type_name.unwrap_or(type_name)))
    }
}

/// What a masker does with the cells of a column: the mask, seen through the column's type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Show {
    Clear,
    /// `***` in every row.
    Stars,
    /// NULL in every row.
    Null,
    /// The ends of each text.
    Ends(crate::text::Keep),
}

impl Show {
    fn of(column: Column, mask: Mask) -> Self {
        match (mask, column.logical) {
            (Mask::Pass, _) => Self::Clear,
            (Mask::Redact | Mask::Void, LogicalType::Text) => Self::Stars,
            (Mask::Partial { keep_first, keep_last }, LogicalType::Text) => {
                Self::Ends(crate::text::Keep { first: keep_first.into(), last: keep_last.into() })
            }
            _ => Self::Null,
        }
    }
}

/// A mask for each column, in output order. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MaskPlan {
    shows: Arc<[Show]>,
}

impl MaskPlan {
    /// A plan of these columns, in output order.
    pub fn new(columns: Vec<(Column, Mask)>) -> Self {
        Self { shows: columns.into_iter().map(|(column, mask)| Show::of(column, mask)).collect() }
    }

    /// A plan that voids every column.
    pub fn void(columns: impl IntoIterator<Item = Column>) -> Self {
        Self::new(columns.into_iter().map(|column| (column, Mask::Void)).collect())
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.shows.len()
    }

    /// Whether nothing is masked, so that the result may be relayed as it is.
    pub fn is_clear(&self) -> bool {
        self.shows.iter().all(|show| *show == Show::Clear)
    }

    /// Whether the column at `index` is NULL in every row, so that its rowtype entry must say
    /// `nullable`. Beyond the last column: true.
    pub fn is_null(&self, index: usize) -> bool {
        self.shows.get(index).is_none_or(|show| *show == Show::Null)
    }

    pub(crate) fn shows(&self) -> &[Show] {
        &self.shows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masks() -> impl Strategy<Value = Mask> {
        prop_oneof![
            Just(Mask::Pass),
            (0_u16..3, 0_u16..3)
                .prop_map(|(keep_first, keep_last)| Mask::Partial { keep_first, keep_last }),
            Just(Mask::Redact),
            Just(Mask::Null),
            Just(Mask::Void),
        ]
    }

    #[test]
    fn a_mask_is_written_as_the_verdict_writes_it() {
        let written = r#"["pass",{"partial":[1,4]},"redact","null","void"]"#;

        let masks: Vec<Mask> = serde_json::from_str(written).unwrap();

        assert_eq!(masks[1], Mask::Partial { keep_first: 1, keep_last: 4 });
        assert_eq!(serde_json::to_string(&masks).unwrap(), written);
    }

    #[test]
    fn an_unknown_or_misshapen_mask_is_refused() {
        for written in [
            r#""hash""#,
            r#""Pass""#,
            r#""partial""#,
            r#"{"partial":[1]}"#,
            r#"{"partial":[1,2,3]}"#,
            r#"{"partial":[-1,2]}"#,
            r#"{"partial":[70000,2]}"#,
            r#"{"pass":null,"void":null}"#,
            "null",
        ] {
            assert!(serde_json::from_str::<Mask>(written).is_err(), "{written}");
        }
    }

    #[test]
    fn the_strictest_of_two_unequal_partials_shows_nothing() {
        let four = Mask::Partial { keep_first: 4, keep_last: 0 };
        let one = Mask::Partial { keep_first: 1, keep_last: 0 };

        assert_eq!(strictest(four, one), Mask::Redact);
        assert_eq!(strictest(one, one), one);
    }

    #[test]
    fn an_unknown_type_is_masked_to_null() {
        for name in ["interval_day_time", "varchar", "", "TEXT "] {
            let plan = MaskPlan::void([Column::from_rowtype(name, None)]);
            assert!(plan.is_null(0), "{name}");
        }
        assert!(MaskPlan::void([Column::from_rowtype("text", Some("GEOGRAPHY"))]).is_null(0));
        assert!(!MaskPlan::void([Column::from_rowtype("TEXT", None)]).is_null(0));
    }

    proptest! {
        #[test]
        fn the_strictest_mask_does_not_depend_on_order(a in masks(), b in masks(), c in masks()) {
            prop_assert_eq!(strictest(a, b), strictest(b, a));
            prop_assert_eq!(strictest(a, strictest(b, c)), strictest(strictest(a, b), c));
            prop_assert_eq!(strictest(a, a), a);
            prop_assert_eq!(strictest(a, Mask::Pass), a);
            prop_assert_eq!(strictest(a, Mask::Void), Mask::Void);
        }

        #[test]
        fn the_strictest_mask_shows_no_more_than_either(
            a in masks(), b in masks(), text in "[a-e]{0,12}"
        ) {
            let both = seen(strictest(a, b), &text);
            prop_assert!(both.0 <= seen(a, &text).0 && both.1 <= seen(a, &text).1);
            prop_assert!(both.0 <= seen(b, &text).0 && both.1 <= seen(b, &text).1);
        }
    }

    /// How many characters of a text its reader sees at the start and at the end.
    fn seen(mask: Mask, text: &str) -> (usize, usize) {
        match Show::of(Column::new(LogicalType::Text), mask) {
            Show::Clear => (text.len(), text.len()),
            Show::Stars | Show::Null => (0, 0),
            Show::Ends(keep) => {
                keep.cut(text).map_or((0, 0), |(head, tail)| (head, text.len() - tail))
            }
        }
    }
}
