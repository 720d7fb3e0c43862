//! Which kinds SHOW and DESCRIBE may list (F17).
//!
//! Structure that the role sees anyway passes as class `show` or `describe`. Everything else
//! (users, grants, variables, secrets, stages, tasks with their bodies, policies, anything unlisted)
//! is `account-metadata`: denied unless a rule names it.

use crate::class::Class;
use crate::classify::{Head, Refusal};
use crate::cursor::Cursor;

pub(crate) const SHOWN: [&str; 25] = [
    "BUILTIN FUNCTIONS",
    "COLUMNS",
    "DATABASES",
    "DATABASE ROLES",
    "DYNAMIC TABLES",
    "EXPORTED KEYS",
    "FILE FORMATS",
    "FUNCTIONS",
    "IMPORTED KEYS",
    "MATERIALIZED VIEWS",
    "OBJECTS",
    "PARAMETERS",
    "PRIMARY KEYS",
    "PROCEDURES",
    "ROLES",
    "SCHEMAS",
    "SEQUENCES",
    "STREAMS",
    "TABLES",
    "TRANSIENT TABLES",
    "UNIQUE KEYS",
    "USER FUNCTIONS",
    "USER PROCEDURES",
    "VIEWS",
    "WAREHOUSES",
];

pub(crate) const DESCRIBED: [&str; 13] = [
    "DATABASE",
    "DYNAMIC TABLE",
    "FILE FORMAT",
    "FUNCTION",
    "HYBRID TABLE",
    "MATERIALIZED VIEW",
    "PROCEDURE",
    "SCHEMA",
    "SEQUENCE",
    "STREAM",
    "TABLE",
    "VIEW",
    "WAREHOUSE",
];

pub(crate) fn show(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    cursor.eat("TERSE");
    match SHOWN.iter().find(|kind| cursor.eat(kind)) {
        Some(kind) => {
            head.class = Class::Show;
            (*kind).clone_into(&mut head.object_kind);
        }
        None => unlisted(head, &cursor),
    }
}

pub(crate) fn describe(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    if cursor.eat("RESULT") {
        head.class = Class::Describe;
        "RESULT".clone_into(&mut head.object_kind);
        head.refusal = Some(Refusal {
            rule: "result-by-id",
            reason: "describes a result by its query id, whose owner is not known",
            remedy: "describe the statement itself",
        });
        return;
    }
    match DESCRIBED.iter().find(|kind| cursor.eat(kind)) {
        Some(kind) => {
            head.class = Class::Describe;
            (*kind).clone_into(&mut head.object_kind);
            head.target = cursor.name().unwrap_or_default();
            head.target_end = cursor.taken_to();
        }
        None => unlisted(head, &cursor),
    }
}

/// The kind, as far as its words go, so that a rule can name it.
fn unlisted(head: &mut Head, cursor: &Cursor<'_, '_>) {
    const ENDS: [&str; 12] =
        ["LIKE", "IN", "ON", "TO", "OF", "FOR", "FROM", "STARTS", "LIMIT", "HISTORY", "IF", "WITH"];
    let mut cursor = *cursor;
    let mut words = Vec::new();
    while words.len() < 3 && !cursor.word().is_empty() && !ENDS.contains(&cursor.word().as_str()) {
        words.push(cursor.word());
        cursor.next();
    }
    head.class = Class::AccountMetadata;
    head.object_kind = words.join(" ");
}
