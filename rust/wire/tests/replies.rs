//! What upstream says, and what of it a driver receives.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use snowgate_wire::{
    ClientChunk, InlineRows, LoginAnswer, LoginReply, QueryReply, QueryStatus, Render, RenderRows,
    ResultFormat, ResultHead, Secret, TokenAnswer, WireError, token_reply,
};

const ID: &str = "01b2c3d4-0000-4000-8000-00000000abcd";
const OURS: &str = "11111111-2222-4333-8444-555555555555";

fn column(name: &str, kind: &str) -> Value {
    json!({"name": name, "database": "CRM", "schema": "PUBLIC", "table": "T", "type": kind,
           "scale": 0, "precision": 38, "length": null, "byteLength": null, "nullable": false,
           "collation": null})
}

fn result() -> Value {
    json!({"data": {
        "parameters": [{"name": "TIMEZONE", "value": "UTC"}, {"name": "AUTOCOMMIT", "value": true},
                       {"name": "CLIENT_PREFETCH_THREADS", "value": 4},
                       {"name": "QUERY_TAG", "value": "gate"},
                       {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 65280}],
        "rowtype": [column("ID", "fixed"), column("EMAIL", "text")],
        "rowset": [["1", "a@x"], ["2", null]], "total": 2, "returned": 2, "queryId": ID,
        "databaseProvider": null, "finalDatabaseName": "CRM", "finalSchemaName": "PUBLIC",
        "finalWarehouseName": "WH", "finalRoleName": "R", "numberOfBinds": 0,
        "arrayBindSupported": false, "statementTypeId": 4096, "version": 1,
        "sendResultTime": 1_700_000_000_000_i64, "queryResultFormat": "json",
        "queryContext": {"entries": [{"id": 0, "timestamp": 1, "priority": 0, "context": "QQ=="}]},
        "stats": {"numRowsInserted": 3, "note": "CANARY"},
    }, "code": null, "message": null, "success": true})
}

fn head(body: &Value) -> Box<ResultHead> {
    match QueryReply::parse(body.to_string().as_bytes()).unwrap() {
        QueryReply::Done(head) => head,
        other => panic!("no result: {other:?}"),
    }
}

fn refusal(data_key: &str, value: Value) -> WireError {
    let mut body = result();
    body["data"][data_key] = value;
    QueryReply::parse(body.to_string().as_bytes()).unwrap_err()
}

fn render(head: &ResultHead, rows: RenderRows<'_>) -> Value {
    let with = Render { query_id: OURS, rows, chunks: &[], chunk_headers: &[], masked: &[] };
    serde_json::from_slice(&head.render(&with)).unwrap()
}

#[test]
fn test_a_result_is_read() {
    let head = head(&result());

    assert_eq!(head.query_id.as_deref(), Some(ID));
    assert_eq!(head.columns[1].name, "EMAIL");
    assert_eq!(head.columns[1].table.as_deref(), Some("T"));
    assert_eq!(head.final_role.as_deref(), Some("R"));
    assert_eq!(head.total, Some(2));
    assert_eq!(head.format, ResultFormat::Json);
    let InlineRows::Json(rows) = &head.rows else { panic!("no rows") };
    assert_eq!(rows.get(), r#"[["1","a@x"],["2",null]]"#);
    assert!(!format!("{head:?}").contains("a@x"));
}

#[test]
fn test_masked_rows_take_the_place_of_the_rows() {
    let head = head(&result());
    let with = Render {
        query_id: OURS,
        rows: RenderRows::Json(br#"[["1","***"],["2","***"]]"#),
        chunks: &[],
        chunk_headers: &[],
        masked: &[false, true],
    };

    let text = String::from_utf8(head.render(&with)).unwrap();
    let reply: Value = serde_json::from_str(&text).unwrap();

    assert!(!text.contains("a@x") && !text.contains(ID) && !text.contains("CANARY"));
    assert_eq!(reply["data"]["rowset"], json!([["1", "***"], ["2", "***"]]));
    assert_eq!(reply["data"]["rowtype"][0]["nullable"], false);
    assert_eq!(reply["data"]["rowtype"][1]["nullable"], true);
    assert_eq!(reply["data"]["queryId"], OURS);
    assert_eq!(reply["data"]["stats"], json!({"numRowsInserted": 3}));
    assert_eq!(reply["success"], true);
    assert_eq!(reply["code"], Value::Null);
}

#[test]
fn test_a_driver_binds_inline_and_sends_no_telemetry() {
    let reply = render(&head(&result()), RenderRows::Keep);

    let parameters = reply["data"]["parameters"].as_array().unwrap();
    let values = |name: &str| -> Vec<&Value> {
        parameters.iter().filter(|p| p["name"] == name).map(|p| &p["value"]).collect()
    };
    assert_eq!(values("CLIENT_STAGE_ARRAY_BINDING_THRESHOLD"), [&json!(0)]);
    assert_eq!(values("CLIENT_TELEMETRY_ENABLED"), [&json!(false)]);
    assert_eq!(values("CLIENT_PREFETCH_THREADS"), [&json!(4)]);
    assert!(values("QUERY_TAG").is_empty());
}

#[test]
fn test_storage_credentials_stay_behind() {
    let mut body = result();
    body["data"]["chunks"] = json!([{"url": "https://s3/x?X-Amz-Signature=CANARY", "rowCount": 5,
                                     "uncompressedSize": 100, "compressedSize": 50}]);
    body["data"]["qrmk"] = json!("CANARYKEY");
    let head = head(&body);

    let names: Vec<&str> = head.chunk_headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "x-amz-server-side-encryption-customer-algorithm",
            "x-amz-server-side-encryption-customer-key"
        ]
    );
    assert_eq!(head.chunk_headers[1].1.expose(), "CANARYKEY");
    assert_eq!(head.chunks[0].url.expose(), "https://s3/x?X-Amz-Signature=CANARY");
    assert!(!format!("{head:?}").contains("CANARY"));

    let ours = ClientChunk {
        url: "https://gw/snowgate/chunk/1".to_owned(),
        row_count: 5,
        uncompressed_size: 90,
        compressed_size: 90,
    };
    let text = head.render(&Render {
        query_id: OURS,
        rows: RenderRows::Empty,
        chunks: &[ours],
        chunk_headers: &[("x-snowgate-encryption-key", "s")],
        masked: &[],
    });
    let reply: Value = serde_json::from_slice(&text).unwrap();
    assert!(!String::from_utf8(text).unwrap().contains("CANARY"));
    assert_eq!(reply["data"]["chunks"][0]["url"], "https://gw/snowgate/chunk/1");
    assert_eq!(reply["data"]["chunkHeaders"], json!({"x-snowgate-encryption-key": "s"}));
    assert_eq!(reply["data"]["rowset"], json!([]));
}

#[test]
fn test_named_chunk_headers_win_over_the_key() {
    let mut body = result();
    body["data"]["chunks"] = json!([{"url": "https://s3/x", "rowCount": 5}]);
    body["data"]["qrmk"] = json!("k");
    body["data"]["chunkHeaders"] = json!({"x-amz-server-side-encryption-customer-key": "other"});

    assert_eq!(head(&body).chunk_headers.len(), 1);
}

#[test]
fn test_arrow_rows_are_decoded_and_encoded() {
    let mut body = result();
    body["data"]["rowset"] = Value::Null;
    body["data"]["rowsetBase64"] = json!("/////w==");
    body["data"]["queryResultFormat"] = json!("arrow");
    let head = head(&body);

    assert_eq!(head.rows.arrow().unwrap().unwrap(), [255; 4]);
    assert_eq!(render(&head, RenderRows::Keep)["data"]["rowsetBase64"], "/////w==");
    let masked = render(&head, RenderRows::Arrow(&[0; 3]));
    assert_eq!(masked["data"]["rowsetBase64"], "AAAA");
    assert_eq!(masked["data"]["queryResultFormat"], "arrow");
    assert_eq!(render(&head, RenderRows::Empty)["data"]["rowsetBase64"], "");
}

#[test]
fn test_rows_in_another_format_than_named_are_refused() {
    let unexpected = WireError::Unexpected { key: "rowset" };

    assert_eq!(refusal("rowsetBase64", json!("AAAA")), unexpected);
    assert_eq!(refusal("queryResultFormat", json!("arrow")), unexpected);
    assert_eq!(refusal("rowset", json!("text")), unexpected);
    assert!(matches!(
        refusal("queryResultFormat", json!("parquet")),
        WireError::Unexpected { key: "queryResultFormat" }
    ));
}

#[test]
fn test_file_transfers_and_several_statements_do_not_pass() {
    for (key, value) in [
        ("command", json!("UPLOAD")),
        ("stageInfo", json!({"creds": {"AWS_KEY_ID": "CANARY"}})),
        ("presignedUrls", json!(["https://s3"])),
        ("src_locations", json!(["/etc/passwd"])),
        ("encryptionMaterial", json!({"queryStageMasterKey": "CANARY"})),
    ] {
        assert_eq!(refusal(key, value), WireError::FileTransfer, "{key}");
    }
    assert_eq!(refusal("resultIds", json!("a,b")), WireError::MultiStatement);
    assert_eq!(refusal("statementTypeId", json!(0xA000)), WireError::MultiStatement);
}

#[test]
fn test_data_under_an_unknown_key_is_an_error_and_labels_are_dropped() {
    for value in [json!([["1"]]), json!({"a": "b"}), json!("x".repeat(300))] {
        assert_eq!(
            refusal("rowsetV2", value),
            WireError::UnknownData { key: "rowsetV2".to_owned() }
        );
    }
    for value in [json!(1), json!(true), json!([]), json!({}), json!("CANARY"), Value::Null] {
        let mut body = result();
        body["data"]["newLabel"] = value;
        let text = render(&head(&body), RenderRows::Keep).to_string();
        assert!(!text.contains("newLabel") && !text.contains("CANARY"));
    }
}

#[test]
fn test_an_envelope_of_other_types_is_refused() {
    for (key, value) in [("code", json!(333_333)), ("success", json!("true")), ("data", json!([]))]
    {
        let mut body = result();
        body[key] = value;
        assert!(QueryReply::parse(body.to_string().as_bytes()).is_err(), "{key}");
    }
    let twice = r#"{"data":null,"success":false,"success":true,"code":null}"#;
    assert_eq!(QueryReply::parse(twice.as_bytes()).unwrap_err(), WireError::DuplicateKey);
}

#[test]
fn test_a_running_statement_needs_an_id_that_is_a_uuid() {
    let running = |data: Value| {
        let body = json!({"data": data, "code": "333334", "message": "m", "success": false});
        QueryReply::parse(body.to_string().as_bytes())
    };

    for data in [json!({"queryId": ID}), json!({"getResultUrl": format!("/queries/{ID}/result")})] {
        let QueryReply::InProgress(reply) = running(data).unwrap() else { panic!("not running") };
        assert_eq!((reply.query_id.as_str(), reply.detached), (ID, true));
    }
    assert!(running(json!({"queryId": "../../session"})).is_err());
    assert!(running(json!({"getResultUrl": "https://evil/result"})).is_err());
}

#[test]
fn test_structured_columns_keep_their_parts() {
    let mut body = result();
    body["data"]["rowtype"] = json!([{
        "name": "O", "type": "object", "nullable": true, "extTypeName": "X", "secret": "CANARY",
        "fields": [{"name": "a", "type": "array", "nullable": false, "length": 0, "byteLength": 0,
                    "scale": 0, "precision": 0, "note": "CANARY",
                    "fields": [{"type": "text", "nullable": true}]}],
    }]);

    let reply = render(&head(&body), RenderRows::Keep);

    let column = &reply["data"]["rowtype"][0];
    assert_eq!(column["extTypeName"], "X");
    assert_eq!(column["fields"][0]["fields"][0]["type"], "text");
    assert!(!reply.to_string().contains("CANARY"));
}

fn login_reply() -> Value {
    json!({"data": {"token": "UPTOKEN", "masterToken": "UPMASTER", "validityInSeconds": 3600,
        "masterValidityInSeconds": 14400, "sessionId": 42, "displayUserName": "SVC",
        "serverVersion": "9.1", "idToken": "UPID", "mfaToken": "UPMFA", "remMeToken": "UPREM",
        "parameters": [{"name": "TIMEZONE", "value": "UTC"}, {"name": "WEEK_START", "value": 1},
                       {"name": "SHAPE", "value": {"nested": "CANARY"}}],
        "sessionInfo": {"databaseName": "CRM", "schemaName": null, "warehouseName": "WH",
                        "roleName": "R"}},
        "code": null, "message": null, "success": true})
}

#[test]
fn test_a_login_reply_has_our_tokens_and_none_of_upstreams() {
    let body = login_reply().to_string();
    let LoginAnswer::Open(login) = LoginAnswer::parse(body.as_bytes()).unwrap() else {
        panic!("refused")
    };
    let (token, master) = (Secret::new("sg_t"), Secret::new("sg_m"));
    let text = LoginReply {
        token: &token,
        master_token: &master,
        validity_s: 3600,
        master_validity_s: 14_400,
        session_id: 7,
        display_name: "etl",
        server_version: login.server_version.as_deref(),
        parameters: &login.parameters,
        database: login.database.as_deref(),
        schema: login.schema.as_deref(),
        warehouse: login.warehouse.as_deref(),
        role: login.role.as_deref(),
    }
    .render();
    let reply: Value = serde_json::from_slice(&text).unwrap();
    let text = String::from_utf8(text).unwrap();

    assert_eq!(login.token.expose(), "UPTOKEN");
    for secret in ["UPTOKEN", "UPMASTER", "UPID", "UPMFA", "UPREM", "CANARY"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let data = &reply["data"];
    assert_eq!((&data["token"], &data["masterToken"]), (&json!("sg_t"), &json!("sg_m")));
    assert_eq!(data["sessionId"], 7);
    assert_eq!(data["healthCheckInterval"], 45);
    assert_eq!(data["sessionInfo"]["schemaName"], Value::Null);
    let value = |name: &str| {
        let parameters = data["parameters"].as_array().unwrap();
        parameters.iter().find(|p| p["name"] == name).map(|p| p["value"].clone())
    };
    assert_eq!(value("WEEK_START"), Some(json!(1)));
    assert_eq!(value("CLIENT_RESULT_CHUNK_SIZE"), Some(json!(160)));
    assert_eq!(value("CLIENT_PREFETCH_THREADS"), Some(json!(4)));
    assert_eq!(value("CLIENT_MEMORY_LIMIT"), Some(json!(1536)));
    assert_eq!(value("CLIENT_STAGE_ARRAY_BINDING_THRESHOLD"), Some(json!(0)));
}

#[test]
fn test_a_refused_login_keeps_code_and_message() {
    let body = json!({"data": {"nextAction": "RETRY_LOGIN"}, "code": "390144",
                      "message": "JWT token is invalid", "success": false});

    let LoginAnswer::Refused(failure) = LoginAnswer::parse(body.to_string().as_bytes()).unwrap()
    else {
        panic!("open")
    };

    assert_eq!(failure.code, "390144");
    assert_eq!(failure.message, "JWT token is invalid");
}

#[test]
fn test_a_renewal_reads_back_as_it_was_written() {
    let body = token_reply(&Secret::new("t"), &Secret::new("m"), 10, 20, 7);

    let TokenAnswer::Renewed(tokens) = TokenAnswer::parse(&body).unwrap() else {
        panic!("refused")
    };

    assert_eq!(tokens.token.expose(), "t");
    assert_eq!(tokens.master_token.unwrap().expose(), "m");
    assert_eq!((tokens.validity_s, tokens.master_validity_s), (10, Some(20)));
}

#[test]
fn test_the_state_of_a_statement_comes_without_its_text() {
    let body = json!({"data": {"queries": [{"id": ID, "status": "FAILED_WITH_ERROR",
        "errorCode": 1003, "errorMessage": "CANARY", "sqlText": "CANARY", "startTime": 1,
        "endTime": 2, "warehouseName": "CANARY"}]}, "code": null, "message": null, "success": true});

    let status = QueryStatus::parse(body.to_string().as_bytes()).unwrap().unwrap().unwrap();
    let text = String::from_utf8(status.render()).unwrap();

    assert!(!text.contains("CANARY"));
    assert_eq!(status.error_code.as_deref(), Some("1003"));
    assert_eq!(QueryStatus::parse(text.as_bytes()).unwrap().unwrap().unwrap(), status);
}

fn cell() -> impl Strategy<Value = Option<String>> {
    prop::option::of(any::<String>())
}

proptest! {
    #[test]
    fn test_any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = QueryReply::parse(&bytes);
        let _ = LoginAnswer::parse(&bytes);
        let _ = TokenAnswer::parse(&bytes);
        let _ = QueryStatus::parse(&bytes);
    }

    #[test]
    fn test_damaged_replies_are_read_or_refused(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = result().to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = QueryReply::parse(&bytes);
    }

    #[test]
    fn test_what_is_rendered_reads_back_the_same(
        names in prop::collection::vec(any::<String>(), 1..4),
        cells in prop::collection::vec(cell(), 0..8),
        total: i64,
        role: Option<String>,
    ) {
        let mut body = result();
        body["data"]["rowtype"] = names.iter().map(|name| column(name, "text")).collect();
        body["data"]["rowset"] = cells.iter().map(|cell| json!([cell])).collect();
        body["data"]["total"] = json!(total);
        body["data"]["finalRoleName"] = json!(role);
        let first = render(&head(&body), RenderRows::Keep);
        prop_assert_eq!(&first["data"]["rowset"], &body["data"]["rowset"]);
        prop_assert_eq!(&first["data"]["rowtype"], &body["data"]["rowtype"]);
        prop_assert_eq!(render(&head(&first), RenderRows::Keep), first);
    }

    #[test]
    fn test_a_canary_under_an_unknown_key_never_reaches_a_driver(
        key in "z[a-z]{0,8}",
        text in "CANARY[a-z]{0,400}",
        nested: bool,
        place in 0..8_usize,
    ) {
        let mut body = result();
        body["data"]["chunks"] = json!([{"url": "https://s3/x", "rowCount": 5}]);
        let at = match place {
            0 => &mut body,
            1 => &mut body["data"],
            2 => &mut body["data"]["rowtype"][0],
            3 => &mut body["data"]["parameters"][0],
            4 => &mut body["data"]["stats"],
            5 => &mut body["data"]["queryContext"],
            6 => &mut body["data"]["queryContext"]["entries"][0],
            _ => &mut body["data"]["chunks"][0],
        };
        at[key] = if nested { json!([{"deep": text}]) } else { json!(text) };
        match QueryReply::parse(body.to_string().as_bytes()) {
            Ok(QueryReply::Done(head)) => {
                let text = render(&head, RenderRows::Keep).to_string();
                prop_assert!(!text.contains("CANARY"));
            }
            Ok(other) => prop_assert!(false, "{other:?}"),
            Err(error) => prop_assert!(!error.to_string().contains("CANARY")),
        }
    }
}
