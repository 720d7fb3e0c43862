//! The value of a string constant.
//!
//! Source: <https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences-in-single-quoted-string-constants>

use crate::token::{Token, TokenKind};

/// The value of a `'…'` or `$$…$$` token; `None` for other tokens and for escapes that name no
/// character.
pub fn unescape(token: &Token<'_>) -> Option<String> {
    match token.kind {
        TokenKind::Dollar => token.text.get(2..token.text.len() - 2).map(str::to_owned),
        TokenKind::Text => decode(token.text.get(1..token.text.len() - 1)?),
        _ => None,
    }
}

fn decode(body: &str) -> Option<String> {
    let mut out = String::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                chars.next();
                out.push('\'');
            }
            '\\' => out.push(escape(&mut chars)?),
            other => out.push(other),
        }
    }
    Some(out)
}

fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    match chars.next()? {
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'x' => code(chars, 16, 2),
        'u' => code(chars, 16, 4),
        first @ '0'..='7' => octal(first, chars),
        other => Some(other),
    }
}

fn code(chars: &mut std::str::Chars<'_>, radix: u32, digits: usize) -> Option<char> {
    let mut value = 0;
    for _ in 0..digits {
        value = value * radix + chars.next()?.to_digit(radix)?;
    }
    char::from_u32(value)
}

/// `\0` alone is NUL; with two more octal digits it is that character.
fn octal(first: char, chars: &mut std::str::Chars<'_>) -> Option<char> {
    let mut ahead = chars.clone();
    let digits = [Some(first), ahead.next(), ahead.next()].map(|c| c.and_then(|c| c.to_digit(8)));
    if let [Some(a), Some(b), Some(c)] = digits {
        *chars = ahead;
        return char::from_u32(a * 64 + b * 8 + c);
    }
    (first == '0').then_some('\0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, lex};

    fn value(text: &str) -> Option<String> {
        unescape(lex(text, &Limits::default()).unwrap().first().unwrap())
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(value(r"'cust\x6fmers'").as_deref(), Some("customers"));
        assert_eq!(value(r"'\157\u006f''\''").as_deref(), Some("oo''"));
        assert_eq!(value("$$ a\\n $$").as_deref(), Some(" a\\n "));
    }

    #[test]
    fn an_escape_without_a_character_has_no_value() {
        assert_eq!(value(r"'\xZZ'"), None);
        assert_eq!(value(r"'\ud800'"), None);
    }
}
