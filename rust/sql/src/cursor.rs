//! Reading the head of a statement word by word.

use crate::literal::unescape;
use crate::token::{Token, TokenKind};
use crate::{Limits, lex};

/// The tokens of one statement, without trivia, and a place among them.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
}

impl<'t, 'a> Cursor<'t, 'a> {
    pub(crate) fn new(tokens: &'t [Token<'a>]) -> Self {
        Self { tokens, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at)
    }

    pub(crate) fn next(&mut self) -> Option<&'t Token<'a>> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    pub(crate) fn rest(&self) -> &'t [Token<'a>] {
        self.tokens.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Byte offset behind the last token taken.
    pub(crate) fn taken_to(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, Token::end)
    }

    /// The next token's word in upper case, or an empty text.
    pub(crate) fn word(&self) -> String {
        self.peek()
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| token.text.to_ascii_uppercase())
            .unwrap_or_default()
    }

    /// Take the words of `phrase` if they come next.
    pub(crate) fn eat(&mut self, phrase: &str) -> bool {
        let words = phrase.split(' ').count();
        let Some(ahead) = self.rest().get(..words) else { return false };
        let found = phrase.split(' ').zip(ahead).all(|(word, token)| token.is_word(word));
        self.at += if found { words } else { 0 };
        found
    }

    pub(crate) fn eat_symbol(&mut self, symbol: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    /// Take a name: up to three parts with dots, `db..name`, or `IDENTIFIER('…')` of a constant.
    ///
    /// `None`, and nothing taken, when no such name comes next.
    pub(crate) fn name(&mut self) -> Option<Vec<String>> {
        let start = self.at;
        let name = self.constant_name().or_else(|| self.plain_name());
        if name.is_none() {
            self.at = start;
        }
        name
    }

    fn plain_name(&mut self) -> Option<Vec<String>> {
        let mut parts = vec![self.next()?.identifier()?];
        while self.eat_symbol(".") {
            match self.peek() {
                Some(token) if token.is_symbol(".") => parts.push(String::new()),
                _ => parts.push(self.next()?.identifier()?),
            }
        }
        (parts.len() <= 3).then_some(parts)
    }

    fn constant_name(&mut self) -> Option<Vec<String>> {
        let start = self.at;
        if self.eat("IDENTIFIER") && self.eat_symbol("(") {
            let text = unescape(self.next()?)?;
            let limits = Limits { bytes: 1024, ..Limits::default() };
            let tokens = lex(&text, &limits).ok()?;
            let mut inner = Cursor::new(&tokens);
            let name = inner.plain_name()?;
            return (inner.at_end() && self.eat_symbol(")")).then_some(name);
        }
        self.at = start;
        None
    }
}

/// Whether the words of `phrase` stand next to one another anywhere in `tokens`.
pub(crate) fn contains(tokens: &[Token<'_>], phrase: &str) -> bool {
    let words: Vec<&str> = phrase.split(' ').collect();
    tokens
        .windows(words.len())
        .any(|window| window.iter().zip(&words).all(|(token, word)| token.is_word(word)))
}
