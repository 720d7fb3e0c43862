//! A session as the control plane stores it over restarts.

use serde::{Deserialize, Serialize};
use snowgate_session::Principal;

/// One row. The token hashes and the sealed upstream session are useless without the clients'
/// tokens and the gateway's store key; the control plane keeps the whole row under a MAC (F7).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SessionRow {
    /// Public id of the session.
    pub id: String,
    /// SHA-256, hex, of the session token.
    pub token_hash: String,
    /// SHA-256, hex, of the master token.
    pub master_hash: String,
    /// The upstream session, encrypted, base64.
    pub sealed: String,
    /// Who logged in.
    pub principal: Principal,
    /// Groups of the principal.
    pub groups: Vec<String>,
    /// Role the session is pinned to.
    pub role: String,
    /// Current warehouse, where one was given.
    #[serde(default)]
    pub warehouse: Option<String>,
    /// Current database; empty if none.
    #[serde(default)]
    pub database: String,
    /// Current schema; empty if none.
    #[serde(default)]
    pub schema: String,
    /// Digest of everything policy may read of the identity (F4).
    pub input: String,
    /// Unix time of the login.
    pub opened_at_s: f64,
    /// Unix time at which the session ends whatever happens.
    pub expires_at_s: f64,
    /// Unix time at which the current session token must have been renewed.
    #[serde(default)]
    pub token_expires_at_s: f64,
    /// Driver, as it names itself.
    pub client_app: String,
    /// Its version.
    pub client_version: String,
    /// Address the login came from.
    pub source: String,
    /// `QUERY_TAG` the client set at login.
    #[serde(default)]
    pub client_tag: Option<String>,
    /// Statements so far that may have changed the session's state; part of the context an approval
    /// is bound to.
    #[serde(default)]
    pub state: u64,
    /// Those of them that may have changed how names resolve.
    #[serde(default)]
    pub overlay: u64,
    /// The current database and schema are not known and must be asked for.
    #[serde(default)]
    pub unknown: bool,
}
