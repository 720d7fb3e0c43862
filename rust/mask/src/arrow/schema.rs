//! The schema of a stream: how its columns lie in memory, and how the masked ones are announced.
//!
//! Names, types and the order of columns stay. A column whose cells become NULL is announced as
//! nullable. Of the metadata of a masked column only the keys that drivers read stay, and none of the
//! schema itself: an unknown key might tell something of the values (F19).

use arrow_ipc::{
    Endianness, Message, Type,
    convert::try_fb_to_schema,
    writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions},
};
use arrow_schema::{DataType, Field, FieldRef, Schema};

use super::frame;
use crate::{
    error::MaskError,
    plan::{MaskPlan, Show},
};

/// Most bytes of names and metadata in a schema, each counted as often as it is referred to: a small
/// message can refer to one name a million times.
const SCHEMA_LIMIT_BYTES: usize = 16 << 20;

/// Keys of field metadata that drivers read (`protocol.md` §7.2), and the one that tells whether
/// there may be NULLs.
const KNOWN_KEYS: [&str; 7] =
    ["logicalType", "scale", "precision", "charLength", "byteLength", "finalType", "physicalType"];
const NULLABLE_KEY: &str = "nullable";

/// How the buffers of a column lie in a batch.
///
/// Source: Arrow, "Buffer Listing for Each Layout". Every layout but `Null` has a node and a validity
/// bitmap before what is named here.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Layout {
    /// A node, and no buffer.
    Null,
    /// One bit a row.
    Bits,
    /// So many bytes a row.
    Fixed(usize),
    /// Offsets and bytes.
    Bytes { offsets: Offsets, is_text: bool },
    /// Offsets into a child.
    List { offsets: Offsets, child: Box<Layout> },
    /// So many rows of the child a row.
    FixedList { size: usize, child: Box<Layout> },
    /// Children as long as the column.
    Struct(Vec<Layout>),
}

/// Width of offsets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offsets {
    Four,
    Eight,
}

impl Offsets {
    /// In bytes.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// The columns of a stream, in order.
#[derive(Debug)]
pub(super) struct Columns(Vec<(Layout, Show)>);

impl Columns {
    /// Reads the schema of `message`, and writes the one of the masked stream to `out`.
    pub(super) fn read(
        message: Message,
        plan: &MaskPlan,
        out: &mut Vec<u8>,
    ) -> Result<Self, MaskError> {
        let schema = checked_schema(message, plan.columns())?;
        let mut columns = Vec::with_capacity(plan.columns());
        let mut announced = Vec::with_capacity(plan.columns());
        for (field, show) in schema.fields().iter().zip(plan.shows()) {
            let layout = Layout::of(field.data_type())?;
            let show = match (show, &layout) {
                (Show::Stars | Show::Ends(_), Layout::Bytes { is_text: true, .. }) => *show,
                (Show::Clear, _) => Show::Clear,
                // What should be text and lies otherwise has no stars to show.
                _ => Show::Null,
            };
            announced.push(match show {
                Show::Clear => field.clone(),
                Show::Null => FieldRef::new(masked_field(field, true)),
                Show::Stars | Show::Ends(_) => FieldRef::new(masked_field(field, false)),
            });
            columns.push((layout, show));
        }
        // Version 5, and no dictionary tracked since there is none.
        let message = IpcDataGenerator {}.schema_to_bytes_with_dictionary_tracker(
            &Schema::new(announced),
            &mut DictionaryTracker::new(true),
            &IpcWriteOptions::default(),
        );
        frame::write_metadata(&message.ipc_message, out)?;
        Ok(Self(columns))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Layout, Show)> {
        self.0.iter()
    }
}

/// Converts a schema, after checking that it has the right number of columns, a bounded size, and
/// only types whose conversion and layout are known here.
fn checked_schema(message: Message, columns: usize) -> Result<Schema, MaskError> {
    let schema = message
        .header_as_schema()
        .ok_or(MaskError::NotArrow { reason: "a schema message has no schema" })?;
    if schema.endianness() != Endianness::Little {
        return Err(MaskError::Unsupported { feature: "big-endian numbers" });
    }
    let fields =
        schema.fields().ok_or(MaskError::NotArrow { reason: "the schema has no fields" })?;
    if fields.len() != columns {
        return Err(MaskError::ColumnCount { found: fields.len(), planned: columns });
    }
    let mut budget = SCHEMA_LIMIT_BYTES;
    for pair in schema.custom_metadata().into_iter().flatten() {
        spend(&mut budget, pair_bytes(&pair))?;
    }
    for field in fields {
        check_field(&field, &mut budget)?;
    }
    try_fb_to_schema(schema).map_err(|_| MaskError::NotArrow { reason: "the schema is broken" })
}

/// Checks a field and its children. Their depth is bounded by the verifier of the message.
fn check_field(field: &arrow_ipc::Field, budget: &mut usize) -> Result<(), MaskError> {
    if field.dictionary().is_some() {
        return Err(MaskError::Unsupported { feature: "a dictionary" });
    }
    if !matches!(
        field.type_type(),
        Type::Null
            | Type::Int
            | Type::FloatingPoint
            | Type::Binary
            | Type::Utf8
            | Type::Bool
            | Type::Decimal
            | Type::Date
            | Type::Time
            | Type::Timestamp
            | Type::Interval
            | Type::List
            | Type::Struct_
            | Type::FixedSizeBinary
            | Type::FixedSizeList
            | Type::Map
            | Type::Duration
            | Type::LargeBinary
            | Type::LargeUtf8
            | Type::LargeList
    ) {
        return Err(MaskError::Unsupported { feature: "a union, a view or a run-end encoding" });
    }
    let zone = field.type_as_timestamp().and_then(|timestamp| timestamp.timezone());
    // The number stands for what a field costs without its strings.
    spend(budget, 64 + field.name().map_or(0, str::len) + zone.map_or(0, str::len))?;
    for pair in field.custom_metadata().into_iter().flatten() {
        spend(budget, pair_bytes(&pair))?;
    }
    for child in field.children().into_iter().flatten() {
        check_field(&child, budget)?;
    }
    Ok(())
}

fn pair_bytes(pair: &arrow_ipc::KeyValue) -> usize {
    64 + pair.key().map_or(0, str::len) + pair.value().map_or(0, str::len)
}

fn spend(budget: &mut usize, bytes: usize) -> Result<(), MaskError> {
    *budget =
        budget.checked_sub(bytes).ok_or(MaskError::TooLong { limit_bytes: SCHEMA_LIMIT_BYTES })?;
    Ok(())
}

impl Layout {
    fn of(data_type: &DataType) -> Result<Self, MaskError> {
        let size = |size: i32| {
            usize::try_from(size).map_err(|_| MaskError::NotArrow { reason: "a size is negative" })
        };
        let child = |field: &FieldRef| Self::of(field.data_type()).map(Box::new);
        Ok(match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bits,
            DataType::Utf8 => Self::Bytes { offsets: Offsets::Four, is_text: true },
            DataType::LargeUtf8 => Self::Bytes { offsets: Offsets::Eight, is_text: true },
            DataType::Binary => Self::Bytes { offsets: Offsets::Four, is_text: false },
            DataType::LargeBinary => Self::Bytes { offsets: Offsets::Eight, is_text: false },
            DataType::FixedSizeBinary(width) => Self::Fixed(size(*width)?),
            DataType::List(field) | DataType::Map(field, _) => {
                Self::List { offsets: Offsets::Four, child: child(field)? }
            }
            DataType::LargeList(field) => {
                Self::List { offsets: Offsets::Eight, child: child(field)? }
            }
            DataType::FixedSizeList(field, rows) => {
                Self::FixedList { size: size(*rows)?, child: child(field)? }
            }
            DataType::Struct(fields) => Self::Struct(
                fields.iter().map(|field| Self::of(field.data_type())).collect::<Result<_, _>>()?,
            ),
            other => Self::Fixed(
                other
                    .primitive_width()
                    .ok_or(MaskError::Unsupported { feature: "an unknown type" })?,
            ),
        })
    }
}

/// The field of a masked column, or of a child of one.
fn masked_field(field: &Field, has_nulls: bool) -> Field {
    let child = |field: &FieldRef| FieldRef::new(masked_field(field, false));
    let data_type = match field.data_type() {
        DataType::List(field) => DataType::List(child(field)),
        DataType::LargeList(field) => DataType::LargeList(child(field)),
        DataType::Map(field, is_sorted) => DataType::Map(child(field), *is_sorted),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(child(field), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(child).collect()),
        other => other.clone(),
    };
    let mut metadata = std::collections::HashMap::new();
    for (key, value) in field.metadata() {
        if KNOWN_KEYS.contains(&key.as_str()) {
            metadata.insert(key.clone(), value.clone());
        } else if key == NULLABLE_KEY {
            let value = if has_nulls { "true".to_owned() } else { value.clone() };
            metadata.insert(key.clone(), value);
        }
    }
    Field::new(field.name(), data_type, has_nulls || field.is_nullable()).with_metadata(metadata)
}
