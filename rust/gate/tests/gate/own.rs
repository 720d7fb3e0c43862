//! The gateway's own statements, and whose user they run as.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    rig::Rig,
    snowflake::{Act, Seen, rows},
};

/// Who logged in upstream, by the name and by the key's token.
fn users(rig: &Rig) -> Vec<(String, String)> {
    let logins = rig.snowflake.seen("/session/v1/login-request");
    let of = |login: &Seen| {
        let data = &login.body["data"];
        let claims = data["TOKEN"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&data["LOGIN_NAME"]), text(&claims["sub"]))
    };
    logins.iter().map(of).collect()
}

#[test]
fn f24_the_gateways_own_statements_run_as_a_user_of_their_own() {
    let rig = Rig::new();
    let client = rig.login("job");
    assert!(rig.block(client.query("select 1")).success());
    let clients = ("SVC_GATEWAY".to_owned(), "XY12345.SVC_GATEWAY".to_owned());
    assert_eq!(users(&rig), [clients]);

    for call in 1..=2 {
        rig.gate().query(call, br#"{"sql":"SHOW TABLES","purpose":"catalog"}"#);
    }
    rig.wait_until(|| rig.plane.asked("done").len() == 2);

    let own = ("SVC_OWN".to_owned(), "XY12345.SVC_OWN".to_owned());
    assert_eq!(users(&rig)[1..], [own], "one session for all of them");
}

#[test]
fn what_the_clients_user_may_is_asked_as_that_user_without_a_role_of_theirs() {
    let rig = Rig::new();
    let public = json!([["PUBLIC", "{\"roles\":\"\",\"value\":\"\"}"]]);
    let pinned = rows(9, &["CURRENT_ROLE()", "CURRENT_SECONDARY_ROLES()"], &public);
    rig.snowflake.on(snowgate_upstream::PIN_STATEMENTS[1], Act::Json(pinned));

    rig.gate().query(1, br#"{"sql":"SELECT 1","purpose":"roles","as_clients":true}"#);
    rig.wait_until(|| rig.plane.asked("done").len() == 1);

    assert_eq!(rig.plane.asked("done")[0]["ok"]["rows"], json!([["done"]]));
    assert_eq!(users(&rig)[0].0, "SVC_GATEWAY");
    let login = &rig.snowflake.seen("/session/v1/login-request")[0];
    assert!(login.query.contains("roleName=PUBLIC"), "{}", login.query);
    rig.wait_until(|| {
        rig.snowflake.seen("/session").iter().any(|it| it.query.contains("delete=true"))
    });
    let intent = rig.entries("intent").into_iter().find(|entry| entry["purpose"] == "roles");
    let intent = intent.unwrap();
    assert_eq!((&intent["class"], &intent["role"]), (&json!("gateway"), &json!("PUBLIC")));
}
