//! The class of every kind of statement, from its text. Sources: attacks F10, F17, F18; `sql.md` 2.2.

use crate::{Head, Limits, classify, query_tag};

fn only(text: &str) -> Head {
    let classified = classify(text, &Limits::default()).unwrap();
    assert_eq!(classified.statements.len(), 1, "{text}");
    classified.statements.into_iter().next().unwrap()
}

fn rule(text: &str) -> Option<&'static str> {
    classify(text, &Limits::default()).unwrap().refusal().map(|refusal| refusal.rule)
}

#[track_caller]
fn classes(class: &str, texts: &[&str]) {
    for text in texts {
        let head = only(text);
        assert_eq!((head.class.as_str(), head.refusal), (class, None), "{text}");
    }
}

#[track_caller]
fn refused(name: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(rule(text), Some(name), "{text}");
    }
}

#[test]
fn the_query_tag_that_a_statement_sets_is_known() {
    let tag = |text: &str| query_tag(text, &Limits::default());
    let set = |value: &str| Some(value.to_owned());
    assert_eq!(tag("alter session set query_tag = 'it''s'"), set("it's"));
    assert_eq!(
        tag("ALTER SESSION SET WEEK_START = -1, /* x */ QUERY_TAG = $$a 'b'$$ TIMEZONE = 'UTC';"),
        set("a 'b'")
    );
    assert_eq!(tag("ALTER SESSION SET QUERY_TAG = 'a', QUERY_TAG = b"), set("b"));
    assert_eq!(tag("ALTER SESSION UNSET TIMEZONE, QUERY_TAG"), set(""));
    assert_eq!(tag("ALTER SESSION UNSET TIMEZONE"), None);
    assert_eq!(tag("ALTER SESSION SET TIMEZONE = 'QUERY_TAG'"), None);
    assert_eq!(tag("SELECT 'ALTER SESSION SET QUERY_TAG = 1'"), None);
    assert_eq!(tag("ALTER SESSION SET QUERY_TAG ="), None);
}

#[test]
fn queries_and_dml_have_their_verbs_class() {
    classes(
        "select",
        &["SELECT 1", "with a as (select 1) select * from a", "((select 1))", "VALUES (1)"],
    );
    classes("insert", &["INSERT INTO t VALUES (1)", "insert overwrite into t select 1"]);
    classes("update", &["UPDATE t SET a = 1"]);
    classes("delete", &["/* x */ DELETE -- y\n FROM t;"]);
    classes("merge", &["MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE"]);
}

#[test]
fn ddl_has_the_class_of_its_verb_for_data() {
    classes(
        "create",
        &[
            "CREATE TABLE t (a INT)",
            "create or replace temp table a.b.t as select 1",
            "CREATE SECURE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT 1",
            "CREATE DYNAMIC TABLE d TARGET_LAG = '1 minute' WAREHOUSE = w AS SELECT 1",
            "CREATE TABLE share (stage INT) COMMENT = 'CREATE STAGE'",
            "CREATE STREAM s ON TABLE t",
            "UNDROP TABLE t",
            "CREATE DATABASE d CLONE e",
        ],
    );
    classes("alter", &["ALTER TABLE t RENAME TO u", "ALTER TABLE IF EXISTS a..b SWAP WITH c"]);
    classes(
        "drop",
        &["DROP /* */ TABLE t", "drop database crm", "DROP TASK t", "DROP PROCEDURE p(INT)"],
    );
    classes("truncate", &["TRUNCATE orders", "TRUNCATE TABLE IF EXISTS o"]);
    classes("comment", &["COMMENT ON TABLE t IS 'x'", "COMMENT IF EXISTS ON COLUMN t.c IS ''"]);
    classes(
        "grant",
        &[
            "GRANT SELECT ON ALL TABLES IN SCHEMA a.b TO ROLE public",
            "GRANT OWNERSHIP ON TABLE t TO ROLE r REVOKE CURRENT GRANTS",
        ],
    );
}

#[test]
fn what_leaves_the_account_has_its_own_class() {
    classes("unload", &["COPY INTO @~/out FROM t", "copy /* x */ into 's3://b/' from (select 1)"]);
    classes("load", &["COPY INTO t FROM @s", "COPY INTO \"T\" FROM 's3://x/'"]);
    classes(
        "stage",
        &["LIST @~", "rm @s", "CREATE STAGE s URL='s3://e/'", "COPY FILES INTO @a FROM @b"],
    );
    classes(
        "share",
        &[
            "CREATE SHARE s",
            "GRANT SELECT ON TABLE t TO SHARE s",
            "ALTER DATABASE d ENABLE REPLICATION TO ACCOUNTS x.y",
            "CREATE DATABASE d FROM SHARE a.b",
            "CREATE REPLICATION GROUP g OBJECT_TYPES = DATABASES",
        ],
    );
    classes(
        "integration",
        &[
            "CREATE STORAGE INTEGRATION i TYPE = EXTERNAL_STAGE",
            "CREATE EXTERNAL TABLE e WITH LOCATION = @s",
            "CREATE ICEBERG TABLE i EXTERNAL_VOLUME = 'v' AS SELECT 1",
            "CREATE TABLE i EXTERNAL_VOLUME = 'v' AS SELECT 1",
            "ALTER DATABASE d SET CATALOG_SYNC = 'c'",
            "ALTER SCHEMA s SET CATALOG = 'c'",
            "CREATE DATABASE d LINKED_CATALOG = (CATALOG = 'c')",
            "GRANT USAGE ON INTEGRATION i TO ROLE r",
        ],
    );
    refused("file-transfer", &["GET @~/out file:///tmp/", "PUT file:///x @~"]);
    refused("unknown-form", &["COPY INTO IDENTIFIER('@s') FROM t", "COPY INTO $x FROM t"]);
}

#[test]
fn credentials_are_refused_and_cannot_be_held() {
    refused(
        "credential",
        &[
            "ALTER USER me SET RSA_PUBLIC_KEY = 'M'",
            "ALTER USER ADD PROGRAMMATIC ACCESS TOKEN t",
            "CREATE USER u",
            "CREATE SECRET s TYPE = PASSWORD",
            "CREATE NETWORK POLICY n",
            "CREATE SECURITY INTEGRATION i TYPE = OAUTH",
            "GRANT ROLE accountadmin TO USER me",
            "ALTER ACCOUNT SET NETWORK_POLICY = x",
            "DROP AUTHENTICATION POLICY p",
        ],
    );
}

#[test]
fn code_that_reaches_outside_or_is_not_judged_is_refused() {
    refused(
        "code-reach",
        &[
            "CREATE FUNCTION f() RETURNS INT LANGUAGE PYTHON HANDLER = 'h' AS $$ $$",
            "CREATE FUNCTION f() RETURNS INT EXTERNAL_ACCESS_INTEGRATIONS = (e) AS '1'",
        ],
    );
    refused(
        "code-body",
        &[
            "CREATE PROCEDURE p() RETURNS INT AS 'BEGIN RETURN 1; END'",
            "CREATE PIPE p AS COPY INTO t FROM 'x'",
            "ALTER TASK t RESUME",
            "CREATE STREAMLIT s",
        ],
    );
    refused("unknown-object", &["CREATE SNOWFLAKE.ML.FORECAST f()", "CREATE FROBNICATOR f"]);
    classes("code", &["CREATE TASK t AS SELECT 1", "ALTER TASK t SUSPEND"]);
}

#[test]
fn show_and_describe_have_a_table_of_kinds() {
    classes(
        "show",
        &[
            "SHOW TABLES IN SCHEMA a.b",
            "SHOW TERSE SCHEMAS IN DATABASE crm",
            "show parameters like 'X' in session",
            "SHOW PRIMARY KEYS",
        ],
    );
    classes("describe", &["DESC VIEW v", "DESCRIBE TABLE a.b.t"]);
    classes(
        "account-metadata",
        &[
            "SHOW USERS LIKE '%svc%'",
            "SHOW GRANTS TO ROLE r",
            "SHOW VARIABLES",
            "SHOW TASKS",
            "SHOW STAGES",
            "SHOW FROBNICATORS",
            "DESC USER u",
            "DESCRIBE STAGE s",
        ],
    );
    refused("result-by-id", &["DESCRIBE RESULT '01b0'"]);
    assert_eq!(only("SHOW NETWORK POLICIES LIKE 'x'").object_kind, "NETWORK POLICIES");
    assert_eq!(only("DESC USER u").object_kind, "USER");
    assert_eq!(only("SHOW FROBNICATORS").object_kind, "");
}

#[test]
fn session_statements_pass_in_their_known_forms() {
    classes("use", &["USE WAREHOUSE w", "USE SCHEMA a.b", "use crm", "USE ROLE r"]);
    classes("use", &["USE SECONDARY ROLES NONE"]);
    classes("session", &["SET x = 'EU'", "SET (a, b) = (1, -2)", "UNSET x", "UNSET (a, b)"]);
    classes("session", &["ALTER SESSION SET QUERY_TAG = 'x' TIMEZONE = 'UTC'"]);
    classes("session", &["ALTER SESSION UNSET QUERY_TAG"]);
    classes(
        "transaction",
        &["BEGIN", "BEGIN TRANSACTION NAME t", "START TRANSACTION", "COMMIT WORK", "ROLLBACK"],
    );
    assert_eq!(only("USE SCHEMA crm.public").target, ["CRM", "PUBLIC"]);
    assert_eq!(only("USE \"crm\"").object_kind, "DATABASE");
}

#[test]
fn session_statements_that_change_meaning_are_refused() {
    refused("role-pin", &["USE SECONDARY ROLES ALL", "USE SECONDARY ROLES a, b"]);
    refused(
        "session-parameter",
        &[
            "ALTER SESSION SET QUOTED_IDENTIFIERS_IGNORE_CASE = TRUE",
            "ALTER SESSION SET QUERY_TAG = 'a', MULTI_STATEMENT_COUNT = 0",
            "ALTER SESSION UNSET SEARCH_PATH",
            "ALTER SESSION SET QUERY_TAG = (SELECT 1)",
            "ALTER SESSION FROB",
        ],
    );
    refused(
        "session-variable",
        &["SET e = (SELECT MAX(email) FROM customers)", "SET a = b", "SET (a) = (SELECT 1)"],
    );
    refused("unknown-form", &["USE IDENTIFIER($x)", "COMMIT 1", "USE DATABASE a.b", "UNSET"]);
}

#[test]
fn scripting_and_dynamic_text_are_refused() {
    refused(
        "scripting",
        &[
            "BEGIN DROP TABLE orders; END;",
            "BEGIN LET rs RESULTSET := (SELECT 1); RETURN TABLE(rs); END",
            "DECLARE x INT; BEGIN RETURN 1; END",
            "BEGIN RETURN 1; END",
        ],
    );
    refused(
        "dynamic-sql",
        &["EXECUTE IMMEDIATE $x", "EXECUTE IMMEDIATE 'a' || 'b'", "EXECUTE TASK t"],
    );
    refused(
        "unregistered-procedure",
        &["WITH p AS PROCEDURE () RETURNS INT LANGUAGE SQL AS $$ x $$ CALL p()"],
    );
    let head = only(r"EXECUTE IMMEDIATE 'SELECT \x31'");
    assert_eq!(head.inner.as_deref(), Some("SELECT 1"));
}

#[test]
fn a_call_takes_constants_and_binds_only() {
    for text in [
        "CALL p()",
        "call crm.ops.\"Refresh it\"('x', -1, +2.5, NULL, TRUE, ?, :1, $$ y $$)",
        "CALL p(day => '2026-01-01', \"Full\" => :2)",
        "CALL IDENTIFIER('crm.ops.p')(1)",
    ] {
        let head = only(text);
        assert_eq!((head.class.as_str(), head.refusal), ("call", None), "{text}");
        assert!(head.barrier && !head.read_only, "{text}");
    }
    refused(
        "call-argument",
        &[
            "CALL p((SELECT MAX(email) FROM customers))",
            "CALL p(1 + 1)",
            "CALL p(f(1))",
            "CALL p(a)",
            "CALL p($x)",
            "CALL p(1,)",
            "CALL p(- 'x')",
            "CALL p() INTO :x",
            "CALL p(a => b => 1)",
            "CALL p('x'::DATE)",
            "CALL p([1])",
        ],
    );
    refused("unknown-form", &["CALL", "CALL p", "CALL IDENTIFIER($p)()", "CALL a.b.c.d()"]);
}

#[test]
fn texts_of_no_or_several_statements_are_refused() {
    refused(
        "one-statement",
        &["SELECT 1; DROP TABLE t", "EXECUTE IMMEDIATE 'SELECT 1'; DROP TABLE t", "SELECT (1; 2)"],
    );
    refused("empty", &["", " -- x", ";;"]);
    assert_eq!(rule("SELECT ';' ; -- end\n;"), None);
    refused("flow-operator", &["SELECT 1 ->> SELECT $1 FROM $1"]);
    refused("unknown-statement", &["FETCHALL EVERYTHING FROM t", "TABLE customers", "1"]);
}

#[test]
fn explain_hands_over_the_statement_inside() {
    let head = only("EXPLAIN USING JSON SELECT 1");
    assert_eq!((head.class.as_str(), head.inner.as_deref()), ("explain", Some("SELECT 1")));
    refused("unknown-form", &["EXPLAIN DROP TABLE t", "EXPLAIN"]);
}

#[test]
fn names_are_read_as_stored() {
    assert_eq!(only("ALTER TABLE crm..\"a.b\" RENAME TO c").target, ["CRM", "", "a.b"]);
    assert_eq!(only("DROP TABLE IDENTIFIER('crm.public.t')").target, ["CRM", "PUBLIC", "T"]);
    refused("unknown-form", &["DROP TABLE IDENTIFIER($t)", "DROP TABLE a.b.c.d"]);
}

#[test]
fn barriers_are_all_but_reads_and_plain_dml() {
    for text in ["USE SCHEMA a.b", "SET x = 1", "CREATE TEMP TABLE t (a INT)", "BEGIN"] {
        assert!(only(text).barrier, "{text}");
    }
    for text in ["SELECT 1", "UPDATE t SET a = 1", "SHOW TABLES"] {
        assert!(!only(text).barrier, "{text}");
    }
}

#[test]
fn every_kind_a_head_names_is_listed() {
    let kinds = crate::object_kinds();
    for text in [
        "CREATE ROW ACCESS POLICY p AS (a INT) RETURNS BOOLEAN -> TRUE",
        "DROP SCHEMA s",
        "SHOW TERSE TABLES",
        "DESCRIBE FILE FORMAT f",
        "USE SECONDARY ROLES NONE",
        "SET x = 1",
        "ALTER SESSION SET TIMEZONE = 'UTC'",
        "GRANT SELECT ON VIEW v TO ROLE r",
        "SHOW USERS LIKE '%svc%'",
        "DESC TASK a.b",
    ] {
        assert!(kinds.contains(&only(text).object_kind.as_str()), "{text}");
    }
}
