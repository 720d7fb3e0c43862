//! `docs/statements.md` is written from the classifier's tables, so that it cannot drift.
//!
//! `SNOWGATE_WRITE_DOCS=1 cargo test -p snowgate-sql coverage` writes it anew.

use std::{fmt::Write, fs, path::Path};

use crate::{Class, Head, Limits, classify, kinds, show};

const INTRODUCTION: &str = "# Statements

What Snowgate takes every statement for, written from the table of the classifier (`rust/sql`); a test
compares the two. A class is what rules speak of (`match: {class: …}`).

The class comes from the first words of a statement, never from a parser. Without a rule that allows it,
everything is denied. What is marked *never* is refused whatever the rules say, by the built-in rule in
brackets. A verb, a kind or a form that is not here is refused as well (`unknown-statement`,
`unknown-object`, `unknown-form`). One text holds one statement (`one-statement`).
";

const DEFAULTS: &str = "
## What a rule can do with a class

| class | by default | a rule may |
|---|---|---|
| `credential` | denied | nothing: neither allowed nor held |
| `unknown` | denied | nothing |
| `account-metadata` | denied | allow it by name; it cannot be held |
| `code` | denied | allow or hold it; its body is judged as if it ran now |
| `call` | denied | allow or hold it; the registry must hold the procedure as well |
| every other | denied | allow, hold or deny it |
";

/// Statements that name no kind of object, in the forms that are known and some that are refused.
const FORMS: [(&str, &str); 50] = [
    ("SELECT …", "SELECT 1"),
    ("WITH … SELECT", "WITH a AS (SELECT 1) SELECT * FROM a"),
    ("VALUES …", "VALUES (1)"),
    ("INSERT …", "INSERT INTO t VALUES (1)"),
    ("UPDATE …", "UPDATE t SET a = 1"),
    ("DELETE …", "DELETE FROM t"),
    ("MERGE …", "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE"),
    ("TRUNCATE TABLE …", "TRUNCATE TABLE t"),
    ("COMMENT ON TABLE …", "COMMENT ON TABLE t IS 'x'"),
    ("GRANT … TO ROLE", "GRANT SELECT ON TABLE t TO ROLE r"),
    ("GRANT ROLE … TO USER", "GRANT ROLE r TO USER u"),
    ("GRANT … TO SHARE", "GRANT SELECT ON TABLE t TO SHARE s"),
    ("REVOKE …", "REVOKE SELECT ON TABLE t FROM ROLE r"),
    ("EXPLAIN of a query or DML", "EXPLAIN SELECT 1"),
    ("EXPLAIN of anything else", "EXPLAIN SHOW TABLES"),
    ("USE WAREHOUSE, DATABASE, SCHEMA", "USE SCHEMA s"),
    ("USE ROLE of the session's own role", "USE ROLE r"),
    ("USE SECONDARY ROLES NONE", "USE SECONDARY ROLES NONE"),
    ("USE SECONDARY ROLES ALL", "USE SECONDARY ROLES ALL"),
    ("BEGIN, START TRANSACTION", "BEGIN TRANSACTION"),
    ("COMMIT", "COMMIT"),
    ("ROLLBACK", "ROLLBACK"),
    ("SET of a constant", "SET x = 1"),
    ("SET of anything else", "SET x = (SELECT 1)"),
    ("UNSET …", "UNSET x"),
    ("ALTER SESSION of a listed parameter", "ALTER SESSION SET TIMEZONE = 'UTC'"),
    ("ALTER SESSION of any other", "ALTER SESSION SET SEARCH_PATH = 'x'"),
    ("COPY INTO table", "COPY INTO t FROM @s"),
    ("COPY INTO stage or location", "COPY INTO @s FROM t"),
    ("COPY FILES …", "COPY FILES INTO @a FROM @b"),
    ("PUT …", "PUT file:///x @s"),
    ("GET …", "GET @s file:///x"),
    ("LIST, LS …", "LIST @s"),
    ("REMOVE, RM …", "REMOVE @s"),
    ("CALL of a procedure with constants", "CALL p(1)"),
    ("CALL with anything else", "CALL p(f(1))"),
    ("WITH … AS PROCEDURE", "WITH p AS PROCEDURE () RETURNS INT AS $$ x $$ CALL p()"),
    ("EXECUTE IMMEDIATE of one constant", "EXECUTE IMMEDIATE 'SELECT 1'"),
    ("EXECUTE IMMEDIATE of anything else", "EXECUTE IMMEDIATE $x"),
    ("EXECUTE TASK …", "EXECUTE TASK t"),
    ("DECLARE, BEGIN … END, LET, IF, FOR, …", "DECLARE x INT; BEGIN RETURN 1; END"),
    ("CREATE DATABASE … FROM SHARE", "CREATE DATABASE d FROM SHARE a.s"),
    ("ALTER DATABASE … REPLICATION", "ALTER DATABASE d ENABLE REPLICATION TO ACCOUNTS a.b"),
    ("CREATE TABLE with an external volume", "CREATE TABLE t (a INT) EXTERNAL_VOLUME = 'v'"),
    ("CREATE FUNCTION with secrets or imports", "CREATE FUNCTION f() IMPORTS = ('@s/x') AS 'y'"),
    ("DESCRIBE RESULT …", "DESCRIBE RESULT 'x'"),
    ("SHOW USERS, GRANTS, SECRETS and the like", "SHOW USERS"),
    ("DESCRIBE USER and the like", "DESCRIBE USER u"),
    ("`->>` between statements", "SHOW TABLES ->> SELECT * FROM $1"),
    ("any other verb", "BACKUP t"),
];

fn head(text: &str) -> Head {
    let classified = classify(text, &Limits::default()).unwrap();
    let first = classified.statements.first().unwrap().clone();
    Head { refusal: classified.refusal(), ..first }
}

/// The class of a statement, and the rule that refuses it whatever the rules say.
fn cell(head: &Head) -> String {
    match head.refusal {
        None => format!("`{}`", head.class.as_str()),
        Some(refusal) if head.class == Class::Unknown => format!("*never* (`{}`)", refusal.rule),
        Some(refusal) => format!("`{}`, *never* (`{}`)", head.class.as_str(), refusal.rule),
    }
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## Statements\n\n| statement | class | read only |\n|---|---|---|\n");
    for (form, sample) in FORMS {
        let head = head(sample);
        let reads = if head.read_only { "yes" } else { "" };
        writeln!(page, "| {form} | {} | {reads} |", cell(&head)).unwrap();
    }
    page.push_str("\n## Kinds of objects\n\n| kind | CREATE | ALTER | DROP |\n|---|---|---|---|\n");
    let mut names: Vec<&str> = kinds::names().collect();
    names.sort_unstable();
    for kind in names {
        let cells =
            ["CREATE", "ALTER", "DROP"].map(|verb| cell(&head(&format!("{verb} {kind} x"))));
        writeln!(page, "| {kind} | {} |", cells.join(" | ")).unwrap();
    }
    page.push_str(
        "\n`CREATE FUNCTION`, `TASK` and `ALERT` in SQL are judged by their body. Words before the kind, \
         such as `OR REPLACE`, `TRANSIENT`, `SECURE` and `TEMPORARY`, change no class.\n",
    );
    writeln!(page, "\n## SHOW and DESCRIBE\n").unwrap();
    writeln!(page, "Class `show`: {}.\n", list(&show::SHOWN)).unwrap();
    writeln!(page, "Class `describe`: {}.\n", list(&show::DESCRIBED)).unwrap();
    page.push_str("Any other kind is `account-metadata`.\n");
    page.push_str(DEFAULTS);
    page
}

fn list(kinds: &[&str]) -> String {
    kinds.join(", ")
}

#[test]
fn the_coverage_table_in_the_documentation_is_that_of_the_classifier() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/statements.md");
    let page = page();
    if std::env::var_os("SNOWGATE_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), page, "docs/statements.md is out of date");
}
