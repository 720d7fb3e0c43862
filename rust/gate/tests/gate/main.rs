//! The gate as clients see it, between a small Snowflake and a small control plane.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod budgets;
mod chunks;
mod connections;
mod framing;
mod holds;
mod http;
mod logins;
mod own;
mod plane;
mod restarts;
mod results;
mod rig;
mod snowflake;
mod statements;
mod templates;
