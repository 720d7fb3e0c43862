//! Connections and logins to Snowflake.
