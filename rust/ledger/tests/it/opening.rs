//! F22: a ledger replaced, emptied or left out is not opened, and the message says what to do.

use std::fs;

use serde_json::json;
use snowgate_ledger::{Known, Ledger, LedgerError, Settings};

use crate::common::*;

fn known(home: &Home) -> Known {
    let report = home.verify().unwrap();
    Known { size: report.size, root: report.root }
}

/// Opens with what is known, and gives the refusal.
fn refused(home: &Home, known: Known) -> String {
    let error = refusal(Settings { known: Some(known), ..home.settings() });
    assert!(matches!(error, LedgerError::Refused { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("what to do: "), "{text}");
    text
}

#[test]
fn an_emptied_directory_with_a_known_ledger_is_refused() {
    let home = Home::new();
    small(&home);
    let known = known(&home);
    fs::remove_dir_all(home.dir()).unwrap();

    let gone = refused(&home, known.clone());
    fs::create_dir(home.dir()).unwrap();
    let empty = refused(&home, known);

    assert!(gone.contains("is empty, but 3 entries of it are known"), "{gone}");
    assert_eq!(gone, empty);
    assert!(files(&home.dir()).is_empty(), "nothing was begun");
}

#[test]
fn a_ledger_shorter_than_known_is_refused() {
    let home = Home::new();
    small(&home);
    let saved = home.0.path().join("saved");
    copy(&home.dir(), &saved);
    small(&home);
    let known = known(&home);
    fs::remove_dir_all(home.dir()).unwrap();
    copy(&saved, &home.dir());

    assert!(refused(&home, known).contains("holds 3 entries, but 6 are known"));
}

#[test]
fn a_ledger_with_other_entries_is_refused() {
    let home = Home::new();
    small(&home);
    let other = Known { root: "00".repeat(32), ..known(&home) };

    assert!(refused(&home, other).contains("are not those that are known"));
}

#[test]
fn a_ledger_that_grew_beyond_what_is_known_opens() {
    let home = Home::new();
    small(&home);
    let known = known(&home);
    small(&home);

    let ledger =
        Ledger::open(Settings { known: Some(known), ..home.settings() }, &mut |_, _, _| {});

    assert_eq!(ledger.unwrap().status().size, 6);
}

#[test]
fn a_ledger_of_another_origin_is_refused() {
    let home = Home::new();
    small(&home);
    fs::remove_file(home.0.path().join("signing.pub")).unwrap();

    let error = refusal(Settings { origin: "snowgate/gw-2".into(), ..home.settings() });

    assert!(error.to_string().contains("`snowgate/gw-1`"), "{error}");
}

#[test]
fn a_missing_or_other_signing_key_is_refused() {
    let (home, other) = (Home::new(), Home::new());
    small(&home);
    small(&other);
    fs::remove_file(home.key_file()).unwrap();
    let missing = refusal(home.settings());
    fs::copy(other.key_file(), home.key_file()).unwrap();
    let replaced = refusal(home.settings());
    fs::remove_file(home.0.path().join("signing.pub")).unwrap();
    let both_replaced = refusal(home.settings());

    assert!(missing.to_string().contains("is missing; what to do: restore the key"), "{missing}");
    assert!(replaced.to_string().contains("is not of this signing key"), "{replaced}");
    assert!(both_replaced.to_string().contains("is not signed by the key"), "{both_replaced}");
}

#[test]
fn two_gateways_cannot_write_one_ledger() {
    let home = Home::new();
    let first = home.open();

    let error = refusal(home.settings());
    first.close().unwrap();
    let second = home.open();

    assert!(error.to_string().contains("is open in another gateway"), "{error}");
    second.close().unwrap();
}

#[test]
fn nothing_is_begun_where_nothing_is_to_be_created() {
    let home = Home::new();

    let error = refusal(Settings { create: false, ..home.settings() });

    assert!(error.to_string().contains("there is no ledger in"), "{error}");
    assert!(!home.dir().exists());
}

#[test]
fn keys_inside_the_ledger_are_refused() {
    let home = Home::new();
    let inside = home.dir().join("keys");

    let texts = refusal(Settings { text_keys_dir: inside.clone(), ..home.settings() });
    let signing = refusal(Settings { key_file: inside, ..home.settings() });

    assert!(texts.to_string().contains("lies inside the ledger"), "{texts}");
    assert!(signing.to_string().contains("lies inside the ledger"), "{signing}");
}

#[test]
fn a_damaged_ledger_is_refused_and_left_as_it_is() {
    let home = Home::new();
    small(&home);
    for file in files(&home.dir()) {
        let bytes = fs::read(&file).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&file, &changed).unwrap();

        let error = refusal(home.settings());

        assert!(matches!(error, LedgerError::Broken(_)), "{error:?}");
        assert_eq!(fs::read(&file).unwrap(), changed);
        fs::write(&file, bytes).unwrap();
    }
}

#[test]
fn opening_shows_every_entry() {
    let home = Home::new();
    small(&home);
    let mut seen = Vec::new();

    let ledger = Ledger::open(home.settings(), &mut |seq, kind, fields| {
        seen.push((seq, kind.to_owned(), fields.get("principal").cloned()));
    });

    ledger.unwrap().close().unwrap();
    assert_eq!(
        seen,
        [
            (0, "start".to_owned(), None),
            (1, "intent".to_owned(), Some(json!("alice"))),
            (2, "outcome".to_owned(), None),
        ]
    );
}
