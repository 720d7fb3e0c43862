//! What a user of the ledger relies on: entries come back, in order, verifiable, once acknowledged.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::common::*;
use snowgate_ledger::{Ledger, Reader, Settings};

#[test]
fn a_new_ledger_verifies_empty() {
    let home = Home::new();

    home.open().close().unwrap();

    let report = home.verify().unwrap();
    assert_eq!((report.size, report.published), (0, 0));
    assert_eq!(report.root, hex::encode(snowgate_ledger::empty_root()));
}

#[test]
fn entries_come_back_with_their_texts() {
    let home = Home::new();
    small(&home);

    let entries: Vec<_> = Reader::open(&home.dir(), 0).unwrap().map(Result::unwrap).collect();

    assert_eq!(entries.len(), 3);
    let text = entries[1].text("sql", &home.texts()).unwrap().unwrap();
    assert_eq!(text, b"select 1");
    let json: serde_json::Value = serde_json::from_slice(&entries[2].json).unwrap();
    assert_eq!(
        (&json["kind"], &json["seq"], &json["intent"]),
        (&json!("outcome"), &json!(2), &json!(1))
    );
}

#[test]
fn a_text_key_that_cannot_be_written_refuses_its_entry_only() {
    let home = Home::new();
    let ledger = home.open();
    append(&ledger, intent("alice", "select 1")).unwrap();
    let away = home.0.path().join("away");
    std::fs::rename(home.keys(), &away).unwrap();
    std::fs::write(home.keys(), "in the way").unwrap();

    let refused = append(&ledger, intent("alice", "select 2")).unwrap_err();
    let without_text = append(&ledger, entry("heartbeat", &json!({})));
    std::fs::remove_file(home.keys()).unwrap();
    std::fs::rename(&away, home.keys()).unwrap();
    let after = append(&ledger, intent("alice", "select 3"));

    assert!(!refused.is_final(), "{refused}");
    assert_eq!((without_text, after), (Ok(1), Ok(2)));
    ledger.close().unwrap();
    assert_eq!(home.verify().unwrap().size, 3);
    let last = Reader::open(&home.dir(), 2).unwrap().next().unwrap().unwrap();
    assert_eq!(last.text("sql", &home.texts()).unwrap().unwrap(), b"select 3");
    let left = files(&home.keys());
    assert!(left.iter().all(|file| file.extension().unwrap() == "key"), "{left:?}");
}

#[test]
fn a_closed_ledger_verifies_and_is_continued() {
    let home = Home::new();
    small(&home);
    let before = home.verify().unwrap();

    small(&home);

    let after =
        snowgate_ledger::verify(&home.dir(), &home.vkey(), Some(before.checkpoint.as_bytes()))
            .unwrap();
    assert_eq!((after.size, after.published, after.open_intents), (6, 6, 0));
}

/// Appends `each` entries from each of `appenders` threads, one at a time, as statements do.
fn hammer(home: &Home, appenders: usize, each: usize) -> Duration {
    let ledger = home.open();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for appender in 0..appenders {
            let ledger = ledger.clone();
            scope.spawn(move || {
                let subject = format!("subject {appender}");
                for number in 0..each {
                    let sql = format!("select * from orders where id = {number}");
                    append(&ledger, intent(&subject, &sql)).unwrap();
                }
            });
        }
    });
    let took = start.elapsed();
    ledger.close().unwrap();
    took
}

/// Batches on disk: each ends with a note that names the log twice.
fn syncs(home: &Home) -> usize {
    let segment = std::fs::read(home.dir().join("segments/00000000000000000000.seg")).unwrap();
    segment.windows(8).filter(|window| window == b"snowgate").count() / 2
}

#[test]
fn entries_that_come_together_share_a_sync() {
    let home = Home::new();

    hammer(&home, 32, 50);

    let batches = syncs(&home);
    assert_eq!(home.verify().unwrap().size, 1600);
    assert!(batches < 800, "{batches} syncs for 1600 entries");
}

#[test]
fn what_nobody_waits_for_rides_with_the_next_entry() {
    let home = Home::new();
    let ledger = home.open();
    let before = syncs(&home);

    for _ in 0..20 {
        let (sender, receiver) = mpsc::channel();
        ledger.append_later(entry("note", &json!({})), move |result| {
            sender.send(result).unwrap();
        });
        append(&ledger, entry("note", &json!({}))).unwrap();
        assert!(receiver.try_recv().unwrap().is_ok(), "it came first, and is acknowledged first");
    }

    // One more each time the thread that writes happens to sleep for 20 ms between the two.
    assert!(syncs(&home) - before < 30);
    ledger.close().unwrap();
    assert_eq!(home.verify().unwrap().size, 40);
}

#[test]
fn what_nobody_waits_for_is_on_disk_soon_or_at_the_close() {
    let home = Home::new();
    let ledger = home.open();
    let (sender, receiver) = mpsc::channel();
    let begun = Instant::now();

    ledger.append_later(entry("note", &json!({})), move |result| sender.send(result).unwrap());

    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)).unwrap().unwrap(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(15), "it waits for company");
    ledger.append_later(entry("note", &json!({})), |result| assert!(result.is_ok()));
    ledger.close().unwrap();
    assert_eq!(home.verify().unwrap().size, 2);
}

#[test]
#[ignore = "a measurement"]
fn the_wait_of_a_lone_statement() {
    let home = Home::new();
    let ledger = home.open();
    let mut waits: Vec<Duration> = (0..2000)
        .map(|_| {
            let start = Instant::now();
            append(&ledger, intent("alice", "select 1")).unwrap();
            start.elapsed()
        })
        .collect();
    ledger.close().unwrap();
    waits.sort_unstable();
    println!("p50 {:?}, p99 {:?}, max {:?}", waits[1000], waits[1980], waits[1999]);
}

#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_entries() {
    let home = Home::new();

    let took = hammer(&home, 64, 1563);

    println!("append: {:.0} entries/s", 64.0 * 1563.0 / took.as_secs_f64());
    let start = Instant::now();
    home.verify().unwrap();
    println!("verify: {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    home.open().close().unwrap();
    println!("open: {:.2} s", start.elapsed().as_secs_f64());
}

#[test]
fn segments_are_rotated_and_read_from_any_entry() {
    let home = Home::new();
    let settings = Settings { segment_bytes: 2_000, ..home.settings() };
    let ledger = Ledger::open(settings, &mut |_, _, _| {}).unwrap();
    for number in 0..30 {
        append(&ledger, entry("heartbeat", &json!({"n": number}))).unwrap();
    }
    ledger.close().unwrap();

    let report = home.verify().unwrap();

    assert!(report.segments > 3, "{report:?}");
    for from in 0..=31 {
        let mut entries = Reader::open(&home.dir(), from).unwrap().map(|entry| entry.unwrap().seq);
        assert_eq!(entries.next(), (from < 30).then_some(from));
        assert_eq!(entries.count() as u64, 29_u64.saturating_sub(from));
    }
}

#[test]
fn entries_of_one_thread_keep_their_order() {
    let home = Home::new();
    let ledger = home.open();
    let (sender, receiver) = mpsc::channel();

    for number in 0..200 {
        let sender = sender.clone();
        ledger.append(entry("heartbeat", &json!({"n": number})), move |result| {
            sender.send((number, result.unwrap())).unwrap();
        });
    }

    assert!(receiver.iter().take(200).all(|(number, seq)| number == seq));
    ledger.close().unwrap();
}

/// `tests/golden` was written once and stays: whatever this crate becomes, it reads that.
#[test]
fn a_ledger_of_the_first_version_verifies_and_opens() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let vkey = std::fs::read_to_string(golden.join("ledger.pub")).unwrap();
    let texts = snowgate_ledger::TextReader::open(golden.join("text-keys"), &kek()).unwrap();

    let report = snowgate_ledger::verify(&golden.join("ledger"), &vkey, None).unwrap();
    let entry = Reader::open(&golden.join("ledger"), 1).unwrap().next().unwrap().unwrap();

    assert_eq!((report.size, report.published, report.texts), (303, 303, 1));
    assert_eq!(report.root, "b32d47a0693925c94cc89c7f4350d5603f820ee780180737f6b308bb67708642");
    assert_eq!(entry.text("sql", &texts).unwrap().unwrap(), "select 'größer'".as_bytes());
}
