//! What a text is made of.

/// Longest keyword that is compared by its folded text.
pub(crate) const MAX_FOLDED: usize = 16;

/// The kind of a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenKind {
    /// White space.
    Space,
    /// `-- …`, `// …` or `/* … */`.
    Comment,
    /// An unquoted word: keyword or identifier.
    Word,
    /// `"…"`.
    Quoted,
    /// `'…'`.
    Text,
    /// `$$…$$`.
    Dollar,
    /// A number.
    Number,
    /// `$name` or `$1`.
    Variable,
    /// `?`, `:1` or `:name` where a value is expected.
    Bind,
    /// `@…`: a stage and its path.
    Stage,
    /// Anything else: one symbol, such as `::` or `->>`.
    Symbol,
}

impl TokenKind {
    /// The kind's name, as Python sees it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::Comment => "comment",
            Self::Word => "word",
            Self::Quoted => "quoted",
            Self::Text => "text",
            Self::Dollar => "dollar",
            Self::Number => "number",
            Self::Variable => "variable",
            Self::Bind => "bind",
            Self::Stage => "stage",
            Self::Symbol => "symbol",
        }
    }

    /// White space or a comment: without meaning.
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Space | Self::Comment)
    }
}

/// One token: a kind and the very bytes it stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token<'a> {
    /// Its kind.
    pub kind: TokenKind,
    /// Its bytes in the statement.
    pub text: &'a str,
    /// Byte offset of its first byte.
    pub start: usize,
}

impl Token<'_> {
    /// Byte offset behind its last byte.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this unquoted word, in any case.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this symbol.
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// Its bytes in upper case, if it is as short as the keywords of the grammar; none if longer.
    pub(crate) fn folded<'b>(&self, buffer: &'b mut [u8; MAX_FOLDED]) -> &'b [u8] {
        let Some(target) = buffer.get_mut(..self.text.len()) else { return b"" };
        target.copy_from_slice(self.text.as_bytes());
        target.make_ascii_uppercase();
        target
    }

    /// The stored form of an identifier: unquoted words in upper case, quoted ones as written.
    pub fn identifier(&self) -> Option<String> {
        match self.kind {
            TokenKind::Word => Some(self.text.to_ascii_uppercase()),
            TokenKind::Quoted => Some(self.text.get(1..self.text.len() - 1)?.replace("\"\"", "\"")),
            _ => None,
        }
    }
}
