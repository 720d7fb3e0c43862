//! Text to tokens, within bounds.

use crate::error::LexError;
use crate::token::{MAX_FOLDED, Token, TokenKind};

/// Bounds of a text. They hold before anything else looks at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// Most tokens, trivia not counted.
    pub tokens: usize,
    /// Deepest nesting of brackets. The parser behind copes with several times this depth.
    pub nesting: usize,
    /// Most operators that build a deep tree: `AND`, `OR`, `||`, `+`, `UNION`, `CASE`, `::` …
    pub operators: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 20, tokens: 20_000, nesting: 100, operators: 2_000 }
    }
}

/// Split a text into tokens. Their texts, joined, are the input.
pub fn lex<'a>(text: &'a str, limits: &Limits) -> Result<Vec<Token<'a>>, LexError> {
    if text.len() > limits.bytes {
        return Err(LexError::TooLarge { what: "bytes", limit: limits.bytes });
    }
    check_characters(text)?;
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::with_capacity(text.len() / 3),
        last: None,
        counts: Counts::default(),
    };
    while lexer.at < text.len() {
        let token = lexer.next_token()?;
        lexer.at = token.end();
        if !token.kind.is_trivia() {
            lexer.counts.take(&token, lexer.last.as_ref(), limits)?;
            lexer.last = Some(token);
        }
        lexer.tokens.push(token);
    }
    lexer.counts.finish(text.len())?;
    Ok(lexer.tokens)
}

/// Refuse characters that people do not see or lexers read differently, wherever they stand: inside
/// strings, escapes and binds do their work.
fn check_characters(text: &str) -> Result<(), LexError> {
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(at + 1) != Some(&b'\n') => {
                return Err(LexError::Character { what: "bare carriage return", at });
            }
            b'\t' | b'\n' | b'\r' => {}
            0..=0x1f | 0x7f => return Err(LexError::Character { what: "control character", at }),
            _ => {}
        }
    }
    if text.is_ascii() {
        return Ok(());
    }
    match text.char_indices().find(|(_, c)| is_odd(*c)) {
        Some((at, _)) => Err(LexError::Character { what: "invisible or odd white space", at }),
        None => Ok(()),
    }
}

fn is_odd(c: char) -> bool {
    (c.is_whitespace() && !c.is_ascii())
        || matches!(c,
            '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
            | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[derive(Default)]
struct Counts {
    tokens: usize,
    operators: usize,
    open: Vec<u8>,
}

impl Counts {
    fn take(
        &mut self,
        token: &Token<'_>,
        before: Option<&Token<'_>>,
        limits: &Limits,
    ) -> Result<(), LexError> {
        self.tokens += 1;
        if self.tokens > limits.tokens {
            return Err(LexError::TooLarge { what: "tokens", limit: limits.tokens });
        }
        if is_operator(token, before) {
            self.operators += 1;
            if self.operators > limits.operators {
                return Err(LexError::TooLarge { what: "operators", limit: limits.operators });
            }
        }
        if token.kind == TokenKind::Symbol {
            self.bracket(token, limits)?;
        }
        Ok(())
    }

    fn bracket(&mut self, token: &Token<'_>, limits: &Limits) -> Result<(), LexError> {
        let close = match token.text {
            "(" => b')',
            "[" => b']',
            "{" => b'}',
            ")" | "]" | "}" => {
                return if self.open.pop() == token.text.bytes().next() {
                    Ok(())
                } else {
                    Err(LexError::Unbalanced { at: token.start })
                };
            }
            _ => return Ok(()),
        };
        self.open.push(close);
        if self.open.len() > limits.nesting {
            return Err(LexError::TooLarge { what: "levels of nesting", limit: limits.nesting });
        }
        Ok(())
    }

    fn finish(&self, at: usize) -> Result<(), LexError> {
        if self.open.is_empty() { Ok(()) } else { Err(LexError::Unbalanced { at }) }
    }
}

/// Whether a token makes a tree deeper. The sign of a number does not.
fn is_operator(token: &Token<'_>, before: Option<&Token<'_>>) -> bool {
    match token.kind {
        TokenKind::Word => matches!(
            token.folded(&mut [0; MAX_FOLDED]),
            b"AND"
                | b"OR"
                | b"NOT"
                | b"UNION"
                | b"INTERSECT"
                | b"EXCEPT"
                | b"MINUS"
                | b"CASE"
                | b"LIKE"
                | b"ILIKE"
                | b"RLIKE"
                | b"BETWEEN"
                | b"IS"
                | b"JOIN"
        ),
        TokenKind::Symbol => match token.text {
            "-" | "+" => before.is_some_and(ends_value),
            "||" | "*" | "/" | "%" | "::" => true,
            _ => false,
        },
        _ => false,
    }
}

/// Whether a value can end with this token, so that what follows is an operator on it.
fn ends_value(token: &Token<'_>) -> bool {
    match token.kind {
        TokenKind::Symbol => matches!(token.text, ")" | "]" | "}"),
        kind => !kind.is_trivia(),
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
    /// The last token that is not trivia.
    last: Option<Token<'a>>,
    counts: Counts,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn token(&self, kind: TokenKind, length: usize) -> Token<'a> {
        let text = self.rest().get(..length).unwrap_or_default();
        Token { kind, text, start: self.at }
    }

    fn next_token(&self) -> Result<Token<'a>, LexError> {
        let rest = self.rest().as_bytes();
        let first = rest.first().copied().unwrap_or_default();
        let second = rest.get(1).copied();
        match (first, second) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => {
                let length = run(rest, |b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
                Ok(self.token(TokenKind::Space, length))
            }
            (b'-', Some(b'-')) | (b'/', Some(b'/')) => {
                Ok(self.token(TokenKind::Comment, run(rest, |b| b != b'\n')))
            }
            (b'/', Some(b'*')) => self.block_comment(),
            (b'\'', _) => self.string(),
            (b'"', _) => self.quoted(),
            (b'$', Some(b'$')) => self.dollar(),
            (b'$', Some(b)) if is_word_byte(b) => {
                let length = 1 + run(rest.get(1..).unwrap_or_default(), is_word_byte);
                Ok(self.token(TokenKind::Variable, length))
            }
            (b'0'..=b'9', _) | (b'.', Some(b'0'..=b'9')) => self.number(),
            (b'?', _) => Ok(self.token(TokenKind::Bind, 1)),
            (b':', Some(b)) if is_word_byte(b) && !self.after_value() => {
                let length = 1 + run(rest.get(1..).unwrap_or_default(), is_word_byte);
                Ok(self.token(TokenKind::Bind, length))
            }
            (b'@', _) => self.stage(),
            (b'{', Some(b'{' | b'%' | b'#')) => {
                Err(LexError::Ambiguous { what: "template braces", at: self.at })
            }
            _ if first == b'_' || first.is_ascii_alphabetic() => self.word(),
            _ => self.symbol(),
        }
    }

    fn after_value(&self) -> bool {
        self.last.as_ref().is_some_and(ends_value)
    }

    /// Snowflake does not nest comments, other engines do: an opening inside one is refused.
    fn block_comment(&self) -> Result<Token<'a>, LexError> {
        let what = "comment";
        let body = self.rest().get(2..).unwrap_or_default();
        let end = body.find("*/").ok_or(LexError::Unterminated { what, at: self.at })?;
        if body.get(..end).is_some_and(|inner| inner.contains("/*")) {
            return Err(LexError::Ambiguous { what: "comment inside a comment", at: self.at });
        }
        Ok(self.token(TokenKind::Comment, end + 4))
    }

    fn string(&self) -> Result<Token<'a>, LexError> {
        let bytes = self.rest().as_bytes();
        let mut at = 1;
        loop {
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b'\\'), Some(_)) | (Some(b'\''), Some(b'\'')) => at += 2,
                (Some(b'\''), _) => break,
                (Some(_), _) => at += 1,
                (None, _) => return Err(LexError::Unterminated { what: "string", at: self.at }),
            }
        }
        Ok(self.token(TokenKind::Text, at + 1))
    }

    fn quoted(&self) -> Result<Token<'a>, LexError> {
        match quoted_length(self.rest().as_bytes()) {
            Some(2) => Err(LexError::Ambiguous { what: "empty identifier", at: self.at }),
            Some(length) => Ok(self.token(TokenKind::Quoted, length)),
            None => Err(LexError::Unterminated { what: "quoted identifier", at: self.at }),
        }
    }

    fn dollar(&self) -> Result<Token<'a>, LexError> {
        let body = self.rest().get(2..).unwrap_or_default();
        let end =
            body.find("$$").ok_or(LexError::Unterminated { what: "`$$` text", at: self.at })?;
        Ok(self.token(TokenKind::Dollar, end + 4))
    }

    fn number(&self) -> Result<Token<'a>, LexError> {
        let bytes = self.rest().as_bytes();
        let tail = |at: usize| bytes.get(at..).unwrap_or_default();
        let digits = |at: usize| run(tail(at), |b| b.is_ascii_digit());
        let mut at = digits(0);
        if bytes.get(at) == Some(&b'.') {
            at += 1 + digits(at + 1);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at + 1 + sign);
            if exponent > 0 {
                at += 1 + sign + exponent;
            }
        }
        // `1email` is `1e AS mail` to one parser and an error to another.
        match bytes.get(at) {
            Some(&b) if is_word_byte(b) || b == b'.' || !b.is_ascii() => {
                Err(LexError::Ambiguous { what: "number joined to a word", at: self.at })
            }
            _ => Ok(self.token(TokenKind::Number, at)),
        }
    }

    /// A stage and its path: up to white space or a delimiter, quoted parts included.
    fn stage(&self) -> Result<Token<'a>, LexError> {
        let bytes = self.rest().as_bytes();
        let mut at = 1;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let tail = bytes.get(at..).unwrap_or_default();
                    at += quoted_length(tail)
                        .ok_or(LexError::Unterminated { what: "quoted identifier", at: self.at })?;
                }
                b if is_word_byte(b) || b"~%/.-:=+*".contains(&b) => at += 1,
                _ => break,
            }
        }
        let path = self.rest().get(..at).unwrap_or_default();
        if ["--", "//", "/*"].iter().any(|mark| path.contains(mark)) {
            return Err(LexError::Ambiguous { what: "comment mark in a stage path", at: self.at });
        }
        Ok(self.token(TokenKind::Stage, at))
    }

    fn word(&self) -> Result<Token<'a>, LexError> {
        let bytes = self.rest().as_bytes();
        let length = run(bytes, is_word_byte);
        // Outside quotes, Snowflake's identifiers are ASCII; other lexers take more.
        if bytes.get(length).is_some_and(|b| !b.is_ascii()) {
            return Err(LexError::Character {
                what: "unquoted identifier with other than ASCII letters",
                at: self.at + length,
            });
        }
        Ok(self.token(TokenKind::Word, length))
    }

    fn symbol(&self) -> Result<Token<'a>, LexError> {
        let rest = self.rest();
        let length = match rest.as_bytes() {
            [b'-', b'>', b'>', ..] => 3,
            [b':', b':' | b'=', ..]
            | [b'=' | b'-', b'>', ..]
            | [b'<', b'=' | b'>', ..]
            | [b'>' | b'!', b'=', ..]
            | [b'|', b'|', ..]
            | [b'&', b'&', ..]
            | [b'*', b'*', ..] => 2,
            _ => 1,
        };
        match rest.bytes().next() {
            Some(b) if b"()[]{}.,;:+-*/%=<>!&|^~".contains(&b) => {
                Ok(self.token(TokenKind::Symbol, length))
            }
            Some(b) if !b.is_ascii() => Err(LexError::Character {
                what: "unquoted identifier with other than ASCII letters",
                at: self.at,
            }),
            _ => Err(LexError::Character { what: "unexpected character", at: self.at }),
        }
    }
}

fn run(bytes: &[u8], accept: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&b| !accept(b)).unwrap_or(bytes.len())
}

fn is_word_byte(byte: u8) -> bool {
    byte == b'_' || byte == b'$' || byte.is_ascii_alphanumeric()
}

/// Length of the quoted identifier at the start of `bytes`, both quotes included.
fn quoted_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(text: &str) -> Vec<(TokenKind, &str)> {
        let tokens = lex(text, &Limits::default()).unwrap();
        tokens.into_iter().filter(|t| !t.kind.is_trivia()).map(|t| (t.kind, t.text)).collect()
    }

    fn refused(text: &str) -> bool {
        lex(text, &Limits::default()).is_err()
    }

    #[test]
    fn a_backslash_keeps_a_string_open() {
        assert_eq!(kinds(r"'a\', b'"), [(TokenKind::Text, r"'a\', b'")]);
        assert!(refused(r"'a\'"));
        assert_eq!(kinds("'it''s'"), [(TokenKind::Text, "'it''s'")]);
    }

    #[test]
    fn dollar_text_has_no_escapes() {
        assert_eq!(
            kinds(r"$$a' \$$, $x"),
            [
                (TokenKind::Dollar, r"$$a' \$$"),
                (TokenKind::Symbol, ","),
                (TokenKind::Variable, "$x")
            ]
        );
    }

    #[test]
    fn three_forms_of_comment_are_trivia() {
        assert_eq!(kinds("/* a */ x -- y\n// z\n"), [(TokenKind::Word, "x")]);
    }

    #[test]
    fn a_colon_is_a_path_after_a_value_and_a_bind_elsewhere() {
        assert_eq!(kinds("v:email").len(), 3);
        assert_eq!(kinds("= :1").last(), Some(&(TokenKind::Bind, ":1")));
        assert_eq!(kinds("a::int").get(1), Some(&(TokenKind::Symbol, "::")));
    }

    #[test]
    fn a_stage_is_one_token() {
        assert_eq!(kinds("@~/out"), [(TokenKind::Stage, "@~/out")]);
        assert_eq!(kinds("(@\"a b\".s/p)x").len(), 4);
    }

    #[test]
    fn texts_with_two_readings_are_refused() {
        for text in [
            "SELECT 1email",
            "SELECT 1.email",
            "-- x\rSELECT 1",
            "SELECT\u{a0}1",
            "SELECT '\u{202e}'",
            "\u{feff}SELECT 1",
            "SELECT 1 \0",
            "/* /* */ SELECT 1 */",
            "{# SELECT 1 #}",
            "{{ x }}",
            "SELECT straße",
            "'open",
            "\"open",
            "$$open",
            "/* open",
            "SELECT (1",
            "SELECT 1)",
            "SELECT (1]",
            "SELECT `a`",
        ] {
            assert!(refused(text), "{text:?}");
        }
    }

    #[test]
    fn bounds_hold() {
        assert!(refused(&format!("SELECT {}1{}", "(".repeat(101), ")".repeat(101))));
        assert!(!refused(&format!("SELECT {}1{}", "(".repeat(100), ")".repeat(100))));
        assert!(refused(&"x ".repeat(20_001)));
        assert!(refused(&format!("SELECT 1{}", " OR 1".repeat(2_001))));
        assert!(!refused(&format!("SELECT f(1{})", ", -1".repeat(3_000))));
        assert!(refused(&" ".repeat((1 << 20) + 1)));
    }

    proptest! {
        #[test]
        fn tokens_joined_are_the_text(text in "\\PC{0,60}|[-a-z0-9 '\"$@:;/*(){}\\[\\]\n.\\\\?]{0,60}") {
            if let Ok(tokens) = lex(&text, &Limits::default()) {
                let joined: String = tokens.iter().map(|t| t.text).collect();
                prop_assert_eq!(&joined, &text);
                prop_assert!(tokens.iter().all(|t| !t.text.is_empty()));
            }
        }
    }
}
