//! The life of a statement: recorded first, run once, answered.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    plane,
    rig::{Rig, entries},
    snowflake::{Act, failed, id, rows, running},
};

#[test]
fn a_statement_runs_and_leaves_intent_and_outcome() {
    let rig = Rig::new();
    let client = rig.login("job");
    rig.snowflake.on("select 1", Act::Json(rows(7, &["1"], &json!([["1"]]))));

    let answer = rig.block(client.query("select 1"));

    assert!(answer.success(), "{}", answer.message());
    assert_eq!(answer.json["data"]["rowset"], json!([["1"]]));
    assert_ne!(answer.query_id(), id(7), "the client sees our id");
    let intents = rig.intents();
    assert_eq!(intents.len(), 1);
    let intent = &intents[0];
    assert_eq!(intent["principal"], "job");
    assert_eq!(intent["identity"]["issuer"], "https://issuer");
    assert_eq!(rig.text(intent, "sql"), "select 1");
    let outcome = rig.outcome(intent);
    assert_eq!(outcome["status"], "ok");
    assert_eq!(outcome["upstream_query_id"], json!(id(7)));
    assert_eq!(outcome["query_id"], json!(answer.query_id()));
}
