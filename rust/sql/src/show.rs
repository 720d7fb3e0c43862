//! Which kinds SHOW and DESCRIBE may list (F17).
//!
//! Structure that the role sees anyway passes as class `show` or `describe`. Everything else
//! (users, grants, variables, secrets, stages, tasks with their bodies, policies, anything unlisted)
//! is `account-metadata`: denied unless a rule names it.

use crate::class::Class;
use crate::classify::{Head, Refusal};
use crate::cursor::Cursor;
use crate::kinds::take_kind;

pub(crate) const SHOWN: [&str; 25] = [
    "BUILTIN FUNCTIONS",
    "COLUMNS",
    "DATABASES",
    "DATABASE ROLES",
    "DYNAMIC TABLES",
    "EXPORTED KEYS",
    "FILE FORMATS",
    "FUNCTIONS",
    "IMPORTED KEYS",
    "MATERIALIZED VIEWS",
    "OBJECTS",
    "PARAMETERS",
    "PRIMARY KEYS",
    "PROCEDURES",
    "ROLES",
    "SCHEMAS",
    "SEQUENCES",
    "STREAMS",
    "TABLES",
    "TRANSIENT TABLES",
    "UNIQUE KEYS",
    "USER FUNCTIONS",
    "USER PROCEDURES",
    "VIEWS",
    "WAREHOUSES",
];

pub(crate) const DESCRIBED: [&str; 13] = [
    "DATABASE",
    "DYNAMIC TABLE",
    "FILE FORMAT",
    "FUNCTION",
    "HYBRID TABLE",
    "MATERIALIZED VIEW",
    "PROCEDURE",
    "SCHEMA",
    "SEQUENCE",
    "STREAM",
    "TABLE",
    "VIEW",
    "WAREHOUSE",
];

/// What SHOW lists beside that. Each is `account-metadata`, and a rule can name it.
pub(crate) const OTHERS: [&str; 78] = [
    "ACCOUNTS",
    "AGENTS",
    "AGGREGATION POLICIES",
    "ALERTS",
    "API INTEGRATIONS",
    "APPLICATION PACKAGES",
    "APPLICATION ROLES",
    "APPLICATIONS",
    "AUTHENTICATION POLICIES",
    "AVAILABLE LISTINGS",
    "BACKUP POLICIES",
    "BACKUP SETS",
    "CALLER GRANTS",
    "CATALOG INTEGRATIONS",
    "CHANNELS",
    "CLASSES",
    "COMPUTE POOLS",
    "CONNECTIONS",
    "CONTACTS",
    "CORTEX SEARCH SERVICES",
    "DATA METRIC FUNCTIONS",
    "DATASETS",
    "DBT PROJECTS",
    "DELEGATED AUTHORIZATIONS",
    "EVENT TABLES",
    "EXTERNAL ACCESS INTEGRATIONS",
    "EXTERNAL FUNCTIONS",
    "EXTERNAL TABLES",
    "EXTERNAL VOLUMES",
    "FAILOVER GROUPS",
    "FUTURE GRANTS",
    "GIT REPOSITORIES",
    "GLOBAL ACCOUNTS",
    "GRANTS",
    "HYBRID TABLES",
    "ICEBERG TABLES",
    "IMAGE REPOSITORIES",
    "INDEXES",
    "INTEGRATIONS",
    "JOIN POLICIES",
    "LISTINGS",
    "LOCKS",
    "MANAGED ACCOUNTS",
    "MASKING POLICIES",
    "MODELS",
    "NETWORK POLICIES",
    "NETWORK RULES",
    "NOTEBOOKS",
    "NOTIFICATION INTEGRATIONS",
    "ORGANIZATION ACCOUNTS",
    "PACKAGES POLICIES",
    "PASSWORD POLICIES",
    "PIPES",
    "PRIVACY POLICIES",
    "PROJECTION POLICIES",
    "REGIONS",
    "REPLICATION ACCOUNTS",
    "REPLICATION DATABASES",
    "REPLICATION GROUPS",
    "RESOURCE MONITORS",
    "ROW ACCESS POLICIES",
    "SECRETS",
    "SECURITY INTEGRATIONS",
    "SEMANTIC VIEWS",
    "SERVICES",
    "SESSION POLICIES",
    "SESSIONS",
    "SHARES",
    "STAGES",
    "STORAGE INTEGRATIONS",
    "STREAMLITS",
    "TAGS",
    "TASKS",
    "TRANSACTIONS",
    "USERS",
    "VARIABLES",
    "VERSIONS",
    "WORKSPACES",
];

pub(crate) fn show(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    cursor.eat("TERSE");
    if let Some(kind) = SHOWN.iter().find(|kind| cursor.eat(kind)) {
        head.class = Class::Show;
        (*kind).clone_into(&mut head.object_kind);
        return;
    }
    let kind = OTHERS.into_iter().find(|kind| cursor.eat(kind));
    metadata(head, kind);
}

pub(crate) fn describe(head: &mut Head, mut cursor: Cursor<'_, '_>) {
    if cursor.eat("RESULT") {
        head.class = Class::Describe;
        "RESULT".clone_into(&mut head.object_kind);
        head.refusal = Some(Refusal {
            rule: "result-by-id",
            reason: "describes a result by its query id, whose owner is not known",
            remedy: "describe the statement itself",
        });
        return;
    }
    if let Some(kind) = DESCRIBED.iter().find(|kind| cursor.eat(kind)) {
        head.class = Class::Describe;
        (*kind).clone_into(&mut head.object_kind);
        head.target = cursor.name().unwrap_or_default();
        head.target_end = cursor.taken_to();
        return;
    }
    let kind = take_kind(&mut cursor).map(|kind| kind.name);
    metadata(head, kind);
}

/// A kind that no table lists stays empty: it could be any that a rule names.
fn metadata(head: &mut Head, kind: Option<&str>) {
    head.class = Class::AccountMetadata;
    kind.unwrap_or_default().clone_into(&mut head.object_kind);
}
