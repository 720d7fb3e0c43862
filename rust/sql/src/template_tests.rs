//! What templates keep, and what they let go.

use proptest::prelude::*;

use crate::{Limits, Slot, Template, Token, TokenKind, lex, template};

fn of(text: &str) -> Option<Template> {
    template(text, &Limits::default())
}

#[track_caller]
fn becomes(text: &str, expected: &str, slots: &[Slot]) {
    let found = of(text).unwrap();
    assert_eq!((found.text.as_str(), found.slots.as_slice()), (expected, slots), "{text}");
}

#[test]
fn constants_are_replaced_where_they_are_values_only() {
    use Slot::{Number, Numbers, Text, Texts};
    becomes("select a from t where b = 1", "SELECT A FROM T WHERE B = ?", &[Number]);
    becomes("SELECT a, 'x', 5 FROM t LIMIT 10", "SELECT A , 'x' , 5 FROM T LIMIT ?", &[Number]);
    becomes(
        "SELECT 1 FROM t WHERE a LIKE 'x%' AND b ILIKE 'y' AND c BETWEEN 1 AND 2 OFFSET 5",
        "SELECT 1 FROM T WHERE A LIKE ? AND B ILIKE ? AND C BETWEEN ? AND ? OFFSET ?",
        &[Text, Text, Number, Number, Number],
    );
    becomes(
        "DELETE FROM t WHERE a IN ('x','y', 'z') OR b IN (1) OR c in (1, 'x')",
        "DELETE FROM T WHERE A IN ( ? ) OR B IN ( ? ) OR C IN ( ? , ? )",
        &[Texts, Number, Number, Text],
    );
    becomes("SELECT 1 WHERE a IN (1, 2)", "SELECT 1 WHERE A IN ( ? )", &[Numbers]);
    becomes(
        "UPDATE t SET a = 'x', b = 2 WHERE c <> 'y';",
        "UPDATE T SET A = ? , B = ? WHERE C <> ?",
        &[Text, Number, Text],
    );
}

#[test]
fn constants_that_are_converted_on_the_spot_are_replaced() {
    becomes(
        "SELECT 1 FROM t WHERE a >= DATE '2026-01-01' AND b < '2026-01-01'::timestamp_ntz(3) \
         AND c > (to_date('2026-01-01')) AND d = CAST('1' AS NUMBER)",
        "SELECT 1 FROM T WHERE A >= ? :: DATE AND B < ? :: TIMESTAMP_NTZ ( 3 ) \
         AND C > ( TO_DATE ( ? ) ) AND D = CAST ( ? AS NUMBER )",
        &[Slot::Text; 4],
    );
}

#[test]
fn constants_that_may_mean_more_are_kept() {
    for text in [
        "SELECT 1 + 2 , A = 5 + B",
        "SELECT A FROM T WHERE B = 2 * SALARY",
        "SELECT A FROM T WHERE B = 'x' || C",
        "SELECT A FROM T WHERE B = 'x' COLLATE 'en'",
        "SELECT A FROM T WHERE B LIKE 'x' ESCAPE '^'",
        "SELECT * ILIKE 'x%' FROM T",
        "SELECT A FROM T GROUP BY 1 ORDER BY 2",
        "SELECT F ( 1 , 'x' ) , V [ 'email' ] FROM T",
        "SELECT A FROM T AT ( TIMESTAMP => '2026-01-01' )",
        "SELECT SUM ( A ) OVER ( ORDER BY B ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING ) FROM T",
        "SELECT A FROM T SAMPLE ( 10 )",
        "SELECT A FROM T WHERE B IN ( ( 1 , 2 ) , ( 3 , 4 ) )",
        "SELECT A FROM T WHERE B = ANY ( 'x' , 'y' )",
        "SELECT A FROM T WHERE B = $$x$$",
        "SELECT A FROM T WHERE B = '@stage/x'",
        "SELECT A FROM T WHERE B = 's3://x'",
        r"SELECT A FROM T WHERE B = 'a\x6f'",
        "SELECT A FROM T WHERE B = - 5",
        "SELECT A FROM T WHERE LIMIT 'x'",
        "INSERT INTO T VALUES ( 1 , 'x' )",
    ] {
        becomes(text, text, &[]);
    }
    let long = format!("SELECT A FROM T WHERE B = '{}'", "x".repeat(201));
    becomes(&long, &long, &[]);
}

#[test]
fn statements_whose_constants_name_things_have_no_template() {
    for text in [
        "SHOW TABLES LIKE 'x'",
        "CREATE TABLE t AS SELECT 1",
        "ALTER SESSION SET QUERY_TAG = 'x'",
        "(SELECT 1)",
        "SELECT $1 FROM t",
        "SELECT a FROM t WHERE a = $x",
        "SELECT a FROM @s WHERE a = 1",
        "SELECT * FROM IDENTIFIER('t') WHERE a = 1",
        "SELECT * FROM TABLE('t') WHERE a = 1",
        "SELECT * FROM table (result_scan('x'))",
        "SELECT LAST_QUERY_ID() = 'x'",
        "SELECT system$typeof(1) = 'x'",
        "SELECT * FROM t PIVOT (SUM(a) FOR b IN ('x', 'y'))",
        "WITH p AS PROCEDURE () RETURNS INT AS $$ x $$ CALL p()",
        "SELECT 1; SELECT 2",
        "SHOW TABLES ->> SELECT 1",
        "SELECT a FROM t WHERE a = :name",
        "SELECT 'open",
        "",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
}

#[test]
fn names_keep_what_snowflake_keeps_of_them() {
    becomes(
        "select Id, \"Id\", v:Email.Home, v['A'].b, x.y from d.S.t -- comment\n /* another */",
        "SELECT ID , \"Id\" , V : Email . Home , V [ 'A' ] . b , X . Y FROM D . S . T",
        &[],
    );
}

#[test]
fn binds_keep_their_types_beside_slots() {
    let template = of("SELECT 1 FROM t WHERE a = ? AND b = 'x' AND c = ?").unwrap();
    let types = |own: &[&str]| {
        let own: Vec<String> = own.iter().copied().map(str::to_owned).collect();
        template.bind_types(&own).map(|types| types.join(" "))
    };
    assert_eq!(types(&["TEXT", "FIXED"]).as_deref(), Some("TEXT literal-text FIXED"));
    assert_eq!(types(&["TEXT"]), None);
    assert_eq!(types(&["TEXT", "FIXED", "TEXT"]), None);
}

/// Pieces of statements, some of them out of place.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "=",
        "<",
        ">=",
        "<>",
        "LIKE",
        "ILIKE",
        "BETWEEN",
        "AND",
        "OR",
        "IN",
        "(",
        ")",
        ",",
        "LIMIT",
        "OFFSET",
        "FROM",
        "WHERE",
        "NOT",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "::",
        "DATE",
        "TIMESTAMP",
        "CAST",
        "AS",
        "TO_DATE",
        "TO_TIMESTAMP",
        ".",
        ":",
        "[",
        "]",
        "+",
        "-",
        "*",
        "||",
        "?",
        "a",
        "Bc",
        "\"q\"",
        "v:p",
        "x.Y",
        "-- c\n",
        "/* c */",
        "SELECT",
        "ORDER",
        "BY",
        "1",
        "2.5",
        "'s'",
        "'it''s'",
        "'@s'",
        "NULL",
        "IS",
        "in (1, 2)",
        "in ('a', 'b', 'c')",
        "= 5",
        "= 'x'",
        ";",
    ]);
    prop_oneof![8 => fixed.prop_map(str::to_owned), 1 => "'[a-zA-Z0-9 ]{0,8}'", 1 => "[0-9]{1,4}"]
}

fn statement() -> impl Strategy<Value = String> {
    let heads = prop::sample::select(vec!["SELECT", "with", "Insert", "UPDATE", "delete", "MERGE"]);
    (heads, prop::collection::vec((piece(), prop::sample::select(vec![" ", "  ", "\n"])), 1..30))
        .prop_map(|(head, pieces)| {
            let body: Vec<&str> =
                pieces.iter().flat_map(|(piece, space)| [*space, piece.as_str()]).collect();
            let body = body.concat();
            format!("{head}{body}")
        })
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = lex(text, &Limits::default()).unwrap();
    tokens.retain(|token| !token.kind.is_trivia());
    while tokens.last().is_some_and(|token| token.is_symbol(";")) {
        tokens.pop();
    }
    tokens
}

/// Whether the instance's tokens are those of its template, with constants for its slots.
fn fits(instance: &[Token<'_>], template: &Template) -> bool {
    let shape = tokens(&template.text);
    let (mut at, mut slots) = (0, template.slots.iter());
    let mut waiting = shape.iter().peekable();
    while let Some(token) = waiting.next() {
        if token.kind != TokenKind::Bind {
            if !instance.get(at).is_some_and(|t| {
                t.kind == token.kind
                    && (t.text == token.text
                        || (t.kind == TokenKind::Word && t.text.eq_ignore_ascii_case(token.text)))
            }) {
                return false;
            }
            at += 1;
            continue;
        }
        let kind = |at: usize| instance.get(at).map(|t| t.kind);
        match slots.next() {
            Some(Slot::Bind) if kind(at) == Some(TokenKind::Bind) => at += 1,
            Some(Slot::Text) if kind(at) == Some(TokenKind::Text) => at += 1,
            // `DATE '…'` for `? :: DATE`.
            Some(Slot::Text)
                if kind(at) == Some(TokenKind::Word) && kind(at + 1) == Some(TokenKind::Text) =>
            {
                let (cast, name) = (waiting.next(), waiting.next());
                let written = instance.get(at).map(|t| t.text.to_ascii_uppercase());
                if !cast.is_some_and(|t| t.is_symbol("::"))
                    || name.map(|t| t.text.to_owned()) != written
                {
                    return false;
                }
                at += 2;
            }
            Some(Slot::Number) if kind(at) == Some(TokenKind::Number) => at += 1,
            Some(Slot::Texts | Slot::Numbers) => {
                let element = kind(at);
                at += 1;
                while instance.get(at).is_some_and(|t| t.is_symbol(",")) && kind(at + 1) == element
                {
                    at += 2;
                }
            }
            _ => return false,
        }
    }
    at == instance.len() && slots.next().is_none()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_template_is_its_own_template(text in statement()) {
        if let Some(found) = of(&text) {
            let again = of(&found.text).unwrap();
            prop_assert_eq!(&again.text, &found.text);
            prop_assert!(again.slots.iter().all(|slot| *slot == Slot::Bind));
            prop_assert_eq!(again.slots.len(), found.slots.len());
        }
    }

    #[test]
    fn an_instance_is_its_template_with_constants(text in statement()) {
        if let Some(found) = of(&text) {
            prop_assert!(fits(&tokens(&text), &found), "{} / {}", text, found.text);
        }
    }

    #[test]
    fn other_names_have_other_templates(
        text in statement(), one in "[a-z_]{1,6}|\"[a-zA-Z ]{1,4}\"", two in "[a-z_]{1,6}|\"[a-zA-Z ]{1,4}\"",
    ) {
        let stored = |name: &str| tokens(name).first().unwrap().identifier();
        let templates = [&one, &two].map(|name| of(&format!("{text} zz {name}")));
        if let [Some(first), Some(second)] = &templates
            && stored(&one) != stored(&two)
        {
            prop_assert_ne!(&first.text, &second.text);
        }
    }

    #[test]
    fn constants_in_their_places_do_not_matter(
        texts in prop::collection::vec("'[a-z0-9 ]{0,12}'", 2..6), more in prop::collection::vec("'[a-z0-9 ]{0,12}'", 2..6),
        one in 0_u32..9999, two in 0_u32..9999,
    ) {
        let sql = |list: &[String], number: u32| format!(
            "SELECT a FROM t WHERE b IN ({}) AND c > {number} AND d = {} LIMIT {number}",
            list.join(", "), list.first().unwrap(),
        );
        prop_assert_eq!(of(&sql(&texts, one)), of(&sql(&more, two)));
    }
}
