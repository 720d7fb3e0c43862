//! Lexer and classifier of Snowflake SQL.
