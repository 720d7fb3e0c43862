//! What a reader gets of a masked Arrow stream. Every output is decoded by arrow-rs, which shares no
//! code with the masker but the metadata's flatbuffers.

use std::sync::Arc;

use crate::common::{self, ENDS, Kind, decode, field, kinds, masks, plan, stream, texts};
use arrow_array::{
    Array, ArrayRef, Int8Array, Int64Array, LargeStringArray, NullArray, RecordBatch,
    RecordBatchOptions, StringArray, new_null_array,
};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use snowgate_mask::{
    ArrowStreamMasker, Column, LogicalType, Mask, MaskError, MaskPlan, mask_arrow_stream,
    mask_json_rowset,
};

fn masked(plan: &MaskPlan, stream: &[u8]) -> Result<Vec<u8>, MaskError> {
    let mut out = Vec::new();
    mask_arrow_stream(plan, stream, &mut out)?;
    Ok(out)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn clear_columns_stay_and_masked_ones_are_replaced() {
    let plan = plan(&[
        (LogicalType::Fixed, Mask::Pass),
        (LogicalType::Text, Mask::Redact),
        (LogicalType::Text, ENDS),
        (LogicalType::Fixed, Mask::Redact),
        (LogicalType::Text, Mask::Null),
        (LogicalType::Text, Mask::Pass),
    ]);
    let text = strings(&[Some("abcdef"), None, Some("é🦀cde🦀"), Some("short")]);
    let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]));
    let input = batch(vec![
        ("a", number.clone()),
        ("b", text.clone()),
        ("c", text.clone()),
        ("d", number.clone()),
        ("e", text.clone()),
        ("f", text.clone()),
    ]);

    let (_, batches) = decode(&masked(&plan, &stream(&[input.clone(), input])).unwrap());

    assert_eq!(batches.len(), 2);
    for output in batches {
        assert_eq!(output.column(0), &number);
        assert_eq!(output.column(1), &strings(&[Some("***"); 4]));
        let ends = strings(&[Some("a***ef"), None, Some("é***e🦀"), Some("***")]);
        assert_eq!(output.column(2), &ends);
        assert_eq!(output.column(3), &new_null_array(&DataType::Int64, 4));
        assert_eq!(output.column(4), &new_null_array(&DataType::Utf8, 4));
        assert_eq!(output.column(5), &text);
    }
}

#[test]
fn every_physical_type_but_text_is_masked_to_null() {
    for kind in kinds() {
        if kind.is_text() {
            continue;
        }
        let array = kind.array(&[Some(7), None, Some(-1), Some(300)]);
        let input = batch(vec![("a", array.clone()), ("b", strings(&[Some("x"); 4]))]);
        for logical in [LogicalType::Text, LogicalType::Fixed, LogicalType::Other] {
            for mask in [Mask::Redact, Mask::Null, Mask::Void, ENDS] {
                let plan = plan(&[(logical, mask), (LogicalType::Text, Mask::Pass)]);

                let (_, batches) =
                    decode(&masked(&plan, &stream(std::slice::from_ref(&input))).unwrap());

                let column = batches[0].column(0);
                assert_eq!(column.data_type(), array.data_type(), "{kind:?}");
                assert_eq!(column.logical_null_count(), 4, "{kind:?} {mask:?}");
                assert_eq!(batches[0].column(1), &strings(&[Some("x"); 4]), "{kind:?}");
            }
        }
    }
}

#[test]
fn text_that_is_not_of_the_text_type_is_masked_to_null() {
    for logical in [LogicalType::Variant, LogicalType::Object, LogicalType::Geography] {
        for mask in [Mask::Redact, Mask::Void, ENDS] {
            let input = batch(vec![("a", strings(&[Some("{}"), None]))]);

            let output = masked(&plan(&[(logical, mask)]), &stream(&[input])).unwrap();

            assert_eq!(decode(&output).1[0].column(0), &new_null_array(&DataType::Utf8, 2));
        }
    }
}

#[test]
fn large_text_is_masked_as_text() {
    let array = Arc::new(LargeStringArray::from(vec![Some("abcdef"), None]));
    let input = batch(vec![("a", array.clone()), ("b", array)]);
    let plan = plan(&[(LogicalType::Text, ENDS), (LogicalType::Text, Mask::Redact)]);

    let (_, batches) = decode(&masked(&plan, &stream(&[input])).unwrap());

    let ends: ArrayRef = Arc::new(LargeStringArray::from(vec![Some("a***ef"), None]));
    let stars: ArrayRef = Arc::new(LargeStringArray::from(vec!["***", "***"]));
    assert_eq!(batches[0].columns(), [ends, stars]);
}

#[test]
fn the_schema_stays_but_for_nulls_and_unknown_metadata() {
    let known = [("logicalType", "FIXED"), ("scale", "0"), ("finalType", "T")];
    let unknown = [("logicalType", "FIXED"), ("scale", "0"), ("finalType", "T"), ("max", "9")];
    let columns = || vec![Arc::new(Int8Array::from(vec![1])) as ArrayRef; 2];
    let of = |fields: Vec<Field>| Arc::new(Schema::new(fields));
    let schema = of(vec![
        field("a", DataType::Int8, false, &unknown),
        field("b", DataType::Int8, false, &unknown),
    ])
    .as_ref()
    .clone()
    .with_metadata([("max".to_owned(), "9".to_owned())]);
    let input = RecordBatch::try_new(Arc::new(schema), columns()).unwrap();
    let plan = plan(&[(LogicalType::Fixed, Mask::Pass), (LogicalType::Fixed, Mask::Null)]);

    let (schema, _) = decode(&masked(&plan, &stream(&[input])).unwrap());

    let wanted = of(vec![
        field("a", DataType::Int8, false, &unknown),
        field("b", DataType::Int8, true, &known),
    ]);
    assert_eq!(schema, wanted);
}

#[test]
fn children_of_a_masked_column_keep_the_metadata_drivers_need() {
    let child = field("epoch", DataType::Int64, false, &[("logicalType", "FIXED"), ("x", "y")]);
    let schema = Schema::new(vec![Field::new("t", DataType::Struct(vec![child].into()), false)]);
    let empty = RecordBatch::new_empty(Arc::new(schema));
    let plan = plan(&[(LogicalType::TimestampTz, Mask::Redact)]);

    let (schema, _) = decode(&masked(&plan, &stream(&[empty])).unwrap());

    let child = field("epoch", DataType::Int64, false, &[("logicalType", "FIXED")]);
    assert_eq!(schema.field(0).data_type(), &DataType::Struct(vec![child].into()));
    assert!(schema.field(0).is_nullable());
}

#[test]
fn a_stream_without_rows_stays_without_rows() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact)]);
    let empty =
        RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, false)])));
    let no_batch = {
        let mut bytes = Vec::new();
        let mut writer =
            arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &empty.schema()).unwrap();
        writer.finish().unwrap();
        drop(writer);
        bytes
    };

    assert_eq!(masked(&plan, b"").unwrap(), b"");
    assert_eq!(decode(&masked(&plan, &no_batch).unwrap()).1, vec![]);
    assert_eq!(
        decode(&masked(&plan, &stream(std::slice::from_ref(&empty))).unwrap()).1,
        vec![empty]
    );
}

#[test]
fn a_stream_may_end_without_a_mark() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact)]);
    let whole = stream(&[batch(vec![("a", strings(&[Some("x")]))])]);
    let unmarked = &whole[..whole.len() - 8];

    assert_eq!(masked(&plan, unmarked), masked(&plan, &whole));
}

#[test]
fn a_stream_that_does_not_fit_is_an_error() {
    let two = plan(&[(LogicalType::Text, Mask::Redact), (LogicalType::Text, Mask::Pass)]);
    let whole = stream(&[batch(vec![("a", strings(&[Some("x")]))])]);
    let one = plan(&[(LogicalType::Text, Mask::Redact)]);

    assert_eq!(masked(&two, &whole), Err(MaskError::ColumnCount { found: 1, planned: 2 }));
    let mut twice = whole.clone();
    twice.extend_from_slice(&whole);
    for broken in
        [&whole[8..], &whole[..whole.len() - 9], &twice, b"ARROW1\0\0", &[0xff; 8], &[0; 4]]
    {
        assert!(matches!(
            masked(&one, broken).unwrap_err(),
            MaskError::NotArrow { .. } | MaskError::TooLong { .. }
        ));
    }
}

#[test]
fn a_failed_stream_stays_failed() {
    let mut masker = ArrowStreamMasker::new(&plan(&[(LogicalType::Text, Mask::Redact)]));
    assert!(masker.push(&[0; 8], &mut Vec::new()).is_err());

    assert_eq!(masker.push(b"", &mut Vec::new()), Err(MaskError::GivenUp));
    assert_eq!(masker.finish(&mut Vec::new()), Err(MaskError::GivenUp));
}

#[test]
fn a_message_above_the_limit_is_not_held() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact)]);
    let long = "x".repeat(5000);
    let bytes = stream(&[batch(vec![("a", strings(&[Some(&long)]))])]);
    let mut masker = ArrowStreamMasker::new(&plan).with_message_limit(4096);

    let refused = bytes.chunks(64).find_map(|chunk| masker.push(chunk, &mut Vec::new()).err());

    assert_eq!(refused, Some(MaskError::TooLong { limit_bytes: 4096 }));
}

#[test]
fn no_columns_at_all_are_masked_too() {
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let input =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();

    let mut out = Vec::new();
    let rows = mask_arrow_stream(&plan(&[]), &stream(&[input]), &mut out);

    assert_eq!(rows, Ok(3));
}

#[test]
fn what_drivers_cannot_read_is_refused() {
    use arrow_array::{
        DictionaryArray, RunArray, StringViewArray,
        types::{Int8Type, Int32Type},
    };
    let dictionary: DictionaryArray<Int8Type> = vec!["a", "b"].into_iter().collect();
    let run: RunArray<Int32Type> = vec!["a", "a"].into_iter().collect();
    let arrays: [ArrayRef; 3] =
        [Arc::new(dictionary), Arc::new(run), Arc::new(StringViewArray::from(vec!["a", "b"]))];

    for array in arrays {
        for mask in [Mask::Pass, Mask::Redact] {
            let plan = plan(&[(LogicalType::Text, mask), (LogicalType::Text, Mask::Redact)]);
            let input = batch(vec![("a", array.clone()), ("b", strings(&[Some("x"); 2]))]);

            let refused = masked(&plan, &stream(&[input]));

            assert!(matches!(refused, Err(MaskError::Unsupported { .. })), "{refused:?}");
        }
    }
}

#[test]
fn slices_of_larger_arrays_are_masked_alone() {
    let all = strings(&[Some("before"), Some("abcdef"), None, Some("uvwxyz"), Some("after")]);
    let input = batch(vec![("a", all.clone()), ("b", all)]).slice(1, 3);
    let plan = plan(&[(LogicalType::Text, ENDS), (LogicalType::Text, Mask::Pass)]);

    let (_, batches) = decode(&masked(&plan, &stream(&[input])).unwrap());

    assert_eq!(batches[0].column(0), &strings(&[Some("a***ef"), None, Some("u***yz")]));
    assert_eq!(batches[0].column(1), &strings(&[Some("abcdef"), None, Some("uvwxyz")]));
}

#[test]
fn a_column_of_the_null_type_is_masked_and_stays() {
    let input = batch(vec![("a", Arc::new(NullArray::new(2))), ("b", strings(&[None, None]))]);
    let plan = plan(&[(LogicalType::Text, Mask::Redact), (LogicalType::Text, Mask::Redact)]);

    let (_, batches) = decode(&masked(&plan, &stream(&[input])).unwrap());

    assert_eq!(batches[0].column(0).data_type(), &DataType::Null);
    assert_eq!(batches[0].column(1), &strings(&[Some("***"); 2]));
}

// ---- laws

/// Columns and batches that fit them: a physical type, a mask and a logical type for each column.
fn results() -> impl Strategy<Value = (Vec<(Kind, Mask, LogicalType)>, Vec<RecordBatch>)> {
    let logical = prop::sample::select(vec![LogicalType::Text, LogicalType::Fixed]);
    let column = (prop::sample::select(kinds()), masks(), logical);
    let sizes = prop::collection::vec(0_usize..20, 0..3);
    (prop::collection::vec(column, 1..5), sizes).prop_flat_map(|(columns, sizes)| {
        let batches: Vec<_> = sizes
            .into_iter()
            .map(|rows| {
                let values = prop::collection::vec(
                    prop::collection::vec(prop::option::weighted(0.8, any::<i64>()), rows),
                    columns.len(),
                );
                let kinds: Vec<Kind> = columns.iter().map(|(kind, ..)| *kind).collect();
                values.prop_map(move |values| common::batch(&kinds, &values))
            })
            .collect();
        (Just(columns), batches)
    })
}

fn plan_of(columns: &[(Kind, Mask, LogicalType)]) -> MaskPlan {
    MaskPlan::new(columns.iter().map(|(_, mask, logical)| (Column::new(*logical), *mask)).collect())
}

proptest! {
    #[test]
    fn a_masked_stream_decodes_to_the_masked_values((columns, batches) in results()) {
        let mut out = Vec::new();
        let rows = mask_arrow_stream(&plan_of(&columns), &stream(&batches), &mut out).unwrap();

        let wanted_rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        prop_assert_eq!(rows, wanted_rows as u64);
        let (_, outputs) = if batches.is_empty() { Default::default() } else {
            let (schema, outputs) = decode(&out);
            (Some(schema), outputs)
        };
        prop_assert_eq!(outputs.len(), batches.len());
        for (input, output) in batches.iter().zip(&outputs) {
            for (index, (kind, mask, logical)) in columns.iter().enumerate() {
                let column = input.column(index);
                let is_text = *logical == LogicalType::Text && kind.is_text();
                let wanted = match mask {
                    Mask::Pass => column.clone(),
                    Mask::Redact | Mask::Void if is_text => {
                        kind.of_texts(&vec![Some("***".to_owned()); column.len()])
                    }
                    Mask::Partial { keep_first, keep_last } if is_text => {
                        let texts: Vec<_> = texts(column).into_iter().map(|text| {
                            text.map(|text| common::ends(&text, *keep_first, *keep_last))
                        }).collect();
                        kind.of_texts(&texts)
                    }
                    _ => new_null_array(column.data_type(), column.len()),
                };
                let found = output.column(index);
                if wanted.null_count() == wanted.len() {
                    // The children of NULLs may differ.
                    prop_assert_eq!(found.logical_null_count(), wanted.len());
                    prop_assert_eq!(found.data_type(), wanted.data_type());
                } else {
                    prop_assert_eq!(found, &wanted);
                }
            }
        }
    }

    #[test]
    fn any_split_gives_the_same_stream(
        (columns, batches) in results(), mut cuts in prop::collection::vec(0_usize..3000, 0..8)
    ) {
        let plan = plan_of(&columns);
        let bytes = stream(&batches);
        let whole = masked(&plan, &bytes).unwrap();
        cuts.sort_unstable();
        let bytewise: Vec<usize> = (0..bytes.len()).collect();

        for cuts in [cuts, bytewise] {
            let mut masker = ArrowStreamMasker::new(&plan);
            let mut out = Vec::new();
            let mut start = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                let end = cut.clamp(start, bytes.len());
                masker.push(&bytes[start..end], &mut out).unwrap();
                start = end;
            }
            masker.finish(&mut out).unwrap();
            prop_assert_eq!(&out, &whole);
        }
    }

    #[test]
    fn what_is_masked_does_not_change_the_stream(
        columns in prop::collection::vec((prop::sample::select(kinds()), any::<bool>()), 1..4),
        clear in prop::collection::vec(prop::option::of(any::<i64>()), 8),
        one in prop::collection::vec(prop::option::of(any::<i64>()), 8),
        two in prop::collection::vec(prop::option::of(any::<i64>()), 8),
        mask in prop::sample::select(vec![Mask::Redact, Mask::Null, Mask::Void]),
    ) {
        // Noninterference: values, lengths and NULLs of masked columns leave no trace.
        let kinds: Vec<Kind> = columns.iter().map(|(kind, _)| *kind).collect();
        let with = |hidden: &Vec<Option<i64>>| {
            let values: Vec<_> = columns.iter()
                .map(|(_, is_masked)| if *is_masked { hidden.clone() } else { clear.clone() })
                .collect();
            stream(&[common::batch(&kinds, &values)])
        };
        let plan = plan(&columns.iter().map(|(_, is_masked)| {
            (LogicalType::Text, if *is_masked { mask } else { Mask::Pass })
        }).collect::<Vec<_>>());

        prop_assert_eq!(masked(&plan, &with(&one)), masked(&plan, &with(&two)));
    }

    #[test]
    fn json_and_arrow_decode_to_the_same_masked_values(
        cells in prop::collection::vec(prop::option::of(any::<String>()), 0..12), mask in masks()
    ) {
        let plan = plan(&[(LogicalType::Text, mask)]);
        let rows: Vec<[Option<String>; 1]> = cells.iter().map(|cell| [cell.clone()]).collect();
        let input = batch(vec![("a", Arc::new(StringArray::from(cells)))]);

        let mut json = Vec::new();
        mask_json_rowset(&plan, &serde_json::to_vec(&rows).unwrap(), &mut json).unwrap();
        let (_, batches) = decode(&masked(&plan, &stream(&[input])).unwrap());

        let of_json: Vec<[Option<String>; 1]> = serde_json::from_slice(&json).unwrap();
        let of_arrow: Vec<_> = texts(batches[0].column(0)).into_iter().map(|cell| [cell]).collect();
        prop_assert_eq!(of_json, of_arrow);
    }

    #[test]
    fn a_damaged_stream_of_any_type_never_panics(
        (columns, batches) in results(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        prop_assume!(!batches.is_empty());
        let mut bytes = stream(&batches);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }

        let mut masker = ArrowStreamMasker::new(&plan_of(&columns)).with_message_limit(1 << 20);
        let mut out = Vec::new();
        let _ = masker.push(&bytes, &mut out);
        let _ = masker.finish(&mut out);

        // However it lies, a stream does not make us write much more than it brought along.
        prop_assert!(out.len() <= 8 << 20);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let plan = plan(&[(LogicalType::Text, ENDS)]);
        let _ = masked(&plan, &bytes);
        let framed = [&[0xff; 4][..], &u32::try_from(bytes.len()).unwrap().to_le_bytes(), &bytes].concat();
        let _ = masked(&plan, &framed);
    }
}
