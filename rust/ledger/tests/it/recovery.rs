//! After a crash, nothing acknowledged is lost and what is left verifies.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use serde_json::json;
use snowgate_ledger::{Kek, Ledger, LedgerError, Reader, Settings, TextReader, verify};

use crate::common::*;

/// Settings under which nothing is published while the test runs, as if the crash came first.
fn unpublished(home: &Home) -> Settings {
    Settings { checkpoint_after: Duration::from_hours(1), ..home.settings() }
}

#[test]
fn a_crash_at_any_byte_of_the_last_batch_loses_nothing_acknowledged() {
    let home = Home::new();
    let ledger = Ledger::open(unpublished(&home), &mut |_, _, _| {}).unwrap();
    append(&ledger, entry("start", &json!({}))).unwrap();
    append(&ledger, intent("alice", "select 1")).unwrap();
    let segment = "segments/00000000000000000000.seg";
    let acknowledged = fs::read(home.dir().join(segment)).unwrap().len();
    append(&ledger, intent("alice", "select 2")).unwrap();
    let image = home.0.path().join("image");
    copy(&home.dir(), &image);
    ledger.close().unwrap();
    let bytes = fs::read(image.join(segment)).unwrap();

    for length in acknowledged..=bytes.len() {
        fs::remove_dir_all(home.dir()).unwrap();
        copy(&image, &home.dir());
        fs::write(home.dir().join(segment), &bytes[..length]).unwrap();
        let expected = if length == bytes.len() { 3 } else { 2 };
        assert_eq!(home.verify().unwrap().size, expected, "crashed at byte {length}");

        let ledger = home.open();

        assert_eq!(ledger.status().size, expected, "cut at byte {length}");
        // Going on is tried at some of the cuts: each try costs a dozen syncs.
        if length % 8 == 0 {
            let seq = append(&ledger, entry("outcome", &json!({"intent": 1}))).unwrap();
            assert_eq!(seq, expected);
        }
        ledger.close().unwrap();
        assert_eq!(home.verify().unwrap().uncommitted_bytes, 0);
    }
}

#[test]
fn zeros_after_the_last_batch_are_a_torn_write() {
    let home = Home::new();
    small(&home);
    let segment = home.dir().join("segments/00000000000000000000.seg");
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, [bytes.as_slice(), &[0; 5000]].concat()).unwrap();

    home.open().close().unwrap();

    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn a_changed_length_does_not_pass_for_a_torn_end() {
    let home = Home::new();
    let ledger = Ledger::open(unpublished(&home), &mut |_, _, _| {}).unwrap();
    for _ in 0..3 {
        append(&ledger, entry("heartbeat", &json!({}))).unwrap();
    }
    let image = home.0.path().join("image");
    copy(&home.dir(), &image);
    ledger.close().unwrap();
    fs::remove_dir_all(home.dir()).unwrap();
    copy(&image, &home.dir());
    let segment = home.dir().join("segments/00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let entry = bytes.windows(5).position(|window| window == b"E{\"ki").unwrap();
    bytes[entry - 7] = 0xff;
    fs::write(&segment, bytes).unwrap();

    let error = refusal(home.settings());

    assert!(error.to_string().ends_with("crc mismatch"), "{error}");
}

/// Takes images of a directory while a ledger is written in it, and checks that each verifies and
/// opens with all that was acknowledged before it was taken.
#[test]
fn a_copy_taken_at_any_moment_verifies_and_opens() {
    let home = Home::new();
    let settings = Settings {
        segment_bytes: 20_000,
        checkpoint_after: Duration::from_millis(5),
        ..home.settings()
    };
    let ledger = Ledger::open(settings, &mut |_, _, _| {}).unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    for round in 0..30 {
        for _ in 0..20 {
            let acknowledged = Arc::clone(&acknowledged);
            ledger.append(intent("alice", "select 1"), move |result| {
                acknowledged.fetch_max(result.unwrap() + 1, Ordering::SeqCst);
            });
        }
        append(&ledger, entry("heartbeat", &json!({}))).unwrap();
        verify(&home.dir(), &home.vkey(), None).unwrap();

        let image = Home::new();
        let before = acknowledged.load(Ordering::SeqCst);
        while !crashed(&home, &image) {}
        let report = verify(&image.dir(), &home.vkey(), None).unwrap();
        assert!(report.size >= before, "round {round}");
        let reopened = image.open();
        assert_eq!(reopened.status().size, report.size);
        reopened.close().unwrap();
        image.verify().unwrap();
    }
    ledger.close().unwrap();
    home.verify().unwrap();
}

/// Copies a ledger as one moment leaves it: what rests on other files before these, and all again if
/// a checkpoint was published meanwhile.
fn crashed(home: &Home, image: &Home) -> bool {
    let _ = fs::remove_dir_all(image.dir());
    let checkpoint = fs::read(home.dir().join("checkpoint")).unwrap();
    let Ok(mut copied) = list(&home.dir().join("tile")) else { return false };
    copied.extend(files(&home.dir().join("segments")));
    copied.extend([home.key_file(), home.dir().join("checkpoint")]);
    copied.into_iter().all(|file| {
        let target = image.0.path().join(file.strip_prefix(home.0.path()).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).is_ok()
    }) && fs::read(image.dir().join("checkpoint")).unwrap() == checkpoint
}

/// Not a test: what [`a_killed_writer_keeps_every_acknowledged_entry`] runs and kills.
#[test]
#[ignore = "runs until it is killed"]
fn writes_until_killed() {
    let Some(path) = std::env::var_os("LEDGER_HOME") else { return };
    let path = std::path::PathBuf::from(path);
    let settings = Settings {
        segment_bytes: 10_000,
        checkpoint_after: Duration::from_millis(2),
        ..Settings::new(
            path.join("ledger"),
            ORIGIN,
            path.join("signing.pem"),
            path.join("keys"),
            kek(),
        )
    };
    let ledger = Ledger::open(settings, &mut |_, _, _| {}).unwrap();
    loop {
        for _ in 0..4 {
            ledger
                .append(intent("alice", "select 1"), |result| println!("ack {}", result.unwrap()));
        }
        append(&ledger, entry("heartbeat", &json!({}))).unwrap();
    }
}

#[test]
fn a_killed_writer_keeps_every_acknowledged_entry() {
    let home = Home::new();
    for round in 1..=6 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "recovery::writes_until_killed", "--ignored", "--nocapture"])
            .env("LEDGER_HOME", home.0.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut acknowledged = 0;
        let mut left = round * 37;
        for line in std::io::BufRead::lines(output) {
            if let Some(seq) = line.unwrap().strip_prefix("ack ") {
                acknowledged = seq.parse::<u64>().unwrap() + 1;
                left -= 1;
                if left == 0 {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();

        let report = home.verify().unwrap();
        let read: Vec<_> = Reader::open(&home.dir(), 0).unwrap().map(Result::unwrap).collect();

        assert!(report.size >= acknowledged && acknowledged > 0, "round {round}");
        assert_eq!(read.len() as u64, report.size);
        for entry in read.iter().filter(|entry| !entry.texts().unwrap().is_empty()) {
            assert_eq!(entry.text("sql", &home.texts()).unwrap().unwrap(), b"select 1");
        }
    }
    home.open().close().unwrap();
    home.verify().unwrap();
}

#[test]
fn a_ledger_verifies_at_every_moment_while_it_is_written() {
    let home = Home::new();
    let settings = Settings {
        segment_bytes: 20_000,
        checkpoint_after: Duration::from_millis(1),
        ..home.settings()
    };
    let ledger = Ledger::open(settings, &mut |_, _, _| {}).unwrap();
    let (mut size, mut checkpoint) = (0, String::new());
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for _ in 0..600 {
                append(&ledger, intent("alice", "select 1")).unwrap();
            }
        });
        while !writing.is_finished() {
            let extends = Some(checkpoint.as_bytes()).filter(|note| !note.is_empty());
            let report = verify(&home.dir(), &home.vkey(), extends).unwrap();
            assert!(report.size >= size && report.published <= report.size);
            (size, checkpoint) = (report.size, report.checkpoint);
        }
    });
    ledger.close().unwrap();

    assert_eq!(home.verify().unwrap().size, 600);
}

#[test]
fn a_crash_while_publishing_leaves_what_recovery_clears() {
    let home = Home::new();
    small(&home);
    let checkpoint = fs::read(home.dir().join("checkpoint")).unwrap();
    let tile = fs::read(home.dir().join("tile/0/000.p/3")).unwrap();
    let segment = fs::read(home.dir().join("segments/00000000000000000000.seg")).unwrap();
    fs::write(home.dir().join("checkpoint.new"), &checkpoint[..20]).unwrap();
    fs::write(home.dir().join("tile/0/000.p/2"), &tile[..64]).unwrap();
    fs::write(home.dir().join("tile/0/000.p/1.new"), &tile[..7]).unwrap();
    let next = home.dir().join("segments/00000000000000000003.seg.new");
    fs::write(&next, &segment[..0]).unwrap();
    home.verify().unwrap();

    home.open().close().unwrap();

    assert_eq!(files(&home.dir()).len(), 4);
    home.verify().unwrap();
    fs::write(home.dir().join("checkpoint.new"), b"something else").unwrap();
    assert!(home.verify().is_err());
}

#[test]
fn a_ledger_cut_short_while_it_was_begun_is_begun_again() {
    let home = Home::new();
    fs::create_dir_all(home.dir().join("segments")).unwrap();
    fs::write(home.dir().join("segments/00000000000000000000.seg.new"), b"").unwrap();
    small(&home);

    home.verify().unwrap();
}

#[test]
fn the_published_checkpoint_follows_within_two_seconds() {
    let home = Home::new();
    let ledger = home.open();
    append(&ledger, entry("heartbeat", &json!({}))).unwrap();
    let start = SystemTime::now();

    while home.verify().unwrap().published < 1 {
        assert!(start.elapsed().unwrap() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(50));
    }

    ledger.close().unwrap();
}

#[test]
fn a_failed_write_poisons_the_ledger() {
    let home = Home::new();
    let ledger =
        Ledger::open(Settings { segment_bytes: 1, ..home.settings() }, &mut |_, _, _| {}).unwrap();
    append(&ledger, entry("heartbeat", &json!({}))).unwrap();
    // The next segment cannot be created.
    fs::rename(home.dir().join("segments"), home.dir().join("away")).unwrap();
    fs::write(home.dir().join("segments"), b"").unwrap();

    let first = append(&ledger, entry("heartbeat", &json!({}))).unwrap_err();
    fs::remove_file(home.dir().join("segments")).unwrap();
    fs::rename(home.dir().join("away"), home.dir().join("segments")).unwrap();
    let second = append(&ledger, entry("heartbeat", &json!({}))).unwrap_err();

    assert!(matches!(first, LedgerError::Poisoned { .. }), "{first:?}");
    assert_eq!(first, second);
    assert!(ledger.status().poisoned.is_some());
    assert!(ledger.close().is_err());
    assert_eq!(home.verify().unwrap().size, 1);
}

#[test]
fn appends_after_close_are_refused() {
    let home = Home::new();
    let ledger = home.open();
    ledger.clone().close().unwrap();

    assert_eq!(append(&ledger, entry("heartbeat", &json!({}))), Err(LedgerError::Closed));
}

#[test]
fn a_refused_entry_harms_no_other() {
    let home = Home::new();
    let ledger = home.open();
    let long = "x".repeat(40_000);
    let refused = [
        entry("heartbeat", &json!({"long": long})),
        entry("heartbeat", &json!({"seq": 1})),
        entry("Heart beat", &json!({})),
        entry("outcome", &json!({"intent": 0})),
        entry("heartbeat", &json!({"sql": {"blob": "x"}})),
    ];
    let (sender, receiver) = mpsc::channel();
    for new in refused {
        let sender = sender.clone();
        ledger.append(new, move |result| sender.send(result).unwrap());
    }
    let seq = append(&ledger, entry("heartbeat", &json!({}))).unwrap();
    ledger.close().unwrap();

    drop(sender);
    assert!(receiver.iter().all(|result| matches!(result, Err(LedgerError::Entry { .. }))));
    assert_eq!((seq, home.verify().unwrap().size), (0, 1));
}

/// F23: every text of an acknowledged entry can be read, also from an image of a crashed machine.
#[test]
fn every_acknowledged_text_has_its_key_on_disk() {
    let home = Home::new();
    let ledger = home.open();
    for number in 0..5 {
        append(&ledger, intent(&format!("subject {number}"), "select secret")).unwrap();
        let (image, keys) = (home.0.path().join("image"), home.0.path().join("image-keys"));
        copy(&home.dir(), &image);
        copy(&home.keys(), &keys);
        let texts = TextReader::open(keys, &kek()).unwrap();

        let last = Reader::open(&image, number).unwrap().last().unwrap().unwrap();

        assert_eq!(last.text("sql", &texts).unwrap().unwrap(), b"select secret");
    }
    ledger.close().unwrap();
}

/// F23: shredding one subject leaves no readable byte of its texts, and the log verifies.
#[test]
fn a_destroyed_key_takes_its_texts_and_nothing_else() {
    let home = Home::new();
    let ledger = home.open();
    append(&ledger, intent("alice", "select 'alices-literal'")).unwrap();
    append(&ledger, intent("bob", "select 'bobs-literal'")).unwrap();
    for file in files(&home.keys()) {
        if fs::read_to_string(&file).unwrap().contains("\"alice\"") {
            fs::remove_file(&file).unwrap();
        }
    }
    // The running ledger does not go on with a key that was destroyed.
    append(&ledger, intent("alice", "select 'later-literal'")).unwrap();
    ledger.close().unwrap();
    home.verify().unwrap();
    let entries: Vec<_> = Reader::open(&home.dir(), 0).unwrap().map(Result::unwrap).collect();
    let text = |at: usize| entries[at].text("sql", &home.texts());

    assert!(matches!(text(0), Err(LedgerError::TextGone { .. })));
    assert_eq!(text(1).unwrap().unwrap(), b"select 'bobs-literal'");
    assert_eq!(text(2).unwrap().unwrap(), b"select 'later-literal'");
    for file in files(home.0.path()) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"literal"), "{}", file.display());
    }
}

#[test]
fn texts_open_with_the_right_root_key_only() {
    let home = Home::new();
    small(&home);
    let entry = Reader::open(&home.dir(), 1).unwrap().next().unwrap().unwrap();
    let other = Kek::from_root(&[8; 32]).unwrap();

    let texts = TextReader::open(home.keys(), &other).unwrap();

    assert!(matches!(entry.text("sql", &texts), Err(LedgerError::Key { .. })));
}
