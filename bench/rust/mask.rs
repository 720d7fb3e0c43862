//! Bytes per second through the masking engine, JSON and Arrow: eight columns of a customer table, of
//! which one is redacted and one partly shown.

use std::{hint::black_box, sync::Arc};

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
};
use arrow_ipc::writer::StreamWriter;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use snowgate_mask::{
    Column, JsonChunkMasker, LogicalType, Mask, MaskPlan, mask_arrow_stream, mask_json_rowset,
};

const ROWS: i64 = 8192;
/// Batches of an Arrow stream.
const BATCHES: usize = 8;
/// Bytes the gate reads from a socket at once.
const READ_BYTES: usize = 64 << 10;

fn plan() -> MaskPlan {
    let ends = Mask::Partial { keep_first: 1, keep_last: 4 };
    MaskPlan::new(
        [
            (LogicalType::Fixed, Mask::Pass),
            (LogicalType::Text, Mask::Pass),
            (LogicalType::Text, Mask::Redact),
            (LogicalType::Text, ends),
            (LogicalType::Fixed, Mask::Pass),
            (LogicalType::Date, Mask::Pass),
            (LogicalType::Boolean, Mask::Pass),
            (LogicalType::Text, Mask::Pass),
        ]
        .map(|(logical, mask)| (Column::new(logical), mask))
        .to_vec(),
    )
}

fn name(row: i64) -> String {
    format!("Customer Number {row}")
}

fn email(row: i64) -> String {
    format!("person.{row}@example-{}.com", row % 97)
}

fn card(row: i64) -> String {
    format!("{:016}", 4_111_111_111_111_111 + row * 7919)
}

fn note(row: i64) -> String {
    format!("order {row} was delivered in {} days, no complaint was recorded", row % 9)
}

fn json_rows() -> Vec<u8> {
    let rows: Vec<String> = (0..ROWS)
        .map(|row| {
            let cells = [
                row.to_string(),
                name(row),
                email(row),
                card(row),
                format!("{}.25", row * 31),
                (19_000 + row % 900).to_string(),
                (row % 2).to_string(),
                note(row),
            ];
            format!("[{}]", cells.map(|cell| format!("\"{cell}\"")).join(","))
        })
        .collect();
    rows.join(",").into_bytes()
}

#[expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a benchmark")]
fn arrow_stream() -> Vec<u8> {
    let texts = |text: fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..ROWS).map(text)))
    };
    let amounts: Decimal128Array = (0..ROWS).map(|row| Some(i128::from(row) * 3125)).collect();
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS)) as ArrayRef),
        ("name", texts(name)),
        ("email", texts(email)),
        ("card", texts(card)),
        ("amount", Arc::new(amounts)),
        ("day", Arc::new(Date32Array::from_iter_values((0..ROWS).map(|row| row as i32)))),
        ("active", Arc::new((0..ROWS).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>())),
        ("note", texts(note)),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
    (0..BATCHES).for_each(|_| writer.write(&batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

#[expect(clippy::unwrap_used, reason = "a fast wrong answer is no result")]
fn mask(c: &mut Criterion) {
    let plan = plan();
    let mut group = c.benchmark_group("mask");
    group.sample_size(20);

    let chunk = json_rows();
    let rowset = [b"[", &chunk[..], b"]"].concat();
    let mut out = Vec::new();
    group.throughput(Throughput::Bytes(rowset.len() as u64));
    group.bench_function("json rowset", |b| {
        b.iter(|| {
            out.clear();
            mask_json_rowset(&plan, black_box(&rowset), &mut out).unwrap()
        });
    });
    group.bench_function("json chunk, 64 KiB reads", |b| {
        b.iter(|| {
            let mut masker = JsonChunkMasker::new(&plan);
            for bytes in black_box(&chunk).chunks(READ_BYTES) {
                out.clear();
                masker.push(bytes, &mut out).unwrap();
            }
            masker.finish().unwrap()
        });
    });

    let stream = arrow_stream();
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("arrow stream", |b| {
        b.iter(|| {
            out.clear();
            mask_arrow_stream(&plan, black_box(&stream), &mut out).unwrap()
        });
    });
    let redact = MaskPlan::new(
        (0..8)
            .map(|at| {
                let mask = if at == 2 || at == 3 { Mask::Redact } else { Mask::Pass };
                (Column::new(LogicalType::Text), mask)
            })
            .collect(),
    );
    group.bench_function("arrow stream, redact only", |b| {
        b.iter(|| {
            out.clear();
            mask_arrow_stream(&redact, black_box(&stream), &mut out).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, mask);
criterion_main!(benches);
