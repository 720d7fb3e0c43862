//! Lexer and classifier of Snowflake SQL: one lexer, one truth.
//!
//! ```text
//!   text ──► lex ──► tokens ──► classify ──► one Head per statement: class, verb, kind, target
//!             └─ LexError   │         └─ Refusal: it can never be forwarded
//!                           └► template ──► the statement without its constants
//! ```
//!
//! The gate uses it for denials that need no policy; Python uses it, through `_core`, for every
//! statement. Nothing here understands expressions: what a query reads is found by the analysis in
//! `python/snowgate/sql`, which takes the class from here and never from a parser.
//!
//! # Rules
//!
//! - Bounds first: bytes, tokens, nesting and operators are counted while lexing, so that no later
//!   stage meets a text that is too large for it.
//! - Bytes on which two lexers could disagree (a bare carriage return, odd white space, nested
//!   comments, template braces, a number glued to a word) are errors, not guesses.
//! - A verb, an object kind or a form that is not in the tables is refused.
//! - The texts of all tokens, joined, are the input.
//!
//! # Sources
//!
//! - Lexical rules: <https://docs.snowflake.com/en/sql-reference/identifiers-syntax>,
//!   <https://docs.snowflake.com/en/sql-reference/data-types-text#string-constants>
//! - Statements: <https://docs.snowflake.com/en/sql-reference/sql-all>

mod calls;
mod class;
mod classify;
#[cfg(test)]
mod coverage_tests;
mod cursor;
mod ddl;
mod error;
mod kinds;
mod lex;
mod literal;
mod session;
mod show;
mod template;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;
mod token;

pub use calls::Call;
pub use class::Class;
pub use classify::{Classified, Head, Refusal, classify};
pub use error::LexError;
pub use kinds::object_kinds;
pub use lex::{Limits, lex};
pub use literal::unescape;
pub use session::query_tag;
pub use template::{Slot, Template, template};
pub use token::{Token, TokenKind};
