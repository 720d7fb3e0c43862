//! Every change to a closed ledger is found, and named.

use std::{fs, path::Path};

use serde_json::json;
use snowgate_ledger::{Broken, LedgerError, Report, Settings, leaf_hash, verify};

use crate::common::*;

/// A ledger whose files are all there: two segments, texts, full and partial tiles are too many bytes
/// for the exhaustive tests, so this one has partial tiles only.
fn ledger() -> (Home, String) {
    let home = Home::new();
    let settings = Settings { segment_bytes: 600, ..home.settings() };
    let ledger = snowgate_ledger::Ledger::open(settings, &mut |_, _, _| {}).unwrap();
    append(&ledger, entry("start", &json!({}))).unwrap();
    let seq = append(&ledger, intent("alice", "select 1")).unwrap();
    append(&ledger, entry("outcome", &json!({"intent": seq, "status": "ok"}))).unwrap();
    ledger.close().unwrap();
    let vkey = home.vkey();
    assert!(files(&home.dir()).len() >= 5, "segments, checkpoint, two tiles");
    (home, vkey)
}

fn broken(result: Result<Report, LedgerError>) -> Broken {
    match result {
        Err(LedgerError::Broken(broken)) => broken,
        other => panic!("not found: {other:?}"),
    }
}

fn name(home: &Home, file: &Path) -> String {
    file.strip_prefix(home.dir()).unwrap().display().to_string()
}

#[test]
fn every_flipped_byte_of_every_file_is_found() {
    let (home, vkey) = ledger();
    for file in files(&home.dir()) {
        let bytes = fs::read(&file).unwrap();
        for position in 0..bytes.len() {
            for mask in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[position] ^= mask;
                fs::write(&file, changed).unwrap();

                let found = verify(&home.dir(), &vkey, None);

                assert!(found.is_err(), "{} byte {position} xor {mask}", name(&home, &file));
            }
        }
        fs::write(&file, bytes).unwrap();
    }
    verify(&home.dir(), &vkey, None).unwrap();
}

#[test]
fn every_truncation_of_every_file_is_found() {
    let (home, vkey) = ledger();
    for file in files(&home.dir()) {
        let bytes = fs::read(&file).unwrap();
        for length in 0..bytes.len() {
            fs::write(&file, &bytes[..length]).unwrap();

            let found = verify(&home.dir(), &vkey, None);

            assert!(found.is_err(), "{} cut to {length}", name(&home, &file));
        }
        fs::write(&file, bytes).unwrap();
    }
}

#[test]
fn every_missing_renamed_and_added_file_is_found() {
    let (home, vkey) = ledger();
    for file in files(&home.dir()) {
        let (aside, renamed) = (home.0.path().join("aside"), file.with_extension("bak"));
        fs::rename(&file, &aside).unwrap();
        assert!(verify(&home.dir(), &vkey, None).is_err(), "{} gone", name(&home, &file));

        fs::copy(&aside, &renamed).unwrap();
        assert!(verify(&home.dir(), &vkey, None).is_err(), "{} renamed", name(&home, &file));

        fs::copy(&aside, &file).unwrap();
        let found = broken(verify(&home.dir(), &vkey, None));
        assert_eq!(found.file, Some(name(&home, &renamed)), "{found}");
        fs::remove_file(&renamed).unwrap();
    }
    for added in
        ["tile/0/001", "tile/0/000.p/9", "tile/x", "notes.txt", "segments/extra", "tile/1/000.p/1"]
    {
        let path = home.dir().join(added);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, [0; 32]).unwrap();

        assert!(verify(&home.dir(), &vkey, None).is_err(), "{added}");

        fs::remove_file(&path).unwrap();
    }
    verify(&home.dir(), &vkey, None).unwrap();
}

#[test]
fn damage_is_named_with_entry_file_and_offset() {
    let home = Home::new();
    small(&home);
    let file = home.dir().join("segments/00000000000000000000.seg");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(8).position(|window| window == b"\"status\"").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();

    let found = broken(home.verify());

    assert_eq!(found.seq, Some(2));
    let text = found.to_string();
    let expected = "entry 2 (segments/00000000000000000000.seg, offset ";
    assert!(text.starts_with(expected) && text.ends_with("): crc mismatch"), "{text}");
}

/// Frames of a segment: kind, payload.
fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        found.push((rest[8], rest[9..9 + length].to_vec()));
        rest = &rest[9 + length..];
    }
    found
}

/// Frames with right checksums, as somebody who knows the format would write them.
fn segment(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, payload) in frames {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [length.as_slice(), &[*kind]].concat();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head), payload);
        bytes.extend([length, crc.to_be_bytes()].concat());
        bytes.push(*kind);
        bytes.extend(payload);
    }
    bytes
}

/// Verifies a small ledger after its frames were changed by somebody who mends checksums.
fn forged(change: impl FnOnce(&mut Vec<(u8, Vec<u8>)>)) -> Broken {
    let home = Home::new();
    small(&home);
    let file = home.dir().join("segments/00000000000000000000.seg");
    let mut all = frames(&fs::read(&file).unwrap());
    change(&mut all);
    fs::write(&file, segment(&all)).unwrap();
    broken(home.verify())
}

fn position(frames: &[(u8, Vec<u8>)], kind: u8, nth: usize) -> usize {
    let mut matching = (0..frames.len()).filter(|at| frames[*at].0 == kind);
    matching.nth(nth).unwrap()
}

#[test]
fn an_edited_entry_with_mended_checksum_is_found() {
    let found = forged(|frames| {
        let at = position(frames, b'E', 1);
        let text = String::from_utf8(frames[at].1.clone()).unwrap().replace("alice", "mallo");
        frames[at].1 = text.into_bytes();
    });

    assert!(found.what.contains("root"), "{found}");
}

#[test]
fn a_changed_text_is_found() {
    let found = forged(|frames| {
        let at = position(frames, b'B', 0);
        frames[at].1[20] ^= 1;
    });

    assert_eq!(
        (found.seq, found.what.as_str()),
        (Some(1), "text `sql` is not the one the entry commits to")
    );
}

#[test]
fn a_missing_and_a_doubled_text_are_found() {
    for doubled in [false, true] {
        let found = forged(|frames| {
            let at = position(frames, b'B', 0);
            let blob = frames.remove(at);
            if doubled {
                frames.insert(at, blob.clone());
                frames.insert(at, blob);
            }
        });

        assert_eq!(found.seq, Some(1), "{found}");
    }
}

#[test]
fn a_changed_signature_of_any_checkpoint_is_found() {
    for nth in 0..4 {
        let found = forged(|frames| {
            let at = position(frames, b'C', nth);
            // Near the end of the base64, and still base64.
            let byte = frames[at].1.iter_mut().nth_back(20).unwrap();
            *byte = if *byte == b'A' { b'B' } else { b'A' };
        });

        assert!(found.what.contains("signature") || nth == 3, "{found}");
    }
}

#[test]
fn reordered_entries_are_found() {
    let found = forged(|frames| {
        let (one, other) = (position(frames, b'E', 0), position(frames, b'E', 2));
        frames.swap(one, other);
    });

    assert_eq!((found.seq, found.what.as_str()), (Some(0), "entry bears another number"));
}

#[test]
fn a_removed_entry_is_found() {
    let found = forged(|frames| {
        let at = position(frames, b'E', 1);
        frames.drain(at - 1..=at + 1);
    });

    assert_eq!(found.seq, Some(1));
}

#[test]
fn entries_added_without_the_key_are_found_or_do_not_count() {
    let home = Home::new();
    small(&home);
    let file = home.dir().join("segments/00000000000000000000.seg");
    let mut all = frames(&fs::read(&file).unwrap());
    let forged = all[position(&all, b'E', 0)].1.clone();
    let forged = String::from_utf8(forged).unwrap().replace("\"seq\":0", "\"seq\":3");
    all.push((b'E', forged.into_bytes()));
    fs::write(&file, segment(&all)).unwrap();

    let report = home.verify().unwrap();
    let read = snowgate_ledger::Reader::open(&home.dir(), 0).unwrap().count();

    assert_eq!((report.size, read), (3, 3));
    assert!(report.uncommitted_bytes > 0);
    let last = all[position(&all, b'C', 3)].clone();
    all.push(last);
    fs::write(&file, segment(&all)).unwrap();
    assert!(home.verify().is_err());
}

#[test]
fn a_checkpoint_by_another_key_is_found() {
    let (home, other) = (Home::new(), Home::new());
    small(&home);
    small(&other);

    let found = broken(verify(&home.dir(), &other.vkey(), None));

    assert_eq!(found.file.as_deref(), Some("checkpoint"));
    assert!(found.what.contains("is not signed by the key"), "{found}");
}

#[test]
fn a_fork_does_not_extend_the_older_checkpoint() {
    let home = Home::new();
    small(&home);
    let saved = home.0.path().join("saved");
    copy(&home.dir(), &saved);
    small(&home);
    let older = home.verify().unwrap().checkpoint;

    fs::remove_dir_all(home.dir()).unwrap();
    copy(&saved, &home.dir());
    let shorter = broken(verify(&home.dir(), &home.vkey(), Some(older.as_bytes())));
    small(&home);
    small(&home);
    let forked = broken(verify(&home.dir(), &home.vkey(), Some(older.as_bytes())));

    assert!(shorter.what.contains("a checkpoint covers 6 entries"), "{shorter}");
    assert!(forked.what.contains("does not extend"), "{forked}");
}

#[test]
fn a_symbolic_link_is_no_file_of_the_ledger() {
    let home = Home::new();
    small(&home);
    let outside = home.0.path().join("outside");
    fs::rename(home.dir().join("checkpoint"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, home.dir().join("checkpoint")).unwrap();

    assert_eq!(broken(home.verify()).file.as_deref(), Some("checkpoint"));
}

#[test]
fn full_tiles_are_compared_too() {
    let home = Home::new();
    let ledger = home.open();
    let (sender, receiver) = std::sync::mpsc::channel();
    for number in 0..600 {
        let sender = sender.clone();
        ledger.append(entry("heartbeat", &json!({"n": number})), move |result| {
            sender.send(result.unwrap()).unwrap();
        });
    }
    assert_eq!(receiver.iter().take(600).collect::<Vec<_>>(), (0..600).collect::<Vec<_>>());
    ledger.close().unwrap();
    home.verify().unwrap();
    for file in files(&home.dir().join("tile")) {
        let bytes = fs::read(&file).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&file, changed).unwrap();

        let found = broken(home.verify());

        assert_eq!(found.file, Some(name(&home, &file)));
        fs::write(&file, bytes).unwrap();
        fs::rename(&file, home.0.path().join("aside")).unwrap();
        assert_eq!(broken(home.verify()).what, "file is missing");
        fs::rename(home.0.path().join("aside"), &file).unwrap();
    }
    let bundle = fs::read(home.dir().join("tile/entries/000")).unwrap();
    let length = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
    let tile = fs::read(home.dir().join("tile/0/000")).unwrap();
    assert_eq!(tile[..32], leaf_hash(&bundle[2..2 + length]));
}

#[test]
fn a_device_in_place_of_a_file_is_found_and_not_waited_for() {
    let home = Home::new();
    small(&home);
    for file in files(&home.dir()) {
        let aside = home.0.path().join("aside");
        fs::rename(&file, &aside).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(made.success());

        assert_eq!(broken(home.verify()).file, Some(name(&home, &file)));

        fs::rename(&aside, &file).unwrap();
    }
}

#[test]
fn a_huge_file_is_found_and_not_read() {
    let home = Home::new();
    small(&home);
    for file in files(&home.dir()).into_iter().filter(|file| file.extension().is_none()) {
        let bytes = fs::read(&file).unwrap();
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();

        assert_eq!(broken(home.verify()).file, Some(name(&home, &file)));

        fs::write(&file, bytes).unwrap();
    }
}
