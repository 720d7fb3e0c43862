//! One head per statement: what the statement is, from its first words.

use crate::calls::{Call, calls};
use crate::class::Class;
use crate::cursor::{Cursor, contains};
use crate::error::LexError;
use crate::lex::{Limits, lex};
use crate::literal::unescape;
use crate::session::{list, take_value};
use crate::token::{Token, TokenKind};
use crate::{ddl, session, show};

/// Why a statement can never be forwarded, whatever the rules say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The built-in rule, such as `one-statement`.
    pub rule: &'static str,
    /// What is wrong, without literals.
    pub reason: &'static str,
    /// What the caller can do.
    pub remedy: &'static str,
}

/// What the first words of a statement say.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "facts about a text, independent of one another")]
pub struct Head {
    /// Its class.
    pub class: Class,
    /// Its first word, upper-case.
    pub verb: String,
    /// The kind of object it names, upper-case; empty if none.
    pub object_kind: String,
    /// Byte offset of its first token.
    pub start: usize,
    /// Byte offset behind its last token.
    pub end: usize,
    /// The parts of the object's name as stored, an empty part for `db..name`; empty if it names
    /// none or the name is not at the usual place.
    pub target: Vec<String>,
    /// Byte offset behind the name; zero without one.
    pub target_end: usize,
    /// `CREATE OR REPLACE`.
    pub replace: bool,
    /// The object ends with the session.
    pub temporary: bool,
    /// It reads or names a stage.
    pub stage: bool,
    /// It uses a session variable or a position (`$x`, `$1`).
    pub variable: bool,
    /// It has placeholders for binds.
    pub bind: bool,
    /// Running it twice changes nothing.
    pub read_only: bool,
    /// It may change what later statements of the session mean (F9).
    pub barrier: bool,
    /// The statement inside: of EXPLAIN, or the constant text of EXECUTE IMMEDIATE.
    pub inner: Option<String>,
    /// Names before brackets: function calls, as far as a lexer can tell.
    pub calls: Vec<Call>,
    /// Set when it can never be forwarded.
    pub refusal: Option<Refusal>,
}

impl Head {
    pub(crate) fn refuse_form(&mut self) {
        self.refusal = Some(Refusal {
            rule: "unknown-form",
            reason: "is not one of the known forms of this statement",
            remedy: "write the statement in its documented form, one object at a time",
        });
    }

    pub(crate) fn refuse_scripting(&mut self) {
        self.class = Class::Dynamic;
        self.refusal = Some(Refusal {
            rule: "scripting",
            reason: "is a scripting block, whose statements cannot be judged before they run",
            remedy: "send the statements one by one",
        });
    }
}

/// The statements of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Classified {
    /// One head per statement, in order; empty statements are left out.
    pub statements: Vec<Head>,
}

impl Classified {
    /// The first refusal, also that of a text with no statement or with several (only one is judged,
    /// masked and recorded per request).
    pub fn refusal(&self) -> Option<Refusal> {
        let several = Refusal {
            rule: "one-statement",
            reason: "the text holds more than one statement",
            remedy: "send the statements one by one",
        };
        match self.statements.as_slice() {
            [] => Some(Refusal {
                rule: "empty",
                reason: "the text holds no statement",
                remedy: "send a statement",
            }),
            [head] => head.refusal,
            // A scripting block holds several; that it is one says more.
            [first, ..] if first.class == Class::Dynamic => first.refusal.or(Some(several)),
            _ => Some(several),
        }
    }
}

/// Classify every statement of a text.
///
/// A `;` inside a scripting block splits too: such a text is refused either way.
pub fn classify(text: &str, limits: &Limits) -> Result<Classified, LexError> {
    let mut tokens = lex(text, limits)?;
    tokens.retain(|token| !token.kind.is_trivia());
    let statements = tokens
        .split(|token| token.is_symbol(";"))
        .filter_map(|statement| {
            let (first, last) = (statement.first()?, statement.last()?);
            Some(head(text, statement, first, last))
        })
        .collect();
    Ok(Classified { statements })
}

fn head(text: &str, tokens: &[Token<'_>], first: &Token<'_>, last: &Token<'_>) -> Head {
    let has = |kind| tokens.iter().any(|token| token.kind == kind);
    let mut head = Head {
        class: Class::Unknown,
        verb: String::new(),
        object_kind: String::new(),
        start: first.start,
        end: last.end(),
        target: Vec::new(),
        target_end: 0,
        replace: false,
        temporary: false,
        stage: has(TokenKind::Stage),
        variable: has(TokenKind::Variable),
        bind: has(TokenKind::Bind),
        read_only: false,
        barrier: true,
        inner: None,
        calls: calls(tokens),
        refusal: None,
    };
    let mut cursor = Cursor::new(tokens);
    head.verb = cursor.word();
    if first.is_symbol("(") {
        "SELECT".clone_into(&mut head.verb);
        head.class = Class::Select;
    } else {
        cursor.next();
        by_verb(&mut head, cursor, text);
    }
    if tokens.iter().any(|token| token.is_symbol("->>")) {
        head.refusal = Some(Refusal {
            rule: "flow-operator",
            reason: "chains statements with the flow operator",
            remedy: "send the statements one by one",
        });
    }
    head.read_only = head.class.is_read_only();
    head.barrier = head.class.is_barrier();
    head
}

fn by_verb(head: &mut Head, mut cursor: Cursor<'_, '_>, text: &str) {
    match head.verb.as_str() {
        "SELECT" | "VALUES" => head.class = Class::Select,
        "WITH" => with(head, &cursor),
        "INSERT" => head.class = Class::Insert,
        "UPDATE" => head.class = Class::Update,
        "DELETE" => head.class = Class::Delete,
        "MERGE" => head.class = Class::Merge,
        "SHOW" => show::show(head, cursor),
        "DESC" | "DESCRIBE" => {
            "DESCRIBE".clone_into(&mut head.verb);
            show::describe(head, cursor);
        }
        "EXPLAIN" => explain(head, cursor, text),
        "USE" => session::take_use(head, cursor),
        "SET" => session::set(head, cursor),
        "UNSET" => session::unset(head, cursor),
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" => session::transaction(head, cursor),
        "ALTER" if cursor.eat("SESSION") => session::alter(head, cursor),
        "CREATE" | "ALTER" | "DROP" | "UNDROP" => ddl::object(head, cursor),
        "TRUNCATE" => ddl::truncate(head, cursor),
        "COMMENT" => ddl::comment(head, cursor),
        "GRANT" | "REVOKE" => ddl::grant(head, cursor),
        "COPY" => copy(head, cursor),
        "PUT" | "GET" => {
            head.class = Class::Stage;
            head.refusal = Some(Refusal {
                rule: "file-transfer",
                reason: "moves files between the client and a stage, which the gateway does not \
                         carry",
                remedy: "use INSERT, or an export job",
            });
        }
        "LIST" | "LS" | "REMOVE" | "RM" => head.class = Class::Stage,
        "CALL" => call(head, cursor),
        "EXECUTE" => execute(head, cursor),
        "DECLARE" | "LET" | "IF" | "FOR" | "WHILE" | "LOOP" | "REPEAT" | "CASE" | "RETURN"
        | "RAISE" | "OPEN" | "FETCH" | "CLOSE" | "BREAK" | "CONTINUE" | "AWAIT" | "ASYNC" => {
            head.refuse_scripting();
        }
        _ => {
            head.refusal = Some(Refusal {
                rule: "unknown-statement",
                reason: "begins with no verb that is known",
                remedy: "send one SQL statement of a documented kind",
            });
        }
    }
}

/// A query, unless it declares an anonymous procedure.
fn with(head: &mut Head, cursor: &Cursor<'_, '_>) {
    head.class = Class::Select;
    if contains(cursor.rest(), "AS PROCEDURE") {
        head.class = Class::Call;
        "PROCEDURE".clone_into(&mut head.object_kind);
        head.refusal = Some(Refusal {
            rule: "unregistered-procedure",
            reason: "declares a procedure and calls it, and nobody has vetted it",
            remedy: "send the statements of the procedure one by one",
        });
    }
}

fn explain(head: &mut Head, mut cursor: Cursor<'_, '_>, text: &str) {
    head.class = Class::Explain;
    if cursor.eat("USING") && !["TABULAR", "JSON", "TEXT"].iter().any(|form| cursor.eat(form)) {
        head.refuse_form();
        return;
    }
    let start = cursor.peek().map_or(head.end, |token| token.start);
    head.inner = text.get(start..head.end).map(str::to_owned);
    let explained = ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE"];
    let bracket = cursor.peek().is_some_and(|token| token.is_symbol("("));
    if !bracket && !explained.contains(&cursor.word().as_str()) {
        head.refuse_form();
    }
}

/// The direction comes from the target: a stage or a text is unloaded to, a table is loaded.
fn copy(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    if cursor.eat("FILES") {
        head.class = Class::Stage;
        return;
    }
    if !cursor.eat("INTO") {
        head.refuse_form();
        return;
    }
    let computed = cursor.peek().is_some_and(|token| token.is_word("IDENTIFIER"));
    match cursor.peek().map(|token| token.kind) {
        Some(TokenKind::Word | TokenKind::Quoted) if !computed => {
            head.class = Class::Load;
            "TABLE".clone_into(&mut head.object_kind);
            head.target = cursor.name().unwrap_or_default();
            head.target_end = cursor.taken_to();
            if head.target.is_empty() {
                head.refuse_form();
            }
        }
        Some(TokenKind::Stage | TokenKind::Text) => head.class = Class::Unload,
        _ => {
            head.class = Class::Unload;
            head.refuse_form();
        }
    }
}

/// `CALL name(constant, name => constant, …)`. Whether anybody vetted the procedure is decided by the
/// analysis, which knows the registry.
fn call(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Call;
    "PROCEDURE".clone_into(&mut head.object_kind);
    head.target = cursor.name().unwrap_or_default();
    head.target_end = cursor.taken_to();
    if head.target.is_empty() || !cursor.eat_symbol("(") {
        head.refuse_form();
        return;
    }
    let listed = cursor.eat_symbol(")") || list(&mut cursor, take_argument);
    if !listed || !cursor.at_end() {
        head.refusal = Some(Refusal {
            rule: "call-argument",
            reason: "gives a procedure something else than constants and binds",
            remedy: "write the value itself, or bind it",
        });
    }
}

/// A constant or a bind, with or without the name of its parameter.
fn take_argument(cursor: &mut Cursor<'_, '_>) -> bool {
    let mut ahead = *cursor;
    if ahead.next().is_some_and(|name| name.identifier().is_some()) && ahead.eat_symbol("=>") {
        *cursor = ahead;
    }
    if cursor.peek().is_some_and(|token| token.kind == TokenKind::Bind) {
        cursor.next();
        return true;
    }
    cursor.eat_symbol("+");
    take_value(cursor)
}

/// `EXECUTE IMMEDIATE` of one constant without binds is judged by its text; all else is refused.
fn execute(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    head.class = Class::Dynamic;
    if cursor.eat("IMMEDIATE")
        && let Some(inner) = cursor.next().and_then(unescape)
        && cursor.at_end()
    {
        head.inner = Some(inner);
        return;
    }
    head.refusal = Some(Refusal {
        rule: "dynamic-sql",
        reason: "runs code or a text that is not a constant",
        remedy: "send the statement itself",
    });
}
