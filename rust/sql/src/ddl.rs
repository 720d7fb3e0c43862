//! CREATE, ALTER, DROP, UNDROP, TRUNCATE, COMMENT, GRANT and REVOKE.
//!
//! The kind is taken from the words before the name only: an object called STAGE, or a comment that
//! mentions one, decides nothing.

use crate::class::Class;
use crate::classify::{Head, Refusal};
use crate::cursor::{Cursor, contains};
use crate::kinds::{Family, take_kind};
use crate::token::{Token, TokenKind};

/// The cursor stands behind CREATE, ALTER, DROP or UNDROP.
pub(crate) fn object(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    let Some(kind) = take_kind(&mut cursor) else {
        refuse_kind(head);
        return;
    };
    kind.name.clone_into(&mut head.object_kind);
    head.replace = kind.replace;
    head.temporary = kind.temporary;
    take_target(head, &mut cursor);
    let by_verb = match head.verb.as_str() {
        "ALTER" => Class::Alter,
        "DROP" => Class::Drop,
        _ => Class::Create,
    };
    head.class = match kind.family {
        Family::Always(class) => class,
        Family::Data => by_verb,
        // Removing code plants none.
        Family::Code if by_verb == Class::Drop => Class::Drop,
        Family::Code => Class::Code,
    };
    match head.class {
        Class::Create | Class::Alter => data(head, cursor),
        Class::Code => code(head, cursor),
        Class::Credential => refuse_credential(head),
        _ => {}
    }
    if head.target.is_empty() && matches!(head.class, Class::Create | Class::Alter | Class::Drop) {
        head.refuse_form();
    }
}

/// What in the rest of a CREATE or ALTER of data changes its class.
fn data(head: &mut Head, cursor: Cursor<'_, '_>) {
    const OUTSIDE: [&str; 4] =
        ["EXTERNAL_VOLUME", "STORAGE_INTEGRATION", "CATALOG_INTEGRATION", "API_INTEGRATION"];
    // What is in it is shown to the catalog of another system, or comes from one.
    const CATALOGS: [&str; 3] = ["CATALOG", "CATALOG_SYNC", "LINKED_CATALOG"];
    let rest = cursor.rest();
    let database = head.object_kind == "DATABASE";
    let container = database || head.object_kind == "SCHEMA";
    if contains(rest, "COPY INTO") {
        head.class = Class::Unload;
        head.refuse_form();
    } else if has_option(rest, &OUTSIDE) || (container && has_option(rest, &CATALOGS)) {
        head.class = Class::Integration;
    } else if database && leaves_account(&cursor) {
        head.class = Class::Share;
    }
}

/// A database that comes from, or is copied to, another account.
fn leaves_account(cursor: &Cursor<'_, '_>) -> bool {
    const PHRASES: [&str; 5] =
        ["FROM SHARE", "FROM LISTING", "AS REPLICA", "REPLICATION TO", "FAILOVER TO"];
    PHRASES.iter().any(|words| contains(cursor.rest(), words))
        || ["ENABLE", "DISABLE", "REFRESH", "PRIMARY"].contains(&cursor.word().as_str())
}

/// Code that reaches outside, or in a language that is not SQL, cannot be judged by its body (F18).
fn code(head: &mut Head, cursor: Cursor<'_, '_>) {
    const REACHING: [&str; 9] = [
        "EXTERNAL_ACCESS_INTEGRATIONS",
        "SECRETS",
        "IMPORTS",
        "PACKAGES",
        "HANDLER",
        "API_INTEGRATION",
        "ERROR_INTEGRATION",
        "SUCCESS_INTEGRATION",
        "TARGET_PATH",
    ];
    let rest = cursor.rest();
    let foreign =
        rest.windows(2).any(|w| matches!(w, [a, b] if a.is_word("LANGUAGE") && !b.is_word("SQL")));
    if has_option(rest, &REACHING) || foreign || rest.iter().any(|t| t.kind == TokenKind::Stage) {
        head.refusal = Some(Refusal {
            rule: "code-reach",
            reason: "creates code that reaches outside or is not written in SQL",
            remedy: "deploy it outside the gateway, by the people who review code",
        });
        return;
    }
    // These are judged by their SQL body in the analysis.
    let judged =
        head.verb == "CREATE" && ["TASK", "ALERT", "FUNCTION"].contains(&head.object_kind.as_str());
    let stops = head.verb == "ALTER" && cursor.word() == "SUSPEND";
    if !(judged || stops) {
        head.refusal = Some(Refusal {
            rule: "code-body",
            reason: "creates or changes code whose body is not judged",
            remedy: "deploy it outside the gateway, by the people who review code",
        });
    }
}

/// Whether one of `names` is an option (`NAME = …`) in these tokens.
fn has_option(tokens: &[Token<'_>], names: &[&str]) -> bool {
    tokens.windows(2).any(|window| {
        matches!(window, [name, equals]
            if equals.is_symbol("=") && names.iter().any(|word| name.is_word(word)))
    })
}

fn take_target(head: &mut Head, cursor: &mut Cursor<'_, '_>) {
    let _ = cursor.eat("IF NOT EXISTS") || cursor.eat("IF EXISTS");
    head.target = cursor.name().unwrap_or_default();
    head.target_end = if head.target.is_empty() { 0 } else { cursor.taken_to() };
}

fn refuse_kind(head: &mut Head) {
    head.refusal = Some(Refusal {
        rule: "unknown-object",
        reason: "names a kind of object that is not known",
        remedy: "do it outside the gateway, by the people who own the account",
    });
}

fn refuse_credential(head: &mut Head) {
    head.class = Class::Credential;
    head.refusal = Some(Refusal {
        rule: "credential",
        reason: "creates or changes a way to log in",
        remedy: "do it outside the gateway, by the people who own the account",
    });
}

pub(crate) fn truncate(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Truncate;
    "TABLE".clone_into(&mut head.object_kind);
    let _ = cursor.eat("TABLE") || cursor.eat("MATERIALIZED VIEW");
    take_target(head, &mut cursor);
    if head.target.is_empty() || !cursor.at_end() {
        head.refuse_form();
    }
}

pub(crate) fn comment(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Comment;
    let _ = cursor.eat("IF EXISTS");
    if !cursor.eat("ON") {
        head.refuse_form();
        return;
    }
    let Some(kind) = take_kind(&mut cursor) else {
        refuse_kind(head);
        return;
    };
    kind.name.clone_into(&mut head.object_kind);
    match kind.family {
        Family::Always(Class::Credential) => refuse_credential(head),
        Family::Always(class) => head.class = class,
        _ => take_target(head, &mut cursor),
    }
}

/// Who gets a privilege, or on what, decides the class.
pub(crate) fn grant(head: &mut Head, cursor: Cursor<'_, '_>) {
    let rest = cursor.rest();
    let has = |phrases: &[&str]| phrases.iter().any(|words| contains(rest, words));
    head.class = Class::Grant;
    if has(&[
        "TO SHARE",
        "FROM SHARE",
        "TO APPLICATION",
        "FROM APPLICATION",
        "ON SHARE",
        "ON LISTING",
    ]) {
        head.class = Class::Share;
    } else if has(&[
        "TO USER",
        "FROM USER",
        "ON USER",
        "ON SECRET",
        "ON ALL SECRETS",
        "ON FUTURE SECRETS",
    ]) || contains(rest, "CREATE USER")
    {
        refuse_credential(head);
    } else if rest.iter().any(|token| token.is_word("INTEGRATION"))
        || has(&["ON EXTERNAL VOLUME", "ON EXTERNAL TABLE"])
    {
        head.class = Class::Integration;
    } else if has(&["ON STAGE", "ON ALL STAGES", "ON FUTURE STAGES"]) {
        head.class = Class::Stage;
    }
    grant_target(head, cursor);
}

/// The object of `ON kind name`, where it is a single one.
fn grant_target(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    while !cursor.at_end() {
        if cursor.eat("ON") {
            if let Some(kind) = take_kind(&mut cursor) {
                kind.name.clone_into(&mut head.object_kind);
                take_target(head, &mut cursor);
            }
            return;
        }
        cursor.next();
    }
}
