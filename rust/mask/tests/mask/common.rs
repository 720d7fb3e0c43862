//! Streams to mask: arrays of every physical type Snowflake sends, and arrow-rs to read the outcome.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeListArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray,
    ListArray, MapArray, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use proptest::prelude::*;
use snowgate_mask::{Column, LogicalType, Mask, MaskPlan};

pub(crate) const ENDS: Mask = Mask::Partial { keep_first: 1, keep_last: 2 };

pub(crate) fn plan(columns: &[(LogicalType, Mask)]) -> MaskPlan {
    MaskPlan::new(columns.iter().map(|(logical, mask)| (Column::new(*logical), *mask)).collect())
}

pub(crate) fn masks() -> impl Strategy<Value = Mask> {
    prop_oneof![
        2 => Just(Mask::Pass),
        2 => (0_u16..4, 0_u16..4)
            .prop_map(|(keep_first, keep_last)| Mask::Partial { keep_first, keep_last }),
        1 => Just(Mask::Redact),
        1 => Just(Mask::Null),
        1 => Just(Mask::Void),
    ]
}

/// What a partial mask shows of a text, written anew from the rule.
pub(crate) fn ends(text: &str, first: u16, last: u16) -> String {
    let (first, last) = (usize::from(first), usize::from(last));
    let characters: Vec<char> = text.chars().collect();
    if (first + last) * 2 > characters.len() {
        return "***".to_owned();
    }
    let head: String = characters[..first].iter().collect();
    let tail: String = characters[characters.len() - last..].iter().collect();
    format!("{head}***{tail}")
}

pub(crate) fn field(
    name: &str,
    data_type: DataType,
    is_nullable: bool,
    metadata: &[(&str, &str)],
) -> Field {
    let metadata: std::collections::HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Field::new(name, data_type, is_nullable).with_metadata(metadata)
}

/// Writes batches of one schema as a stream; none as no bytes.
pub(crate) fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(first) = batches.first() {
        let mut writer = StreamWriter::try_new(&mut bytes, &first.schema()).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
    }
    bytes
}

/// Reads a stream, fully validated.
pub(crate) fn decode(stream: &[u8]) -> (SchemaRef, Vec<RecordBatch>) {
    let reader = StreamReader::try_new(stream, None).unwrap();
    (reader.schema(), reader.map(Result::unwrap).collect())
}

pub(crate) fn texts(array: &ArrayRef) -> Vec<Option<String>> {
    let own = |text: Option<&str>| text.map(str::to_owned);
    match array.as_any().downcast_ref::<StringArray>() {
        Some(array) => array.iter().map(own).collect(),
        None => {
            array.as_any().downcast_ref::<LargeStringArray>().unwrap().iter().map(own).collect()
        }
    }
}

/// A physical type, `protocol.md` §7.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Text,
    LargeText,
    Int8,
    Int16,
    Int32,
    Int64,
    Decimal,
    Float,
    Bool,
    Date,
    Binary,
    Timestamp,
    TimestampTz,
    DecFloat,
    List,
    Map,
    Vector,
}

pub(crate) fn kinds() -> Vec<Kind> {
    use Kind::*;
    vec![
        Text,
        LargeText,
        Int8,
        Int16,
        Int32,
        Int64,
        Decimal,
        Float,
        Bool,
        Date,
        Binary,
        Timestamp,
        TimestampTz,
        DecFloat,
        List,
        Map,
        Vector,
    ]
}

pub(crate) fn batch(kinds: &[Kind], values: &[Vec<Option<i64>>]) -> RecordBatch {
    let arrays: Vec<ArrayRef> =
        kinds.iter().zip(values).map(|(kind, values)| kind.array(values)).collect();
    let fields: Vec<Field> = arrays
        .iter()
        .enumerate()
        .map(|(index, array)| {
            field(&format!("c{index}"), array.data_type().clone(), true, &[("logicalType", "T")])
        })
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

impl Kind {
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::LargeText)
    }

    pub(crate) fn of_texts(self, texts: &[Option<String>]) -> ArrayRef {
        match self {
            Self::LargeText => Arc::new(LargeStringArray::from(texts.to_vec())),
            _ => Arc::new(StringArray::from(texts.to_vec())),
        }
    }

    /// An array that says these numbers in the type's own way.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        reason = "any value of the type will do"
    )]
    pub(crate) fn array(self, values: &[Option<i64>]) -> ArrayRef {
        let nulls = || values.iter().map(Option::is_some).collect::<NullBuffer>();
        let or_zero = || values.iter().map(|value| value.unwrap_or(0));
        let text = |value: i64| {
            let alphabet = ["a", "é", "…", "🦀", "\"", "\\", ""];
            let length = value.unsigned_abs() % 9;
            (0..length).map(|at| alphabet[((value.unsigned_abs() >> at) % 7) as usize]).collect()
        };
        let texts: Vec<Option<String>> = values.iter().map(|value| value.map(text)).collect();
        let lengths =
            || values.iter().map(|value| (value.unwrap_or(0).unsigned_abs() % 4) as usize);
        let int64 = || Arc::new(Int64Array::from_iter_values(or_zero())) as ArrayRef;
        let int32 = || Arc::new(or_zero().map(|v| v as i32).collect::<Int32Array>()) as ArrayRef;
        let record = |children: Vec<(&str, ArrayRef)>| -> ArrayRef {
            let fields: Fields = children
                .iter()
                .map(|(name, child)| {
                    field(name, child.data_type().clone(), true, &[("logicalType", "FIXED")])
                })
                .collect();
            let children = children.into_iter().map(|(_, child)| child).collect();
            let length = values.len();
            Arc::new(
                StructArray::try_new_with_length(fields, children, Some(nulls()), length).unwrap(),
            )
        };
        match self {
            Self::Text | Self::LargeText => self.of_texts(&texts),
            Self::Int8 => {
                Arc::new(values.iter().map(|v| v.map(|v| v as i8)).collect::<Int8Array>())
            }
            Self::Int16 => {
                Arc::new(values.iter().map(|v| v.map(|v| v as i16)).collect::<Int16Array>())
            }
            Self::Int32 => {
                Arc::new(values.iter().map(|v| v.map(|v| v as i32)).collect::<Int32Array>())
            }
            Self::Int64 => Arc::new(Int64Array::from(values.to_vec())),
            Self::Decimal => Arc::new(
                values
                    .iter()
                    .map(|value| value.map(i128::from))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(38, 2)
                    .unwrap(),
            ),
            Self::Float => Arc::new(
                values.iter().map(|v| v.map(|v| f64::from(v as i32))).collect::<Float64Array>(),
            ),
            Self::Bool => {
                Arc::new(values.iter().map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>())
            }
            Self::Date => {
                Arc::new(values.iter().map(|v| v.map(|v| v as i32)).collect::<Date32Array>())
            }
            Self::Binary => Arc::new(
                texts
                    .iter()
                    .map(|text| text.as_ref().map(String::as_bytes))
                    .collect::<BinaryArray>(),
            ),
            Self::Timestamp => record(vec![("epoch", int64()), ("fraction", int32())]),
            Self::TimestampTz => {
                record(vec![("epoch", int64()), ("fraction", int32()), ("timezone", int32())])
            }
            Self::DecFloat => record(vec![
                ("exponent", Arc::new(or_zero().map(|v| v as i16).collect::<Int16Array>())),
                ("significand", Self::Binary.array(values)),
            ]),
            Self::List => {
                let offsets = OffsetBuffer::<i32>::from_lengths(lengths());
                let length = lengths().sum::<usize>() as i32;
                let child: ArrayRef = Arc::new((0..length).collect::<Int32Array>());
                let item = Arc::new(field("item", DataType::Int32, true, &[]));
                Arc::new(ListArray::try_new(item, offsets, child, Some(nulls())).unwrap())
            }
            Self::Map => {
                let offsets = OffsetBuffer::<i32>::from_lengths(lengths());
                let length = lengths().sum::<usize>();
                let keys: ArrayRef =
                    Arc::new(StringArray::from_iter_values((0..length).map(|key| key.to_string())));
                let entry = |name, is_nullable| Field::new(name, DataType::Utf8, is_nullable);
                let fields = Fields::from(vec![entry("key", false), entry("value", true)]);
                let entries =
                    StructArray::try_new(fields.clone(), vec![keys.clone(), keys], None).unwrap();
                let entry = Arc::new(Field::new("entries", DataType::Struct(fields), false));
                Arc::new(MapArray::try_new(entry, offsets, entries, Some(nulls()), false).unwrap())
            }
            Self::Vector => {
                let child: ArrayRef =
                    Arc::new((0..values.len() * 3).map(|v| v as f32).collect::<Float32Array>());
                let item = Arc::new(field("item", DataType::Float32, true, &[]));
                Arc::new(FixedSizeListArray::try_new(item, 3, child, Some(nulls())).unwrap())
            }
        }
    }
}
