//! Snowflake client messages, parsed and rebuilt from allow-lists.
