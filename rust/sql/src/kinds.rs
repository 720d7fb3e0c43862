//! The kinds of objects that DDL names, and the class each belongs to.
//!
//! A kind that is not here is refused. Source of the list: the `CREATE`, `ALTER` and `DROP` pages of
//! <https://docs.snowflake.com/en/sql-reference/sql-all>; of the classes: attacks F16 and F18.

use crate::class::Class;
use crate::cursor::Cursor;
use crate::{session, show};

/// Which family a kind of object belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    /// Data and its structure: the class follows the verb.
    Data,
    /// Holds code that runs later: judged by its body.
    Code,
    /// Always of this class, whatever the verb.
    Always(Class),
}

use Family::{Always, Code, Data};

const CREDENTIAL: Family = Always(Class::Credential);
const INTEGRATION: Family = Always(Class::Integration);
const SHARE: Family = Always(Class::Share);
const STAGE: Family = Always(Class::Stage);

/// Kinds by their words. The longest that fits is taken.
const KINDS: &[(&str, Family)] = &[
    ("AGGREGATION POLICY", Data),
    ("BACKUP POLICY", Data),
    ("BACKUP SET", Data),
    ("COLUMN", Data),
    ("CONSTRAINT", Data),
    ("CONTACT", Data),
    ("DATABASE", Data),
    ("DATABASE ROLE", Data),
    ("DATASET", Data),
    ("DYNAMIC TABLE", Data),
    ("EVENT TABLE", Data),
    ("FILE FORMAT", Data),
    ("HYBRID TABLE", Data),
    ("INDEX", Data),
    ("INTERACTIVE TABLE", Data),
    ("JOIN POLICY", Data),
    ("MASKING POLICY", Data),
    ("MATERIALIZED VIEW", Data),
    ("PRIVACY POLICY", Data),
    ("PROJECTION POLICY", Data),
    ("RESOURCE MONITOR", Data),
    ("ROLE", Data),
    ("ROW ACCESS POLICY", Data),
    ("SCHEMA", Data),
    ("SEMANTIC VIEW", Data),
    ("SEQUENCE", Data),
    ("SNAPSHOT POLICY", Data),
    ("SNAPSHOT SET", Data),
    ("STORAGE LIFECYCLE POLICY", Data),
    ("STREAM", Data),
    ("TABLE", Data),
    ("TAG", Data),
    ("VIEW", Data),
    ("WAREHOUSE", Data),
    ("AGENT", Code),
    ("AGGREGATE FUNCTION", Code),
    ("ALERT", Code),
    ("APPLICATION", Code),
    ("APPLICATION PACKAGE", Code),
    ("COMPUTE POOL", Code),
    ("CORTEX SEARCH SERVICE", Code),
    ("DATA METRIC FUNCTION", Code),
    ("DBT PROJECT", Code),
    ("EXTERNAL FUNCTION", Code),
    ("FUNCTION", Code),
    ("GATEWAY", Code),
    ("IMAGE REPOSITORY", Code),
    ("JOB SERVICE", Code),
    ("MCP SERVER", Code),
    ("MODEL", Code),
    ("NOTEBOOK", Code),
    ("NOTEBOOK PROJECT", Code),
    ("PACKAGES POLICY", Code),
    ("PIPE", Code),
    ("PROCEDURE", Code),
    ("SERVICE", Code),
    ("STREAMLIT", Code),
    ("TABLE FUNCTION", Code),
    ("TASK", Code),
    ("WORKSPACE", Code),
    ("ACCOUNT", CREDENTIAL),
    ("AUTHENTICATION POLICY", CREDENTIAL),
    ("NETWORK POLICY", CREDENTIAL),
    ("NETWORK RULE", CREDENTIAL),
    ("ORGANIZATION ACCOUNT", CREDENTIAL),
    ("ORGANIZATION USER", CREDENTIAL),
    ("ORGANIZATION USER GROUP", CREDENTIAL),
    ("PASSWORD POLICY", CREDENTIAL),
    ("SECRET", CREDENTIAL),
    ("SECURITY INTEGRATION", CREDENTIAL),
    ("SESSION POLICY", CREDENTIAL),
    ("USER", CREDENTIAL),
    ("API INTEGRATION", INTEGRATION),
    ("CATALOG INTEGRATION", INTEGRATION),
    ("EXTERNAL ACCESS INTEGRATION", INTEGRATION),
    ("EXTERNAL AGENT", INTEGRATION),
    ("EXTERNAL TABLE", INTEGRATION),
    ("EXTERNAL VOLUME", INTEGRATION),
    ("GIT REPOSITORY", INTEGRATION),
    ("ICEBERG TABLE", INTEGRATION),
    ("DYNAMIC ICEBERG TABLE", INTEGRATION),
    ("INTEGRATION", INTEGRATION),
    ("NOTIFICATION INTEGRATION", INTEGRATION),
    ("STORAGE INTEGRATION", INTEGRATION),
    ("CONNECTION", SHARE),
    ("DATA EXCHANGE", SHARE),
    ("EXTERNAL LISTING", SHARE),
    ("FAILOVER GROUP", SHARE),
    ("LISTING", SHARE),
    ("MANAGED ACCOUNT", SHARE),
    ("ORGANIZATION LISTING", SHARE),
    ("ORGANIZATION PROFILE", SHARE),
    ("REPLICATION GROUP", SHARE),
    ("SHARE", SHARE),
    ("STAGE", STAGE),
];

/// The kinds that DDL names.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

/// What `Head::object_kind` can be, sorted. It is empty where a head names no kind, and for SHOW and
/// DESCRIBE of a kind that is not listed.
pub fn object_kinds() -> Vec<&'static str> {
    let mut kinds: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    kinds.extend(show::SHOWN.iter().chain(&show::OTHERS).chain(&show::DESCRIBED));
    kinds.extend(&session::KINDS);
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Words between a verb and a kind that do not change the kind.
const MODIFIERS: [&str; 9] = [
    "OR REPLACE",
    "OR ALTER",
    "LOCAL",
    "GLOBAL",
    "TRANSIENT",
    "SECURE",
    "RECURSIVE",
    "READ ONLY",
    "VERSIONED",
];
const TEMPORARY: [&str; 3] = ["TEMP", "TEMPORARY", "VOLATILE"];

/// What stands between a verb and a name.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) replace: bool,
    pub(crate) temporary: bool,
}

/// Take modifiers and an object kind; `None` when the kind is not in the table.
pub(crate) fn take_kind(cursor: &mut Cursor<'_, '_>) -> Option<Kind> {
    let (mut replace, mut temporary) = (false, false);
    loop {
        if TEMPORARY.iter().any(|word| cursor.eat(word)) {
            temporary = true;
        } else if let Some(found) = MODIFIERS.iter().find(|words| cursor.eat(words)) {
            replace |= *found == "OR REPLACE";
        } else {
            break;
        }
    }
    let (name, family, after) = KINDS
        .iter()
        .filter_map(|(name, family)| {
            let mut ahead = *cursor;
            ahead.eat(name).then_some((*name, *family, ahead))
        })
        .max_by_key(|(name, ..)| name.len())?;
    *cursor = after;
    Some(Kind { name, family, replace, temporary })
}
