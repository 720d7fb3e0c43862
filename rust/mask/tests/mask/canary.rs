//! The attacks of F19: values that stay behind in buffers, padding, metadata and gaps. Every test
//! scans the raw bytes that leave, not what they decode to.

use std::sync::Arc;

use crate::common::{ENDS, decode, field, plan, stream};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, DictionaryArray, Int8Array, Int16Array, Int32Array,
    Int64Array, RecordBatch, StringArray, StructArray, types::Int8Type,
};
use arrow_ipc::{
    Buffer, FieldNode, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder,
    convert::IpcSchemaEncoder, root_as_message, writer::StreamWriter,
};
use arrow_schema::{DataType, Field, Schema};
use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use snowgate_mask::{ArrowStreamMasker, LogicalType, Mask, MaskError, MaskPlan, mask_arrow_stream};

const CANARY: &str = "CANARY-4711-XYZZY";
/// As a number: eight bytes, none of which is zero.
const NUMBER: i64 = 0x5ac3_a597_3d1e_c6b4;
const MASKS: [Mask; 4] = [Mask::Redact, Mask::Null, Mask::Void, ENDS];

/// Every form of a value that a reader could recognise it by.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms = vec![
        bytes.to_vec(),
        hex::encode(bytes).into_bytes(),
        hex::encode_upper(bytes).into_bytes(),
    ];
    // In base64 a value shows in three ways, as it falls on the groups of three.
    for shift in 0..3 {
        let encoded = STANDARD.encode([&vec![0; shift], bytes].concat());
        forms.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
    }
    forms
}

fn number_forms(number: i64) -> Vec<Vec<u8>> {
    let mut forms = forms(&number.to_string());
    forms.push(number.to_le_bytes().to_vec());
    forms.push(number.to_be_bytes().to_vec());
    forms.push(i128::from(number).to_le_bytes().to_vec());
    forms.push(hex::encode(number.to_le_bytes()).into_bytes());
    // Four bytes of it are already telling; two are not rare enough to scan for.
    forms.push(number.to_le_bytes()[..4].to_vec());
    forms.push(number.to_le_bytes()[4..].to_vec());
    forms
}

fn finds(bytes: &[u8], forms: &[Vec<u8>]) -> bool {
    forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
}

fn mask(plan: &MaskPlan, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    mask_arrow_stream(plan, bytes, &mut out).unwrap();
    out
}

#[test]
fn the_scan_itself_finds_a_canary() {
    let clear = plan(&[(LogicalType::Text, Mask::Pass), (LogicalType::Fixed, Mask::Pass)]);
    let input = RecordBatch::try_from_iter([
        ("a", Arc::new(StringArray::from(vec![CANARY])) as ArrayRef),
        ("b", Arc::new(Int64Array::from(vec![NUMBER]))),
    ])
    .unwrap();
    let output = mask(&clear, &stream(&[input]));

    assert!(finds(&output, &forms(CANARY)));
    assert!(finds(&output, &number_forms(NUMBER)));
    assert!(finds(hex::encode(CANARY).as_bytes(), &forms(CANARY)));
    assert!(finds(STANDARD.encode(format!("ab{CANARY}ab")).as_bytes(), &forms(CANARY)));
}

#[test]
fn no_byte_of_a_masked_text_leaves() {
    let text = |text: &str| Arc::new(StringArray::from(vec![Some(text), None])) as ArrayRef;
    let variants = [
        CANARY.to_owned(),
        hex::encode(CANARY),
        hex::encode_upper(CANARY),
        STANDARD.encode(CANARY),
        format!("ab{CANARY}"),
    ];
    for variant in variants {
        for of_mask in MASKS {
            let plan = plan(&[(LogicalType::Text, of_mask), (LogicalType::Text, Mask::Pass)]);
            let input =
                RecordBatch::try_from_iter([("a", text(&variant)), ("b", text("clear"))]).unwrap();

            let output = mask(&plan, &stream(&[input.clone(), input]));

            assert!(!finds(&output, &forms(CANARY)), "{of_mask:?}");
        }
    }
}

#[test]
fn no_byte_of_a_masked_number_leaves_whatever_its_width() {
    let nested = |child: ArrayRef| -> ArrayRef {
        let field = Field::new("epoch", child.data_type().clone(), false);
        Arc::new(StructArray::try_new(vec![field].into(), vec![child], None).unwrap())
    };
    let int64: ArrayRef = Arc::new(Int64Array::from(vec![NUMBER; 3]));
    let decimal =
        Decimal128Array::from(vec![i128::from(NUMBER); 3]).with_precision_and_scale(38, 4).unwrap();
    let digits = NUMBER.to_string();
    // Narrow numbers: a column that spells the canary out, row by row.
    let bytes = NUMBER.to_le_bytes();
    let arrays: Vec<ArrayRef> = vec![
        nested(int64.clone()),
        int64,
        Arc::new(decimal),
        Arc::new(StringArray::from(vec![digits.as_str(); 3])),
        Arc::new(bytes.iter().map(|byte| Some(byte.cast_signed())).collect::<Int8Array>()),
        Arc::new(Int16Array::from_iter_values(
            bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)),
        )),
        Arc::new(Int32Array::from_iter_values(
            bytes.as_chunks::<4>().0.iter().map(|four| i32::from_le_bytes(*four)),
        )),
    ];
    for array in arrays {
        for logical in [LogicalType::Fixed, LogicalType::TimestampLtz, LogicalType::Text] {
            for of_mask in MASKS {
                let input = RecordBatch::try_from_iter([("a", array.clone())]).unwrap();

                let output = mask(&plan(&[(logical, of_mask)]), &stream(&[input]));

                assert!(
                    !finds(&output, &number_forms(NUMBER)),
                    "{} {logical:?} {of_mask:?}",
                    array.data_type()
                );
            }
        }
    }
}

#[test]
fn no_metadata_of_a_masked_column_or_of_the_stream_leaves() {
    let child = field("epoch", DataType::Int64, true, &[("min", CANARY)]);
    let fields = vec![
        field("a", DataType::Utf8, true, &[("logicalType", "TEXT"), ("max", CANARY)]),
        field("b", DataType::Struct(vec![child].into()), true, &[("max", CANARY)]),
    ];
    let schema = Schema::new(fields).with_metadata([("x".to_owned(), CANARY.to_owned())]);
    let plan = plan(&[(LogicalType::Text, Mask::Redact), (LogicalType::TimestampTz, Mask::Null)]);

    let output = mask(&plan, &stream(&[RecordBatch::new_empty(Arc::new(schema))]));

    assert!(!finds(&output, &forms(CANARY)));
}

// ---- streams no library writes

/// A node: rows, NULLs; or a buffer: offset, length.
type Pair = (i64, i64);

/// A stream of one batch, its nodes and buffers as given.
fn raw(schema: &Schema, rows: i64, nodes: &[Pair], buffers: &[Pair], body: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    StreamWriter::try_new(&mut stream, schema).unwrap().flush().unwrap();
    let nodes: Vec<_> = nodes.iter().map(|(rows, nulls)| FieldNode::new(*rows, *nulls)).collect();
    let buffers: Vec<_> = buffers.iter().map(|(at, length)| Buffer::new(*at, *length)).collect();
    let mut builder = IpcSchemaEncoder::new().schema_to_fb(&Schema::empty());
    builder.reset();
    let nodes = builder.create_vector(&nodes);
    let buffers = builder.create_vector(&buffers);
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(rows);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    let batch = batch.finish();
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::RecordBatch);
    message.add_bodyLength(i64::try_from(body.len()).unwrap());
    message.add_header(batch.as_union_value());
    let message = message.finish();
    builder.finish(message, None);
    let metadata = builder.finished_data();
    stream.extend_from_slice(&[0xff; 4]);
    stream.extend_from_slice(&u32::try_from(metadata.len()).unwrap().to_le_bytes());
    stream.extend_from_slice(metadata);
    stream.extend_from_slice(body);
    stream.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    stream
}

fn int_and_text() -> Schema {
    Schema::new(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)])
}

fn offsets(offsets: &[i32]) -> Vec<u8> {
    offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()
}

#[test]
fn what_lies_between_and_behind_the_rows_does_not_leave() {
    // One row; every buffer, of the clear column too, is followed by what is not part of the row.
    let body = [
        b"\x01\0\0\0\0\0\0\0".to_vec(),
        b"\x07\0\0\0".to_vec(),
        CANARY.as_bytes().to_vec(),
        vec![0; 3],
        b"\x01\0\0\0\0\0\0\0".to_vec(),
        offsets(&[0, 5]),
        b"clear".to_vec(),
        CANARY.as_bytes().to_vec(),
    ]
    .concat();
    let tail = i64::try_from(CANARY.len()).unwrap();
    let buffers = [(0, 1), (8, 4 + tail), (32, 1), (40, 8), (48, 5 + tail)];
    let clear = plan(&[(LogicalType::Fixed, Mask::Pass), (LogicalType::Text, Mask::Pass)]);

    let output = mask(&clear, &raw(&int_and_text(), 1, &[(1, 0), (1, 0)], &buffers, &body));

    assert!(!finds(&output, &forms(CANARY)));
    let (_, batches) = decode(&output);
    assert_eq!(batches[0].column(0).as_ref(), &Int32Array::from(vec![7]));
    assert_eq!(batches[0].column(1).as_ref(), &StringArray::from(vec!["clear"]));
}

#[test]
fn a_text_column_need_not_start_at_its_first_byte() {
    let schema = Schema::new(vec![Field::new("a", DataType::Utf8, true)]);
    let body = [offsets(&[6, 12, 12, 12]), b"beforeabcdef".to_vec(), vec![0; 4]].concat();
    let bytes = raw(&schema, 3, &[(3, 0)], &[(0, 0), (0, 16), (16, 12)], &body);

    let output = mask(&plan(&[(LogicalType::Text, ENDS)]), &bytes);

    let wanted = StringArray::from(vec!["a***ef", "***", "***"]);
    assert_eq!(decode(&output).1[0].column(0).as_ref(), &wanted);
    assert!(!finds(&output, &[b"before".to_vec()]));
}

#[test]
fn a_clear_column_cannot_point_at_a_masked_one() {
    // The masked text first, then a clear text whose buffer is the first one's.
    let schema = Schema::new(vec![
        Field::new("a", DataType::Utf8, true),
        Field::new("b", DataType::Utf8, true),
    ]);
    let plan = plan(&[(LogicalType::Text, Mask::Redact), (LogicalType::Text, Mask::Pass)]);
    let body = [offsets(&[0, 17]), CANARY.as_bytes().to_vec(), vec![0; 7], offsets(&[0, 17])];
    let buffers = [(0, 0), (0, 8), (8, 17), (0, 0), (32, 8), (8, 17)];
    let bytes = raw(&schema, 1, &[(1, 0), (1, 0)], &buffers, &body.concat());

    let mut out = Vec::new();
    let refused = mask_arrow_stream(&plan, &bytes, &mut out);

    assert!(matches!(refused, Err(MaskError::NotArrow { .. })), "{refused:?}");
    assert!(out.is_empty());
}

/// The lengths of the messages of a stream, their bodies included; the end mark is left out.
fn messages(mut stream: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while stream.len() > 8 {
        let metadata = u32::from_le_bytes(stream[4..8].try_into().unwrap()) as usize;
        let message = root_as_message(&stream[8..8 + metadata]).unwrap();
        lengths.push(8 + metadata + usize::try_from(message.bodyLength()).unwrap());
        stream = &stream[lengths[lengths.len() - 1]..];
    }
    lengths
}

#[test]
fn a_dictionary_that_no_column_announces_does_not_leave() {
    let dictionary: DictionaryArray<Int8Type> = vec![CANARY].into_iter().collect();
    let foreign = RecordBatch::try_from_iter([("a", Arc::new(dictionary) as ArrayRef)]).unwrap();
    let foreign = stream(&[foreign]);
    let at = messages(&foreign)[0];
    let message = &foreign[at..at + messages(&foreign)[1]];
    assert!(finds(message, &forms(CANARY)));
    let text = Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    let own = stream(&[RecordBatch::try_from_iter([("a", text)]).unwrap()]);
    let (schema, batch) = own.split_at(messages(&own)[0]);
    for of_mask in [Mask::Pass, Mask::Redact] {
        for bytes in [[schema, message, batch], [message, schema, batch]] {
            let mut out = Vec::new();

            let plan = plan(&[(LogicalType::Text, of_mask)]);
            let refused = mask_arrow_stream(&plan, &bytes.concat(), &mut out);

            assert!(matches!(refused, Err(MaskError::Unsupported { .. })), "{refused:?}");
            assert!(!finds(&out, &forms(CANARY)));
        }
    }
}

#[test]
fn a_batch_that_lies_about_its_size_is_refused() {
    let huge = i64::MAX;
    let body = [0_u8; 64];
    let cases: [(i64, [Pair; 2], [Pair; 5]); 12] = [
        // Rows without bytes, which would make the masked column large.
        (1 << 40, [(1 << 40, 0); 2], [(0, 0); 5]),
        (huge, [(huge, 0); 2], [(0, 0); 5]),
        (huge, [(huge, huge); 2], [(0, 8); 5]),
        (-1, [(-1, 0); 2], [(0, 0); 5]),
        // Columns of unequal length.
        (1, [(1, 0), (2, 0)], [(0, 0), (0, 8), (8, 0), (8, 16), (24, 0)]),
        (1, [(2, 0), (1, 0)], [(0, 0), (0, 8), (8, 0), (8, 16), (24, 0)]),
        // NULLs without a bitmap; more NULLs than rows.
        (1, [(1, 1), (1, 0)], [(0, 0), (0, 8), (8, 0), (8, 16), (24, 0)]),
        (1, [(1, 2), (1, 0)], [(0, 1), (8, 8), (16, 0), (16, 16), (32, 0)]),
        // Buffers outside the body, overflowing, of negative length, and short.
        (1, [(1, 0); 2], [(0, 0), (64, 8), (72, 0), (72, 16), (88, 0)]),
        (1, [(1, 0); 2], [(0, 0), (huge, huge), (0, 0), (0, 16), (16, 0)]),
        (1, [(1, 0); 2], [(0, 0), (0, -8), (0, 0), (0, 16), (16, 0)]),
        (1, [(1, 0); 2], [(0, 0), (0, 3), (8, 0), (8, 16), (24, 0)]),
    ];
    for masks in [[Mask::Pass, Mask::Redact], [Mask::Void, ENDS], [Mask::Null, Mask::Pass]] {
        let plan = plan(&[(LogicalType::Fixed, masks[0]), (LogicalType::Text, masks[1])]);
        for (rows, nodes, buffers) in &cases {
            let bytes = raw(&int_and_text(), *rows, nodes, buffers, &body);

            let refused = mask_arrow_stream(&plan, &bytes, &mut Vec::new());

            assert!(refused.is_err(), "{rows} {nodes:?} {buffers:?}");
        }
    }
}

#[test]
fn more_or_fewer_buffers_than_the_schema_says_are_refused() {
    let plan = plan(&[(LogicalType::Fixed, Mask::Pass), (LogicalType::Text, Mask::Redact)]);
    let whole = [(0, 0), (0, 4), (8, 0), (8, 8), (16, 0)];
    let run = |nodes: &[Pair], buffers: &[Pair]| {
        let bytes = raw(&int_and_text(), 1, nodes, buffers, &[0; 64]);
        mask_arrow_stream(&plan, &bytes, &mut Vec::new())
    };

    assert_eq!(run(&[(1, 0), (1, 0)], &whole), Ok(1));
    assert!(run(&[(1, 0), (1, 0), (1, 0)], &whole).is_err());
    assert!(run(&[(1, 0)], &whole).is_err());
    assert!(run(&[(1, 0), (1, 0)], &whole[..4]).is_err());
    assert!(run(&[(1, 0), (1, 0)], &[&whole[..], &[(24, 8)]].concat()).is_err());
}

#[test]
fn offsets_out_of_order_or_within_a_character_are_refused() {
    let schema = Schema::new(vec![Field::new("a", DataType::Utf8, true)]);
    let plan = plan(&[(LogicalType::Text, ENDS)]);
    for wrong in [[4, 2, 8], [0, 1, 8], [-1, 2, 8], [0, 9, 8], [0, 2, 9], [0, 2, -1]] {
        let body = [offsets(&wrong), vec![0; 4], "ééabcd".as_bytes().to_vec()].concat();
        let bytes = raw(&schema, 2, &[(2, 0)], &[(0, 0), (0, 12), (16, 8)], &body);

        assert!(mask_arrow_stream(&plan, &bytes, &mut Vec::new()).is_err(), "{wrong:?}");
    }
    let body = [offsets(&[0, 8]), b"\xff\xfebcdefg".to_vec()].concat();
    let bytes = raw(&schema, 1, &[(1, 0)], &[(0, 0), (0, 8), (8, 8)], &body);
    assert!(mask_arrow_stream(&plan, &bytes, &mut Vec::new()).is_err());
}

#[test]
fn rows_that_take_no_bytes_cannot_fill_the_memory() {
    // A struct without children says any number of rows for free; each NULL of it takes a bit.
    let schema =
        Schema::new(vec![Field::new("a", DataType::Struct(arrow_schema::Fields::empty()), true)]);
    let rows = 1 << 50;
    let bytes = raw(&schema, rows, &[(rows, 0)], &[(0, 0)], &[]);

    let refused =
        mask_arrow_stream(&plan(&[(LogicalType::Object, Mask::Null)]), &bytes, &mut Vec::new());

    assert!(matches!(refused, Err(MaskError::TooLong { .. })), "{refused:?}");
}

proptest! {
    #[test]
    fn a_damaged_stream_never_panics_and_never_shows_a_canary(
        of_mask in prop::sample::select(&MASKS[..]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        is_masked_first in any::<bool>(),
    ) {
        let hidden: ArrayRef = Arc::new(StringArray::from(vec![Some(CANARY), None, Some(CANARY)]));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(1 << 40)]));
        let columns = if is_masked_first { [hidden, number] } else { [number, hidden] };
        let [first, second] = columns;
        let input = RecordBatch::try_from_iter([("a", first), ("b", second)]).unwrap();
        let (text, fixed) = ((LogicalType::Text, of_mask), (LogicalType::Fixed, Mask::Pass));
        let plan = plan(&if is_masked_first { [text, fixed] } else { [fixed, text] });
        let mut bytes = stream(&[input.clone(), input]);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }

        let mut masker = ArrowStreamMasker::new(&plan).with_message_limit(1 << 16);
        let mut out = Vec::new();
        let (head, tail) = bytes.split_at(cut.index(bytes.len()));
        let _ = masker.push(head, &mut out).and_then(|()| masker.push(tail, &mut out));
        let _ = masker.finish(&mut out);

        prop_assert!(!finds(&out, &forms(CANARY)));
    }
}
