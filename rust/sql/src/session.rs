//! Statements that change the session: USE, SET, ALTER SESSION, transactions.

use crate::class::Class;
use crate::classify::{Head, Refusal};
use crate::cursor::Cursor;
use crate::lex::{Limits, lex};
use crate::literal::unescape;
use crate::token::TokenKind;

const TAG: &str = "QUERY_TAG";

/// Session parameters a client may change. Left out on purpose: whatever changes how names resolve
/// (`QUOTED_IDENTIFIERS_IGNORE_CASE`, `SEARCH_PATH`) or how many statements a text holds
/// (`MULTI_STATEMENT_COUNT`).
pub(crate) const PARAMETERS: [&str; 41] = [
    "ABORT_DETACHED_QUERY",
    "AUTOCOMMIT",
    "BINARY_INPUT_FORMAT",
    "BINARY_OUTPUT_FORMAT",
    "CLIENT_MEMORY_LIMIT",
    "CLIENT_METADATA_REQUEST_USE_CONNECTION_CTX",
    "CLIENT_PREFETCH_THREADS",
    "CLIENT_RESULT_CHUNK_SIZE",
    "CLIENT_RESULT_COLUMN_CASE_INSENSITIVE",
    "CLIENT_SESSION_KEEP_ALIVE",
    "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY",
    "CLIENT_TIMESTAMP_TYPE_MAPPING",
    "DATE_INPUT_FORMAT",
    "DATE_OUTPUT_FORMAT",
    "ERROR_ON_NONDETERMINISTIC_MERGE",
    "ERROR_ON_NONDETERMINISTIC_UPDATE",
    "GEOGRAPHY_OUTPUT_FORMAT",
    "GEOMETRY_OUTPUT_FORMAT",
    "JDBC_QUERY_RESULT_FORMAT",
    "JDBC_TREAT_DECIMAL_AS_INT",
    "JSON_INDENT",
    "LOCK_TIMEOUT",
    "ODBC_QUERY_RESULT_FORMAT",
    "ODBC_TREAT_DECIMAL_AS_INT",
    "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT",
    TAG,
    "ROWS_PER_RESULTSET",
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS",
    "STATEMENT_TIMEOUT_IN_SECONDS",
    "STRICT_JSON_OUTPUT",
    "TIMESTAMP_INPUT_FORMAT",
    "TIMESTAMP_LTZ_OUTPUT_FORMAT",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT",
    "TIMESTAMP_OUTPUT_FORMAT",
    "TIMESTAMP_TZ_OUTPUT_FORMAT",
    "TIMEZONE",
    "TIME_INPUT_FORMAT",
    "TIME_OUTPUT_FORMAT",
    "TRANSACTION_ABORT_ON_ERROR",
    "USE_CACHED_RESULT",
    "WEEK_START",
];

/// The kinds that statements of the session name, beside those of databases, schemas, roles and
/// warehouses.
pub(crate) const KINDS: [&str; 3] = ["SECONDARY ROLES", "SESSION", "VARIABLE"];

/// `ALTER SESSION SET p = v …` and `ALTER SESSION UNSET p, …`, the cursor behind `SESSION`.
pub(crate) fn alter(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Session;
    "SESSION".clone_into(&mut head.object_kind);
    let listed = if cursor.eat("SET") { set_parameters(cursor) } else { unset_parameters(cursor) };
    if !listed {
        head.refusal = Some(Refusal {
            rule: "session-parameter",
            reason: "changes a session parameter that is not on the list",
            remedy: "leave the parameter to the account's default",
        });
    }
}

/// What an `ALTER SESSION` sets `QUERY_TAG` to; an empty text where it unsets it. `None` for every
/// other statement.
pub fn query_tag(text: &str, limits: &Limits) -> Option<String> {
    let mut tokens = lex(text, limits).ok()?;
    tokens.retain(|token| !token.kind.is_trivia() && !token.is_symbol(";"));
    let mut cursor = Cursor::new(&tokens);
    if cursor.eat("ALTER SESSION UNSET") {
        return tokens.iter().any(|token| token.is_word(TAG)).then(String::new);
    }
    if !cursor.eat("ALTER SESSION SET") {
        return None;
    }
    let mut tag = None;
    while let Some(name) = cursor.next() {
        cursor.eat_symbol("=");
        cursor.eat_symbol("-");
        let value = cursor.next()?;
        if name.is_word(TAG) {
            tag = Some(unescape(value).unwrap_or_else(|| value.text.to_owned()));
        }
        cursor.eat_symbol(",");
    }
    tag
}

fn set_parameters(mut cursor: Cursor<'_, '_>) -> bool {
    while !cursor.at_end() {
        if !PARAMETERS.contains(&cursor.word().as_str()) {
            return false;
        }
        cursor.next();
        if !cursor.eat_symbol("=") || !take_constant(&mut cursor) {
            return false;
        }
        cursor.eat_symbol(",");
    }
    true
}

fn unset_parameters(mut cursor: Cursor<'_, '_>) -> bool {
    if !cursor.eat("UNSET") {
        return false;
    }
    loop {
        if !PARAMETERS.contains(&cursor.word().as_str()) {
            return false;
        }
        cursor.next();
        if !cursor.eat_symbol(",") {
            return cursor.at_end();
        }
    }
}

/// A constant: text, number with or without sign, TRUE, FALSE, NULL, or a bare parameter word.
fn take_constant(cursor: &mut Cursor<'_, '_>) -> bool {
    let signed = cursor.eat_symbol("-");
    match cursor.next().map(|token| token.kind) {
        Some(TokenKind::Number) => true,
        Some(TokenKind::Text | TokenKind::Dollar | TokenKind::Word) => !signed,
        _ => false,
    }
}

/// `SET x = constant` and `SET (x, y) = (constant, constant)`: variables hold nothing but constants,
/// so that no value of a table can be kept in one.
pub(crate) fn set(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Session;
    "VARIABLE".clone_into(&mut head.object_kind);
    let plain = if cursor.eat_symbol("(") {
        list(&mut cursor, |c| c.name().is_some())
            && cursor.eat_symbol("=")
            && cursor.eat_symbol("(")
            && list(&mut cursor, take_value)
    } else {
        cursor.name().is_some() && cursor.eat_symbol("=") && take_value(&mut cursor)
    };
    if !plain || !cursor.at_end() {
        head.refusal = Some(Refusal {
            rule: "session-variable",
            reason: "sets a session variable to something that is not a constant",
            remedy: "set variables to constants, or write the expression in the query",
        });
    }
}

/// A constant: text, number with or without sign, TRUE, FALSE or NULL.
pub(crate) fn take_value(cursor: &mut Cursor<'_, '_>) -> bool {
    match cursor.peek() {
        Some(token) if token.kind == TokenKind::Word => {
            ["TRUE", "FALSE", "NULL"].iter().any(|word| cursor.eat(word))
        }
        _ => take_constant(cursor),
    }
}

/// A list up to and with its closing bracket.
pub(crate) fn list(
    cursor: &mut Cursor<'_, '_>,
    mut take: impl FnMut(&mut Cursor<'_, '_>) -> bool,
) -> bool {
    loop {
        if !take(cursor) {
            return false;
        }
        if !cursor.eat_symbol(",") {
            return cursor.eat_symbol(")");
        }
    }
}

/// `UNSET x` and `UNSET (x, y)`.
pub(crate) fn unset(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Session;
    "VARIABLE".clone_into(&mut head.object_kind);
    let plain = if cursor.eat_symbol("(") {
        list(&mut cursor, |c| c.name().is_some())
    } else {
        cursor.name().is_some()
    };
    if !plain || !cursor.at_end() {
        head.refuse_form();
    }
}

/// `USE …`. Which role may be taken is decided by the analysis, which knows the session's.
pub(crate) fn take_use(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Use;
    if cursor.eat("SECONDARY ROLES") || cursor.eat("SECONDARY ROLE") {
        "SECONDARY ROLES".clone_into(&mut head.object_kind);
        if !cursor.eat("NONE") || !cursor.at_end() {
            head.refusal = Some(Refusal {
                rule: "role-pin",
                reason: "turns on secondary roles",
                remedy: "a session has the one role its rule gives; ask for a rule that gives \
                         another",
            });
        }
        return;
    }
    let kinds = ["ROLE", "WAREHOUSE", "DATABASE", "SCHEMA"];
    let kind = kinds.iter().find(|kind| {
        let mut ahead = cursor;
        ahead.eat(kind) && !ahead.at_end()
    });
    if let Some(kind) = kind {
        cursor.eat(kind);
    }
    let name = cursor.name().unwrap_or_default();
    // `USE x` names a database, `USE x.y` a schema.
    let implied = if name.len() == 1 { "DATABASE" } else { "SCHEMA" };
    let kind = kind.copied().unwrap_or(implied);
    let most = if kind == "SCHEMA" { 2 } else { 1 };
    kind.clone_into(&mut head.object_kind);
    if name.is_empty() || name.len() > most || name.iter().any(String::is_empty) || !cursor.at_end()
    {
        head.refuse_form();
    }
    head.target = name;
}

/// The exact forms of BEGIN, START TRANSACTION, COMMIT and ROLLBACK. `BEGIN` with anything else
/// opens a scripting block.
pub(crate) fn transaction(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Transaction;
    let verb = head.verb.as_str();
    let opens = matches!(verb, "BEGIN" | "START");
    let word = cursor.eat("TRANSACTION") || (verb != "START" && cursor.eat("WORK"));
    let named = opens && cursor.eat("NAME");
    let name = !named || cursor.name().is_some_and(|name| name.len() == 1);
    if cursor.at_end() && name && (word || verb != "START") {
        return;
    }
    if opens {
        head.refuse_scripting();
    } else {
        head.refuse_form();
    }
}
