//! Names that are followed by an opening bracket: function calls, as far as a lexer can tell.
//!
//! A parser knows functions of other dialects, which in Snowflake would be functions of users, and
//! those can read anything. So the names are taken from the text itself.

use crate::token::{Token, TokenKind};

/// A name before an opening bracket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// The name as stored: unquoted in upper case.
    pub name: String,
    /// It has a prefix with a dot, a `!`, or quotes: never a builtin.
    pub qualified: bool,
}

/// Words of the grammar that may stand before a bracket without calling anything.
const GRAMMAR: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "AT",
    "BEFORE",
    "BERNOULLI",
    "BETWEEN",
    "BLOCK",
    "BY",
    "CASE",
    "CHANGES",
    "CONNECT_BY_ROOT",
    "CUBE",
    "DEFINE",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXCLUDE",
    "EXISTS",
    "FETCH",
    "FILTER",
    "FIRST",
    "FOR",
    "FROM",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LATERAL",
    "LIKE",
    "LIMIT",
    "MATCH_CONDITION",
    "MATCH_RECOGNIZE",
    "MEASURES",
    "MINUS",
    "NEXT",
    "NOT",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "PATTERN",
    "PIVOT",
    "PRIOR",
    "QUALIFY",
    "REGEXP",
    "RENAME",
    "REPEATABLE",
    "REPLACE",
    "RLIKE",
    "ROLLUP",
    "SAMPLE",
    "SEED",
    "SELECT",
    "SET",
    "SETS",
    "SOME",
    "START",
    "SUBSET",
    "TABLE",
    "TABLESAMPLE",
    "THEN",
    "TOP",
    "UNION",
    "UNPIVOT",
    "UPDATE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
    "WITHIN",
];

/// Type names, which take brackets only where a type is expected.
const TYPES: &[&str] = &[
    "ARRAY",
    "BINARY",
    "CHAR",
    "CHARACTER",
    "DEC",
    "DECFLOAT",
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "MAP",
    "NCHAR",
    "NUMBER",
    "NUMERIC",
    "NVARCHAR",
    "NVARCHAR2",
    "OBJECT",
    "STRING",
    "TEXT",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "TIMESTAMP_NTZ",
    "TIMESTAMP_TZ",
    "DATETIME",
    "VARBINARY",
    "VARCHAR",
    "VARYING",
    "VECTOR",
];

/// Every name before a bracket, in order, grammar words and types left out.
pub(crate) fn calls(tokens: &[Token<'_>]) -> Vec<Call> {
    let mut found = Vec::new();
    let mut type_ends = 0;
    for (at, token) in tokens.iter().enumerate() {
        if at < type_ends {
            continue;
        }
        if !tokens.get(at + 1).is_some_and(|next| next.is_symbol("(")) {
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let Some(name) = token.identifier() else {
            if is_computed_callee(token, tokens.get(..at).unwrap_or_default()) {
                found.push(Call { name: "IDENTIFIER".to_owned(), qualified: true });
            }
            continue;
        };
        let qualified = token.kind == TokenKind::Quoted
            || before.is_some_and(|t| t.is_symbol(".") || t.is_symbol("!"));
        if !qualified && is_type_position(before) && TYPES.contains(&name.as_str()) {
            type_ends = at + 1 + bracket_length(tokens.get(at + 1..).unwrap_or_default());
            continue;
        }
        if qualified || !is_grammar(&name, before) {
            found.push(Call { name, qualified });
        }
    }
    found
}

/// Tokens from an opening bracket to its closing one: `ARRAY(NUMBER(10))` is one type.
fn bracket_length(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        depth += usize::from(token.is_symbol("("));
        depth -= usize::from(token.is_symbol(")"));
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn is_type_position(before: Option<&Token<'_>>) -> bool {
    before.is_some_and(|token| token.is_symbol("::") || token.is_word("AS"))
}

fn is_grammar(name: &str, before: Option<&Token<'_>>) -> bool {
    match name {
        // `SAMPLE SYSTEM (10)`, `SAMPLE ROW (10)`.
        "SYSTEM" | "ROW" => {
            before.is_some_and(|token| token.is_word("SAMPLE") || token.is_word("TABLESAMPLE"))
        }
        _ => GRAMMAR.contains(&name),
    }
}

/// `IDENTIFIER('f')(x)` calls what its argument names.
fn is_computed_callee(token: &Token<'_>, before: &[Token<'_>]) -> bool {
    if !token.is_symbol(")") {
        return false;
    }
    let mut depth = 1_usize;
    for (at, token) in before.iter().enumerate().rev() {
        depth += usize::from(token.is_symbol(")"));
        depth -= usize::from(token.is_symbol("("));
        if depth == 0 {
            return at
                .checked_sub(1)
                .and_then(|at| before.get(at))
                .is_some_and(|t| t.is_word("IDENTIFIER"));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, lex};

    fn names(text: &str) -> Vec<(String, bool)> {
        let mut tokens = lex(text, &Limits::default()).unwrap();
        tokens.retain(|token| !token.kind.is_trivia());
        calls(&tokens).into_iter().map(|call| (call.name, call.qualified)).collect()
    }

    #[test]
    fn names_before_brackets_are_calls() {
        assert_eq!(
            names(
                "SELECT lower /* x */ (a), a.b.f(1), \"G\"(2), m!predict(3) FROM t WHERE a IN (1)"
            ),
            [
                ("LOWER".to_owned(), false),
                ("F".to_owned(), true),
                ("G".to_owned(), true),
                ("PREDICT".to_owned(), true)
            ]
        );
    }

    #[test]
    fn types_are_no_calls_where_a_type_is_expected() {
        assert_eq!(names("SELECT a::NUMBER(10, 2), CAST(b AS ARRAY(VARCHAR(5)))").len(), 1);
        assert_eq!(names("SELECT NUMBER(1)"), [("NUMBER".to_owned(), false)]);
    }

    #[test]
    fn a_function_named_by_identifier_is_a_call() {
        assert_eq!(names("SELECT IDENTIFIER('f')(1)").len(), 2);
        assert_eq!(names("SELECT (1) (2)").len(), 0);
    }
}
