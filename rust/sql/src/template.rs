//! Templates: what statements have in common that differ in their constants only.
//!
//! ```text
//!   select id from ORDERS where total > 10 and status in ('new', 'paid')  -- a dashboard
//!   SELECT ID FROM ORDERS WHERE TOTAL > ? AND STATUS IN ( ? )             number, texts
//! ```
//!
//! A verdict on a template stands for all of its instances, so that a dashboard whose dates change
//! is judged once.
//!
//! # Why that is sound
//!
//! The verdict is computed from the template's own text, never taken over from an instance. To the
//! analysis (`python/snowgate/sql/slots.py`) a `?` here is a value of which it knows whether it is a
//! text or a number, and nothing else. It refuses the template when a slot does not stand where it
//! is sure that no constant changes the meaning, and when slots are missing from what it parsed.
//! Only an allowing verdict is used for an instance; otherwise the exact text is judged.
//!
//! So the places below may be too many: that costs hits, and never safety. They are the whole right
//! side of a comparison, of LIKE and ILIKE, both ends of BETWEEN, LIMIT and OFFSET, the elements of
//! an IN list, and constants that are converted where they stand (`DATE '…'`, `'…'::date`,
//! `CAST('…' AS …)`, `TO_DATE('…')`).
//!
//! What differs between template and instance:
//!
//! - The length of an IN list. A list of one constant and one of several are unlike slots, and the
//!   analysis takes the latter for more constants than may be compared with a tagged column.
//! - The type of a constant: texts and numbers are unlike slots, since a number makes Snowflake
//!   convert a text column.
//! - Names of outputs: a slot is never an output by itself, and Snowflake's name for an expression
//!   without alias is predicted for neither.
//!
//! Source of the places and of what is left out: `knowledge/sql.md`, section 5.

use crate::lex::{Limits, lex};
use crate::token::{MAX_FOLDED, Token, TokenKind};

/// Verbs of statements whose templates are judged.
const HEADS: [&str; 6] = ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE"];

const PATTERNS: [&str; 2] = ["LIKE", "ILIKE"];
const COUNTS: [&str; 2] = ["LIMIT", "OFFSET"];

/// Types whose constants are written `TYPE '…'`.
const TYPED: [&str; 6] =
    ["DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ", "TIMESTAMP_NTZ", "TIMESTAMP_TZ"];

/// Functions that convert their one argument, and can do nothing else with a constant.
const CONVERSIONS: [&str; 6] = [
    "TO_DATE",
    "TO_TIME",
    "TO_TIMESTAMP",
    "TO_TIMESTAMP_LTZ",
    "TO_TIMESTAMP_NTZ",
    "TO_TIMESTAMP_TZ",
];

/// Longest text constant that is replaced, in bytes with its quotes.
const MAX_TEXT: usize = 202;

/// Most placeholders of a template.
const MAX_SLOTS: usize = 256;

/// What a `?` of a template stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Slot {
    /// A bind of the statement itself.
    Bind,
    /// A text.
    Text,
    /// A number without sign.
    Number,
    /// Two or more texts: a whole IN list.
    Texts,
    /// Two or more numbers: a whole IN list.
    Numbers,
}

impl Slot {
    /// Its type among the types of binds. Drivers' types have no `-`, so none can be taken for it.
    pub fn bind_type(self) -> Option<&'static str> {
        match self {
            Self::Bind => None,
            Self::Text => Some("literal-text"),
            Self::Number => Some("literal-number"),
            Self::Texts => Some("literal-texts"),
            Self::Numbers => Some("literal-numbers"),
        }
    }

    fn of(kind: TokenKind) -> Option<Self> {
        match kind {
            TokenKind::Text => Some(Self::Text),
            TokenKind::Number => Some(Self::Number),
            _ => None,
        }
    }

    fn of_list(self) -> Self {
        match self {
            Self::Text => Self::Texts,
            Self::Number => Self::Numbers,
            other => other,
        }
    }
}

/// A statement without its constants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    /// Its tokens with a space between: unquoted identifiers in upper case, no comments, `?` in
    /// place of constants.
    pub text: String,
    /// What each `?` stands for, in order.
    pub slots: Vec<Slot>,
}

impl Template {
    /// Types of all its `?` in order: slots, and the statement's own binds, whose types are `own`.
    ///
    /// `None` if there are more or fewer own binds than types.
    pub fn bind_types(&self, own: &[String]) -> Option<Vec<String>> {
        let mut own = own.iter();
        let mut of =
            |slot: &Slot| slot.bind_type().map(str::to_owned).or_else(|| own.next().cloned());
        let types: Option<Vec<String>> = self.slots.iter().map(&mut of).collect();
        types.filter(|_| own.next().is_none())
    }
}

/// The template of a statement; `None` if its constants may mean more than values, or if it has no
/// reading at all.
pub fn template(text: &str, limits: &Limits) -> Option<Template> {
    let mut tokens = lex(text, limits).ok()?;
    tokens.retain(|token| !token.kind.is_trivia());
    while tokens.last().is_some_and(|token| token.is_symbol(";")) {
        tokens.pop();
    }
    let head = tokens.first()?;
    if !HEADS.iter().any(|verb| head.is_word(verb)) || !is_plain(&tokens) {
        return None;
    }
    let mut writer = Writer::new(&tokens, text.len());
    while writer.at < tokens.len() {
        writer.step();
    }
    (writer.slots.len() <= MAX_SLOTS).then_some(Template { text: writer.text, slots: writer.slots })
}

/// Whether a statement's constants are values and nothing else.
fn is_plain(tokens: &[Token<'_>]) -> bool {
    let mut buffer = [0; MAX_FOLDED];
    let mut table = false;
    tokens.iter().all(|token| {
        let bracket_of_table = table && token.is_symbol("(");
        table = false;
        match token.kind {
            TokenKind::Stage | TokenKind::Variable => false,
            // A named bind can occur twice: its place does not tell its number.
            TokenKind::Bind => token.text == "?",
            TokenKind::Symbol => !bracket_of_table && !matches!(token.text, ";" | "->>"),
            TokenKind::Word => match token.folded(&mut buffer) {
                b"IDENTIFIER" | b"RESULT_SCAN" | b"LAST_QUERY_ID" | b"TO_QUERY" | b"EXECUTE"
                | b"CALL" | b"COPY" | b"PIVOT" | b"UNPIVOT" => false,
                word => {
                    table = word == b"TABLE";
                    !token.text.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("SYSTEM$"))
                }
            },
            _ => true,
        }
    })
}

struct Writer<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    text: String,
    slots: Vec<Slot>,
    /// For each open bracket, whether it is that of an IN list.
    open: Vec<bool>,
    /// Within a path into a variant, whose words are case-sensitive.
    path: bool,
}

impl<'t, 'a> Writer<'t, 'a> {
    fn new(tokens: &'t [Token<'a>], bytes: usize) -> Self {
        Self {
            tokens,
            at: 0,
            text: String::with_capacity(2 * bytes),
            slots: Vec::new(),
            open: Vec::new(),
            path: false,
        }
    }

    /// The token `ahead` of the present one.
    fn ahead(&self, ahead: usize) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at + ahead)
    }

    /// The token `back` before the present one.
    fn back(&self, back: usize) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at.checked_sub(back)?)
    }

    /// Write the present token, or what stands for it and its neighbours.
    fn step(&mut self) {
        let Some(token) = self.ahead(0) else { return };
        if let Some(slot) = self.typed_constant(token) {
            // `DATE '…'` is a cast, and written as one: a placeholder cannot follow a type.
            self.slot(slot);
            self.put("::");
            self.put_word(token.text);
            self.at += 2;
            return;
        }
        match Slot::of(token.kind) {
            Some(slot) if is_value(token) && self.is_place(token) => self.slot(slot),
            _ => self.copy(token),
        }
        self.at += 1;
        if token.is_symbol("(") && self.open.last() == Some(&true) {
            self.list();
        }
    }

    fn copy(&mut self, token: &Token<'_>) {
        match token.kind {
            TokenKind::Word => {
                let ends_path = !self.back(1).is_some_and(|t| t.is_symbol(":") || t.is_symbol("."));
                if self.path && !ends_path {
                    self.put(token.text);
                } else {
                    self.path = false;
                    self.put_word(token.text);
                }
            }
            TokenKind::Symbol => {
                match token.text {
                    "(" => self.open.push(self.back(1).is_some_and(|t| t.is_word("IN"))),
                    "[" | "{" => self.open.push(false),
                    ")" | "]" | "}" => drop(self.open.pop()),
                    _ => {}
                }
                self.path = match token.text {
                    ":" | "]" => true,
                    "." | "[" => self.path,
                    _ => false,
                };
                self.put(token.text);
            }
            TokenKind::Bind => {
                self.slots.push(Slot::Bind);
                self.path = false;
                self.put("?");
            }
            TokenKind::Quoted => self.put(token.text),
            _ => {
                self.path = self.path && self.open.last() == Some(&false);
                self.put(token.text);
            }
        }
    }

    /// The elements of an IN list that has just been opened, if they are constants of one kind.
    fn list(&mut self) {
        let Some(slot) = self.ahead(0).and_then(|first| Slot::of(first.kind)) else { return };
        let mut elements = 0;
        loop {
            let (Some(element), Some(next)) =
                (self.ahead(2 * elements), self.ahead(2 * elements + 1))
            else {
                return;
            };
            if Slot::of(element.kind) != Some(slot) || !is_value(element) {
                return;
            }
            elements += 1;
            if next.is_symbol(")") {
                break;
            }
            if !next.is_symbol(",") {
                return;
            }
        }
        self.slot(if elements == 1 { slot } else { slot.of_list() });
        self.at += 2 * elements - 1;
    }

    /// `DATE '…'` and its kin, the type being the present token.
    fn typed_constant(&self, token: &Token<'_>) -> Option<Slot> {
        let constant = self.ahead(1).filter(|next| next.kind == TokenKind::Text)?;
        let typed = TYPED.iter().any(|word| token.is_word(word));
        // After a value or a name, a type is something else.
        let starts = self.back(1).is_some_and(|before| match before.kind {
            TokenKind::Symbol => matches!(before.text, "(" | "," | "[") || is_comparison(before),
            TokenKind::Word => PATTERNS
                .iter()
                .chain(&["BETWEEN", "AND", "OR", "THEN", "ELSE", "WHEN"])
                .any(|word| before.is_word(word)),
            _ => false,
        });
        (typed && starts && is_value(constant)).then_some(Slot::Text)
    }

    /// Whether the present constant stands where it is a value and nothing else.
    fn is_place(&self, token: &Token<'_>) -> bool {
        let Some(before) = self.back(1) else { return false };
        if token.kind == TokenKind::Text && self.is_converted(before) {
            return true;
        }
        let ends = self.ahead(1).is_none_or(ends_operand);
        let is = |words: &[&str]| words.iter().any(|word| before.is_word(word));
        if token.kind == TokenKind::Number && is(&COUNTS) {
            return ends;
        }
        let element =
            self.open.last() == Some(&true) && (before.is_symbol("(") || before.is_symbol(","));
        // `* ILIKE '…'` chooses columns.
        let pattern = is(&PATTERNS) && !self.back(2).is_some_and(|t| t.is_symbol("*"));
        let between = before.is_word("BETWEEN")
            || (before.is_word("AND")
                && self.back(3).is_some_and(|t| t.is_word("BETWEEN"))
                && self.back(2).is_some_and(is_constant));
        ends && (is_comparison(before) || element || pattern || between)
    }

    /// Whether the present text is converted to another type on the spot.
    fn is_converted(&self, before: &Token<'_>) -> bool {
        let Some(next) = self.ahead(1) else { return false };
        if next.is_symbol("::") {
            return self.ahead(2).is_some_and(|t| t.kind == TokenKind::Word)
                && (is_comparison(before)
                    || before.is_symbol("(")
                    || before.is_symbol(",")
                    || ["BETWEEN", "AND"].iter().any(|word| before.is_word(word)));
        }
        if !before.is_symbol("(") {
            return false;
        }
        let Some(called) = self.back(2) else { return false };
        let qualified = self.back(3).is_some_and(|t| t.is_symbol("."));
        if called.is_word("CAST") {
            return next.is_word("AS");
        }
        !qualified && next.is_symbol(")") && CONVERSIONS.iter().any(|name| called.is_word(name))
    }

    fn slot(&mut self, slot: Slot) {
        self.slots.push(slot);
        self.path = false;
        self.put("?");
    }

    fn put(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(text);
    }

    fn put_word(&mut self, text: &str) {
        self.put(text);
        let start = self.text.len() - text.len();
        if let Some(word) = self.text.get_mut(start..) {
            word.make_ascii_uppercase();
        }
    }
}

fn is_comparison(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Symbol
        && matches!(token.text, "=" | "<" | ">" | "<=" | ">=" | "<>" | "!=")
}

fn is_constant(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Text | TokenKind::Number | TokenKind::Bind)
}

/// Whether a constant is short and plain enough to stand for any other.
fn is_value(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Number
        || !(token.text.len() > MAX_TEXT
            || token.text.starts_with("'@")
            || token.text.contains('\\')
            || token.text.contains("://"))
}

/// Whether an operand is whole before this token: any other could go on with the expression.
fn ends_operand(token: &Token<'_>) -> bool {
    match token.kind {
        TokenKind::Symbol => matches!(token.text, ")" | ","),
        TokenKind::Word => matches!(
            token.folded(&mut [0; MAX_FOLDED]),
            b"AND"
                | b"AS"
                | b"ASOF"
                | b"CONNECT"
                | b"CROSS"
                | b"ELSE"
                | b"END"
                | b"EXCEPT"
                | b"FETCH"
                | b"FROM"
                | b"FULL"
                | b"GROUP"
                | b"HAVING"
                | b"INNER"
                | b"INTERSECT"
                | b"JOIN"
                | b"LEFT"
                | b"LIMIT"
                | b"MINUS"
                | b"NATURAL"
                | b"OFFSET"
                | b"ON"
                | b"OR"
                | b"ORDER"
                | b"QUALIFY"
                | b"RIGHT"
                | b"START"
                | b"THEN"
                | b"UNION"
                | b"WHEN"
                | b"WHERE"
                | b"WINDOW"
        ),
        _ => false,
    }
}
