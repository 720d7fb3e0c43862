//! The row type: what each column of a result is.

use serde::{Deserialize, Serialize};

/// A column of a result. Unknown keys are dropped.
///
/// `database`, `schema` and `table` are where the *label* comes from; expressions, aliases, views and
/// unions lose it. They may tighten a mask, never loosen one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnType {
    /// Label of the column; binds have none.
    #[serde(default)]
    pub name: String,
    /// Database of the origin, empty for an expression.
    #[serde(default)]
    pub database: Option<String>,
    /// Schema of the origin.
    #[serde(default)]
    pub schema: Option<String>,
    /// Table of the origin.
    #[serde(default)]
    pub table: Option<String>,
    /// Lower-case type: `fixed`, `text`, `timestamp_ntz`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Decimal places.
    #[serde(default)]
    pub scale: Option<i64>,
    /// Digits in all.
    #[serde(default)]
    pub precision: Option<i64>,
    /// Characters at most.
    #[serde(default)]
    pub length: Option<i64>,
    /// Bytes at most; the shape of `timestamp_tz` in Arrow depends on it.
    #[serde(default)]
    pub byte_length: Option<i64>,
    /// Whether NULL may occur; true if upstream does not say. A driver requires the key.
    #[serde(default = "unsaid", deserialize_with = "nullable")]
    pub nullable: bool,
    /// Collation of a text.
    #[serde(default)]
    pub collation: Option<String>,
    /// The type behind the type, such as `GEOGRAPHY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ext_type_name: Option<String>,
    /// Elements of a vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_dimension: Option<i64>,
    /// Output format of a geospatial type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_type: Option<String>,
    /// Whether the length is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<bool>,
    /// Whether the column counts by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_auto_increment: Option<bool>,
    /// Parts of a structured type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<FieldType>>,
}

/// A part of a structured type (OBJECT, ARRAY, MAP, VECTOR).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldType {
    /// Name in an object; absent in arrays and maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Lower-case type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether NULL may occur.
    #[serde(default = "unsaid", deserialize_with = "nullable")]
    pub nullable: bool,
    /// Characters at most.
    #[serde(default)]
    pub length: Option<i64>,
    /// Bytes at most.
    #[serde(default)]
    pub byte_length: Option<i64>,
    /// Decimal places.
    #[serde(default)]
    pub scale: Option<i64>,
    /// Digits in all.
    #[serde(default)]
    pub precision: Option<i64>,
    /// The type behind the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ext_type_name: Option<String>,
    /// Elements of a vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_dimension: Option<i64>,
    /// Parts of this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<FieldType>>,
}

/// Null means "not said".
fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(true))
}

fn unsaid() -> bool {
    true
}
