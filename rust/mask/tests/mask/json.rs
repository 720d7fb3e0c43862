//! What a reader gets of masked JSON rows, and what no input may do.

use proptest::prelude::*;
use snowgate_mask::{
    Column, JsonChunkMasker, LogicalType, Mask, MaskError, MaskPlan, mask_json_rowset,
};

use crate::common::{ENDS, ends, masks, plan};

fn rowset(plan: &MaskPlan, rows: &str) -> Result<String, MaskError> {
    let mut out = Vec::new();
    mask_json_rowset(plan, rows.as_bytes(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// Masks a chunk cut before each of these offsets.
fn chunk(plan: &MaskPlan, bytes: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, u64), MaskError> {
    let mut masker = JsonChunkMasker::new(plan);
    let mut out = Vec::new();
    let mut start = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let end = cut.clamp(start, bytes.len());
        masker.push(&bytes[start..end], &mut out)?;
        start = end;
    }
    let rows = masker.finish()?;
    Ok((out, rows))
}

#[test]
fn a_clear_cell_is_copied_and_a_masked_one_replaced() {
    let plan = plan(&[
        (LogicalType::Fixed, Mask::Pass),
        (LogicalType::Text, Mask::Redact),
        (LogicalType::Text, ENDS),
        (LogicalType::Fixed, Mask::Redact),
        (LogicalType::Text, Mask::Null),
        (LogicalType::Text, Mask::Void),
    ]);

    let masked = rowset(&plan, r#"[["1","secret","abcdef","42","x","y"]]"#);

    assert_eq!(masked.unwrap(), r#"[["1","***","a***ef",null,null,"***"]]"#);
}

#[test]
fn a_constant_mask_hides_which_rows_are_null() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact), (LogicalType::Variant, Mask::Void)]);

    let masked = rowset(&plan, r#"[["a","{}"],[null,null],["","[1,2]"]]"#);

    assert_eq!(masked.unwrap(), r#"[["***",null],["***",null],["***",null]]"#);
}

#[test]
fn every_type_but_text_is_masked_to_null() {
    for name in [
        "fixed",
        "real",
        "decfloat",
        "boolean",
        "date",
        "time",
        "timestamp_ntz",
        "timestamp_ltz",
        "timestamp_tz",
        "binary",
        "variant",
        "object",
        "array",
        "map",
        "vector",
        "geography",
        "geometry",
        "interval_year_month",
        "a type to come",
    ] {
        for mask in [Mask::Redact, Mask::Null, Mask::Void, ENDS] {
            let plan = MaskPlan::new(vec![(Column::from_rowtype(name, None), mask)]);
            assert_eq!(rowset(&plan, r#"[["12345678"]]"#).unwrap(), "[[null]]", "{name} {mask:?}");
        }
    }
}

#[test]
fn a_partial_mask_keeps_null_and_hides_the_length() {
    let plan = plan(&[(LogicalType::Text, ENDS)]);

    let masked = rowset(&plan, r#"[[null],[""],["abcde"],["abcdef"],["abc and much more yz"]]"#);

    assert_eq!(masked.unwrap(), r#"[[null],["***"],["***"],["a***ef"],["a***yz"]]"#);
}

#[test]
fn a_partial_mask_cuts_between_characters_of_an_escaped_text() {
    let plan = plan(&[(LogicalType::Text, ENDS)]);

    let masked = rowset(&plan, r#"[["\ud83e\udd80bcd\n\u00e9"],["é\"cd\\\ud83e\udd80"]]"#);

    assert_eq!(masked.unwrap(), r#"[["\ud83e\udd80***\n\u00e9"],["é***\\\ud83e\udd80"]]"#);
}

#[test]
fn a_rowset_without_rows_stays_without_rows() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact)]);
    let mut out = b"before".to_vec();

    assert_eq!(mask_json_rowset(&plan, b" [ ] ", &mut out), Ok(0));

    assert_eq!(out, b"before[ ]");
    assert_eq!(chunk(&plan, b"", &[]), Ok((vec![], 0)));
}

#[test]
fn rows_of_another_width_are_an_error() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact), (LogicalType::Text, Mask::Pass)]);

    for rows in [r#"[["a"]]"#, r#"[["a","b"],["a","b","c"]]"#, "[[]]"] {
        let error = rowset(&plan, rows).unwrap_err();
        assert!(matches!(error, MaskError::ColumnCount { planned: 2, .. }), "{rows} {error}");
    }
}

#[test]
fn anything_but_rows_of_text_or_null_is_an_error() {
    let plan = plan(&[(LogicalType::Text, Mask::Pass)]);

    for rows in [
        "",
        "null",
        "{}",
        "[",
        "]",
        "[[]",
        "[\"a\"]",
        "[[1]]",
        "[[true]]",
        "[[nul]]",
        "[[NULL]]",
        "[[nullx]]",
        "[[[\"a\"]]]",
        "[[{}]]",
        "[[\"a\",]]",
        "[[,\"a\"]]",
        "[[\"a\"],]",
        "[,[\"a\"]]",
        "[[\"a\"][\"a\"]]",
        "[[\"a\"]]]",
        "[[\"a\"]] x",
        "[[\"a\"]",
        "[[\"a]]",
        "[[\"\\x\"]]",
        "[[\"\\u12g4\"]]",
        "[[\"\\u12\"]]",
        "[[\"\\ud800\"]]",
        "[[\"\\udc00\"]]",
        "[[\"\\ud800\\u0041\"]]",
        "[[\"\\ud800x\"]]",
        "[[\"a\nb\"]]",
        "[[\"a\0\"]]",
        "[['a']]",
        "\u{feff}[[\"a\"]]",
        "[[\"a\"] /**/]",
    ] {
        assert!(rowset(&plan, rows).is_err(), "{rows}");
    }
    let mut out = Vec::new();
    assert!(mask_json_rowset(&plan, b"[[\"ok\"],[\"long enough \xff\"]]", &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn what_is_not_utf8_is_found_wherever_it_stands() {
    let plan = plan(&[(LogicalType::Text, Mask::Pass), (LogicalType::Text, Mask::Pass)]);
    let wrong: [&[u8]; 6] = [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5", b"\x80"];

    for (wrong, before, after) in wrong
        .iter()
        .flat_map(|wrong| (0..10).flat_map(move |b| (0..10).map(move |a| (wrong, b, a))))
    {
        let text = [&vec![b'x'; before][..], wrong, &vec![b'y'; after]].concat();
        let rows = [b"[[\"", &text[..], b"\",\"what follows\"]]"].concat();

        assert!(mask_json_rowset(&plan, &rows, &mut Vec::new()).is_err(), "{rows:?}");
    }
}

#[test]
fn an_error_does_not_quote_the_result() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact)]);

    for rows in [r#"[["canary" x]]"#, r#"[["canary","canary"]]"#, r#"[["canary\q"]]"#] {
        let error = rowset(&plan, rows).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn a_row_above_the_limit_is_not_held() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact)]);
    let mut masker = JsonChunkMasker::new(&plan).with_row_limit(1024);
    let mut out = Vec::new();
    masker.push(b"[\"", &mut out).unwrap();

    let refused = (0..20).map(|_| masker.push(&[b'a'; 100], &mut out)).find(Result::is_err);

    assert_eq!(refused, Some(Err(MaskError::TooLong { limit_bytes: 1024 })));
    assert!(out.is_empty());
}

#[test]
fn a_failed_chunk_stays_failed() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact)]);
    let mut masker = JsonChunkMasker::new(&plan);
    let mut out = Vec::new();
    assert!(masker.push(b"[1]", &mut out).is_err());

    assert_eq!(masker.push(b"[\"a\"]", &mut out), Err(MaskError::GivenUp));
    assert_eq!(masker.finish(), Err(MaskError::GivenUp));
}

#[test]
fn a_chunk_that_ends_early_is_an_error() {
    let plan = plan(&[(LogicalType::Text, Mask::Redact)]);

    for bytes in ["[\"a\"],", "[\"a\"", "[", "[\"a\"],[nul", "[\"a\\"] {
        assert!(chunk(&plan, bytes.as_bytes(), &[]).is_err(), "{bytes}");
    }
}

// ---- laws

const TYPES: [LogicalType; 3] = [LogicalType::Text, LogicalType::Fixed, LogicalType::Variant];

type Rows = Vec<Vec<Option<String>>>;

/// Columns, and rows that fit them.
fn results() -> impl Strategy<Value = (Vec<(LogicalType, Mask)>, Rows)> {
    let columns = prop::collection::vec((prop::sample::select(&TYPES), masks()), 1..5);
    columns.prop_flat_map(|columns| {
        let cell = prop::option::weighted(0.8, any::<String>());
        let rows = prop::collection::vec(prop::collection::vec(cell, columns.len()), 0..6);
        (Just(columns), rows)
    })
}

/// The masked value, written anew from the rule.
fn expected(logical: LogicalType, mask: Mask, cell: Option<&String>) -> Option<String> {
    let is_text = logical == LogicalType::Text;
    match mask {
        Mask::Pass => cell.cloned(),
        Mask::Redact | Mask::Void => is_text.then(|| "***".to_owned()),
        Mask::Partial { keep_first, keep_last } if is_text => {
            cell.map(|text| ends(text, keep_first, keep_last))
        }
        Mask::Null | Mask::Partial { .. } => None,
    }
}

/// Writes rows as JSON with `style`: 0 compact, 1 with blanks, 2 with every character escaped.
fn write_rows(rows: &Rows, style: u8) -> String {
    let cell = |cell: &Option<String>| match cell {
        None => "null".to_owned(),
        Some(text) if style == 2 => {
            let units: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            format!("\"{}\"", units.concat())
        }
        Some(text) => serde_json::to_string(text).unwrap(),
    };
    let (open, comma, close) = if style == 1 { ("[\n ", " ,\t", "\r\n]") } else { ("[", ",", "]") };
    let rows: Vec<String> = rows
        .iter()
        .map(|row| format!("{open}{}{close}", row.iter().map(cell).collect::<Vec<_>>().join(comma)))
        .collect();
    rows.join(comma)
}

proptest! {
    #[test]
    fn masked_rows_decode_to_the_masked_values(
        (columns, rows) in results(), style in 0_u8..3
    ) {
        let json = format!("[{}]", write_rows(&rows, style));

        let masked: Rows = serde_json::from_str(&rowset(&plan(&columns), &json).unwrap()).unwrap();

        let wanted: Rows = rows.iter().map(|row| {
            row.iter().zip(&columns).map(|(cell, (logical, mask))| {
                expected(*logical, *mask, cell.as_ref())
            }).collect()
        }).collect();
        prop_assert_eq!(masked, wanted);
    }

    #[test]
    fn any_split_gives_the_same_chunk(
        (columns, rows) in results(),
        style in 0_u8..3,
        mut cuts in prop::collection::vec(0_usize..400, 0..12),
    ) {
        let plan = plan(&columns);
        let json = write_rows(&rows, style);
        cuts.sort_unstable();

        let whole = chunk(&plan, json.as_bytes(), &[]).unwrap();
        let bytewise: Vec<usize> = (0..json.len()).collect();

        prop_assert_eq!(whole.1, rows.len() as u64);
        prop_assert_eq!(&chunk(&plan, json.as_bytes(), &cuts).unwrap(), &whole);
        prop_assert_eq!(&chunk(&plan, json.as_bytes(), &bytewise).unwrap(), &whole);
    }

    #[test]
    fn what_is_masked_does_not_change_the_output(
        (columns, rows) in results(), (_, other) in results()
    ) {
        // Noninterference: rows that differ only in masked cells give the same bytes.
        let columns: Vec<_> = columns.into_iter()
            .map(|(logical, mask)| match mask {
                Mask::Partial { .. } => (logical, Mask::Void),
                mask => (logical, mask),
            })
            .collect();
        let mut donors = other.into_iter().flatten();
        let changed: Rows = rows.iter().map(|row| {
            row.iter().zip(&columns).map(|(cell, (_, mask))| {
                if *mask == Mask::Pass { cell.clone() } else { donors.next().flatten() }
            }).collect()
        }).collect();
        let plan = plan(&columns);

        let one = chunk(&plan, write_rows(&rows, 0).as_bytes(), &[]);
        let two = chunk(&plan, write_rows(&changed, 0).as_bytes(), &[]);

        prop_assert_eq!(one, two);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200
    ) {
        let plan = plan(&[(LogicalType::Text, ENDS)]);
        let _ = mask_json_rowset(&plan, &bytes, &mut Vec::new());
        let _ = chunk(&plan, &bytes, &[cut]);
    }

    #[test]
    fn damaged_rows_are_masked_like_serde_reads_them_or_refused(
        (columns, rows) in results(),
        damage in prop::collection::vec(
            (0_usize..400, prop::sample::select(&b"[]\",\\un0 \x01\xff\xc3d8"[..])), 1..4
        ),
    ) {
        let plan = plan(&columns);
        let mut json = format!("[{}]", write_rows(&rows, 0)).into_bytes();
        for (at, byte) in damage {
            let length = json.len();
            json[at % length] = byte;
        }

        let mut out = Vec::new();
        let result = mask_json_rowset(&plan, &json, &mut out);

        // Neither looser than a strict parser, nor stricter.
        let read = serde_json::from_slice::<Rows>(&json)
            .ok().filter(|rows| rows.iter().all(|row| row.len() == columns.len()));
        prop_assert_eq!(result.ok(), read.as_ref().map(|rows| rows.len() as u64));
        if read.is_some() {
            prop_assert!(serde_json::from_slice::<Rows>(&out).is_ok());
        }
    }

    #[test]
    fn a_canary_never_passes_a_mask(
        canary in "[A-Z]{12}",
        mask in prop::sample::select(&[Mask::Redact, Mask::Null, Mask::Void, ENDS][..]),
        before in any::<String>(),
        damage in prop::option::of((0_usize..200, any::<u8>())),
        cut in 0_usize..200,
    ) {
        let plan = plan(&[(LogicalType::Text, Mask::Pass), (LogicalType::Text, mask)]);
        let rows = vec![vec![Some(before), Some(canary.clone())]; 2];
        let mut json = write_rows(&rows, 0).into_bytes();
        if let Some((at, byte)) = damage {
            let length = json.len();
            json[at % length] = byte;
        }

        let mut masker = JsonChunkMasker::new(&plan);
        let mut out = Vec::new();
        let (head, tail) = json.split_at(cut.min(json.len()));
        let _ = masker.push(head, &mut out).and_then(|()| masker.push(tail, &mut out));

        prop_assert!(!out.windows(canary.len()).any(|window| window == canary.as_bytes()));
    }
}
