//! A ledger in a temporary directory, and ways to look at and damage one.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
};

use serde_json::{Map, Value, json};
use snowgate_ledger::{
    Kek, Ledger, LedgerError, NewEntry, Report, Settings, Text, TextReader, verify,
};
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "snowgate/gw-1";

/// A temporary directory with room for a ledger and its keys.
pub(crate) struct Home(pub(crate) TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.path().join("ledger")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.0.path().join("signing.pem")
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::new(self.dir(), ORIGIN, self.key_file(), self.keys(), kek())
    }

    pub(crate) fn open(&self) -> Ledger {
        Ledger::open(self.settings(), &mut |_, _, _| {}).unwrap()
    }

    pub(crate) fn vkey(&self) -> String {
        fs::read_to_string(self.0.path().join("signing.pub")).unwrap()
    }

    pub(crate) fn verify(&self) -> Result<Report, LedgerError> {
        verify(&self.dir(), &self.vkey(), None)
    }

    pub(crate) fn texts(&self) -> TextReader {
        TextReader::open(self.keys(), &kek()).unwrap()
    }
}

/// Why a ledger does not open.
pub(crate) fn refusal(settings: Settings) -> LedgerError {
    match Ledger::open(settings, &mut |_, _, _| {}) {
        Ok(_) => panic!("the ledger opened"),
        Err(error) => error,
    }
}

pub(crate) fn kek() -> Kek {
    Kek::from_root(&[7; 32]).unwrap()
}

pub(crate) fn fields(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub(crate) fn entry(kind: &str, value: &Value) -> NewEntry {
    NewEntry { kind: kind.into(), fields: fields(value), texts: Vec::new() }
}

pub(crate) fn intent(subject: &str, sql: &str) -> NewEntry {
    let text = Text { field: "sql".into(), subject: subject.into(), bytes: sql.into() };
    NewEntry {
        kind: "intent".into(),
        fields: fields(&json!({"principal": subject})),
        texts: vec![text],
    }
}

pub(crate) fn append(ledger: &Ledger, entry: NewEntry) -> Result<u64, LedgerError> {
    let (sender, receiver) = mpsc::channel();
    ledger.append(entry, move |result| sender.send(result).unwrap());
    receiver.recv().unwrap()
}

/// A small ledger with texts, two segments' worth of kinds, closed cleanly.
pub(crate) fn small(home: &Home) {
    let ledger = home.open();
    append(&ledger, entry("start", &json!({}))).unwrap();
    let seq = append(&ledger, intent("alice", "select 1")).unwrap();
    append(&ledger, entry("outcome", &json!({"intent": seq, "status": "ok"}))).unwrap();
    ledger.close().unwrap();
}

/// Every file below a directory, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = list(dir).unwrap();
    found.sort();
    found
}

/// Every file below a directory that may change meanwhile.
pub(crate) fn list(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path.is_dir() {
            found.extend(list(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// Copies a directory, files and all.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}
