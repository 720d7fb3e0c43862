//! What a client sends, and what of it goes on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};
use snowgate_wire::{
    AbortRequest, Authenticator, LoginRequest, Parameters, QueryRequest, TokenRequest,
    TokenRequestKind, WireError,
};

fn login(data: &Value) -> LoginRequest {
    let body = json!({"data": data}).to_string();
    LoginRequest::parse(body.as_bytes(), "requestId=1&roleName=R&warehouse=&databaseName=D")
        .unwrap()
}

fn query(body: &Value) -> QueryRequest {
    QueryRequest::parse(body.to_string().as_bytes()).unwrap()
}

fn forwarded(request: &QueryRequest) -> Value {
    serde_json::from_slice(&request.upstream_body(&Parameters::new())).unwrap()
}

#[test]
fn test_each_kind_of_login_finds_its_proof() {
    use Authenticator as A;
    let cases = [
        (json!({"AUTHENTICATOR": "OAUTH", "TOKEN": "t"}), A::Oauth, Some("t")),
        (json!({"AUTHENTICATOR": "oauth", "PASSWORD": "t"}), A::Oauth, Some("t")),
        (json!({"TOKEN": "t"}), A::Oauth, Some("t")),
        (json!({"PASSWORD": "p"}), A::Password, Some("p")),
        (json!({"AUTHENTICATOR": "SNOWFLAKE", "PASSWORD": "p"}), A::Password, Some("p")),
        (json!({"PASSWORD": "p", "TOKEN": "mfa"}), A::Password, Some("p")),
        (
            json!({"AUTHENTICATOR": "PROGRAMMATIC_ACCESS_TOKEN", "TOKEN": "t"}),
            A::ProgrammaticAccessToken,
            Some("t"),
        ),
        (json!({"AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": "j"}), A::SnowflakeJwt, Some("j")),
        (
            json!({"AUTHENTICATOR": "WORKLOAD_IDENTITY", "TOKEN": "w"}),
            A::WorkloadIdentity,
            Some("w"),
        ),
        (json!({"RAW_SAML_RESPONSE": "s"}), A::Saml, Some("s")),
        (
            json!({"AUTHENTICATOR": "EXTERNALBROWSER", "TOKEN": "s"}),
            A::Other("externalbrowser".to_owned()),
            None,
        ),
        (
            json!({"AUTHENTICATOR": "https://x.okta.com", "PASSWORD": "s"}),
            A::Other("url".to_owned()),
            None,
        ),
        (json!({}), A::Password, None),
    ];

    for (data, authenticator, token) in cases {
        let request = login(&data);
        assert_eq!(request.authenticator, authenticator, "{data}");
        assert_eq!(request.token.as_ref().map(snowgate_wire::Secret::expose), token, "{data}");
    }
}

#[test]
fn test_a_login_says_who_and_where() {
    let request = login(&json!({
        "ACCOUNT_NAME": "CRMDEMO", "LOGIN_NAME": "u", "TOKEN": "hunter2",
        "CLIENT_APP_ID": "Go", "CLIENT_APP_VERSION": "2.1.0",
        "CLIENT_ENVIRONMENT": {"APPLICATION": "dbt", "OS": ["list"], "x": null},
    }));

    assert_eq!(request.account, "CRMDEMO");
    assert_eq!(request.login_name.as_deref(), Some("u"));
    assert_eq!(request.application.as_deref(), Some("dbt"));
    assert_eq!(request.role.as_deref(), Some("R"));
    assert_eq!(request.warehouse, None);
    assert_eq!(request.database.as_deref(), Some("D"));
    assert_eq!(request.request_id.as_deref(), Some("1"));
    assert!(!format!("{request:?}").contains("hunter2"));
}

#[test]
fn test_names_of_clients_that_are_too_long_to_keep_are_dropped() {
    let request = login(&json!({
        "TOKEN": "t", "CLIENT_APP_ID": "A".repeat(129), "CLIENT_APP_VERSION": "1".repeat(128),
    }));

    assert_eq!(request.client_app_id, None);
    assert_eq!(request.client_app_version.map(|version| version.len()), Some(128));
}

#[test]
fn test_session_parameters_are_screened() {
    let request = login(&json!({
        "TOKEN": "t",
        "SECONDARY_ROLES": "ALL",
        "SESSION_PARAMETERS": {
            "timezone": "UTC", "AUTOCOMMIT": false, "WEEK_START": 1, "QUERY_TAG": "mine",
            "JDBC_QUERY_RESULT_FORMAT": "ARROW", "GO_QUERY_RESULT_FORMAT": "XML",
            "SEARCH_PATH": "evil", "QUOTED_IDENTIFIERS_IGNORE_CASE": true,
            "MULTI_STATEMENT_COUNT": 0, "CLIENT_REQUEST_MFA_TOKEN": true,
            "GEOGRAPHY_OUTPUT_FORMAT": "WKB", "_SNOWFLAKE.INTERNAL.X": {"a": 1}, "LOCK_TIMEOUT": null,
        },
    }));

    let kept: Vec<&str> = request.parameters.kept.iter().map(|(name, _)| name).collect();
    assert_eq!(kept, ["AUTOCOMMIT", "JDBC_QUERY_RESULT_FORMAT", "TIMEZONE", "WEEK_START"]);
    assert_eq!(request.parameters.query_tag.as_deref(), Some("mine"));
    assert_eq!(request.parameters.statement_count, None);
    assert_eq!(
        request.parameters.dropped,
        [
            "CLIENT_REQUEST_MFA_TOKEN",
            "GEOGRAPHY_OUTPUT_FORMAT",
            "GO_QUERY_RESULT_FORMAT",
            "MULTI_STATEMENT_COUNT",
            "QUOTED_IDENTIFIERS_IGNORE_CASE",
            "SEARCH_PATH",
            "_SNOWFLAKE.INTERNAL.X",
            "SECONDARY_ROLES",
        ]
    );
}

#[test]
fn test_a_parameter_that_stands_twice_in_two_cases_is_an_error() {
    for parameters in [
        json!({"TIMEZONE": "UTC", "timezone": "Z"}),
        json!({"QUERY_TAG": "a", "query_tag": "b"}),
        json!({"SEARCH_PATH": "a", "search_path": "b"}),
    ] {
        let body = json!({"sqlText": "select 1", "parameters": parameters}).to_string();
        assert!(QueryRequest::parse(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn test_only_known_keys_of_a_statement_go_upstream() {
    let request = query(&json!({
        "sqlText": "select ?", "asyncExec": true, "sequenceId": 3, "describeOnly": false,
        "querySubmissionTime": 1_700_000_000_000_i64, "isInternal": true, "describedJobId": "x",
        "dataframeAst": "CANARY", "disableOfflineChunks": true, "bindStage": "@SYSTEM$BIND/x",
        "parameters": {"QUERY_TAG": "mine", "TIMEZONE": "UTC", "USE_ROLE": "CANARY"},
        "bindings": {"1": {"type": "TEXT", "value": "v", "extra": "CANARY"}},
        "queryContextDTO": {"entries": [{"id": 1, "timestamp": 2, "priority": 3,
                                         "context": {"base64Data": "QQ=="}}]},
        "unknown": {"deep": "CANARY"},
    }));

    let mut ours = Parameters::new();
    ours.set("QUERY_TAG", "gate");
    let body = String::from_utf8(request.upstream_body(&ours)).unwrap();

    assert_eq!(
        body,
        "{\"sqlText\":\"select ?\",\"asyncExec\":true,\"sequenceId\":3,\"describeOnly\":false,\
         \"querySubmissionTime\":1700000000000,\
         \"parameters\":{\"MULTI_STATEMENT_COUNT\":1,\"QUERY_TAG\":\"gate\",\"TIMEZONE\":\"UTC\"},\
         \"bindings\":{\"1\":{\"type\":\"TEXT\",\"value\":\"v\"}},\
         \"queryContextDTO\":{\"entries\":[{\"context\":{\"base64Data\":\"QQ==\"},\"id\":1,\
         \"priority\":3,\"timestamp\":2}]}}"
    );
    assert_eq!(request.bind_stage.as_deref(), Some("@SYSTEM$BIND/x"));
    assert_eq!(request.parameters.query_tag.as_deref(), Some("mine"));
}

#[test]
fn test_the_statement_count_is_reported_and_always_sent_as_one() {
    for (count, reported) in [
        (json!(0), None),
        (json!(1), None),
        (json!("1"), None),
        (json!(2), Some(2)),
        (json!("5"), Some(5)),
        (json!(true), Some(-1)),
        (json!({"a": 1}), Some(-1)),
    ] {
        let request =
            query(&json!({"sqlText": "x", "parameters": {"MULTI_STATEMENT_COUNT": count}}));
        assert_eq!(request.parameters.statement_count, reported, "{count}");
        assert_eq!(forwarded(&request)["parameters"]["MULTI_STATEMENT_COUNT"], 1);
    }
}

#[test]
fn test_binds_keep_their_values_and_order() {
    let request = query(&json!({"sqlText": "x", "bindings": {
        "10": {"type": "text", "value": null},
        "2": {"type": "FIXED", "value": ["1", null, "3"]},
        "1": {"type": "OBJECT", "value": "{}", "fmt": "json", "schema": {"type": "object"}},
    }}));

    assert_eq!(request.bind_types(), ["OBJECT", "FIXED", "TEXT"]);
    assert_eq!(
        request.bindings_json().unwrap(),
        "{\"1\":{\"type\":\"OBJECT\",\"fmt\":\"json\",\"schema\":{\"type\":\"object\"},\
         \"value\":\"{}\"},\"2\":{\"type\":\"FIXED\",\"value\":[\"1\",null,\"3\"]},\
         \"10\":{\"type\":\"TEXT\",\"value\":null}}"
    );
}

#[test]
fn test_binds_of_another_shape_are_refused() {
    for bindings in [
        json!({"0": {"type": "TEXT", "value": "a"}}),
        json!({"01": {"type": "TEXT", "value": "a"}}),
        json!({"+1": {"type": "TEXT", "value": "a"}}),
        json!({"name": {"type": "TEXT", "value": "a"}}),
        json!({"1": {"type": "TEXT\"", "value": "a"}}),
        json!({"1": {"value": "a"}}),
        json!({"1": {"type": "TEXT", "value": {"sql": "a"}}}),
        json!({"1": {"type": "TEXT", "value": [["a"]]}}),
        json!({"1": "a"}),
    ] {
        let body = json!({"sqlText": "x", "bindings": bindings}).to_string();
        assert!(QueryRequest::parse(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn test_a_query_context_of_another_shape_is_dropped() {
    for context in [
        json!({"entries": [{"id": 1, "sql": "CANARY"}]}),
        json!({"entries": [{"id": 1, "context": "not base64!"}]}),
        json!({"entries": "CANARY"}),
        json!("CANARY"),
        json!({"more": 1}),
    ] {
        let request = query(&json!({"sqlText": "x", "queryContextDTO": context}));
        assert!(forwarded(&request).get("queryContextDTO").is_none(), "{context}");
    }
    for context in
        [json!({}), json!({"entries": []}), json!({"entries": [{"id": 1, "context": {}}]})]
    {
        let request = query(&json!({"sqlText": "x", "queryContextDTO": context}));
        assert_eq!(forwarded(&request)["queryContextDTO"], context);
    }
}

#[test]
fn test_same_bytes_means_text_binds_and_parameters() {
    let base = json!({"sqlText": "select ?", "sequenceId": 1, "parameters": {"TIMEZONE": "UTC"},
                      "bindings": {"1": {"type": "TEXT", "value": "a"}}});
    let digest = |change: &dyn Fn(&mut Value)| {
        let mut body = base.clone();
        change(&mut body);
        query(&body).digest_input()
    };
    let same = digest(&|_| {});

    assert_eq!(same, digest(&|b| b["sequenceId"] = json!(2)));
    assert_eq!(same, digest(&|b| b["querySubmissionTime"] = json!(5)));
    assert_ne!(same, digest(&|b| b["sqlText"] = json!("select  ?")));
    assert_ne!(same, digest(&|b| b["bindings"]["1"]["value"] = json!("b")));
    assert_ne!(same, digest(&|b| b["parameters"]["TIMEZONE"] = json!("Z")));
    assert_ne!(same, digest(&|b| b["parameters"]["QUERY_TAG"] = json!("t")));
    assert_ne!(same, digest(&|b| b["describeOnly"] = json!(true)));
    assert_ne!(same, digest(&|b| b["bindStage"] = json!("@s")));
}

#[test]
fn test_a_held_statement_is_the_same_when_it_is_built_again() {
    let request = query(&json!({"sqlText": "delete from t where a = ?", "sequenceId": 7,
        "parameters": {"QUERY_TAG": "mine", "WEEK_START": 1, "AUTOCOMMIT": true},
        "bindings": {"1": {"type": "FIXED", "value": "12"}}}));

    let again = QueryRequest::restore(
        &request.sql,
        request.bindings_json().as_deref(),
        &request.parameters_json(),
    )
    .unwrap();

    assert_eq!(again.digest_input(), request.digest_input());
}

#[test]
fn test_keys_that_stand_twice_are_refused() {
    let body = br#"{"sqlText":"select 1","sqlText":"drop table t"}"#;

    assert_eq!(QueryRequest::parse(body).unwrap_err(), WireError::DuplicateKey);
    assert_eq!(
        LoginRequest::parse(br#"{"data":{"TOKEN":"a","TOKEN":"b"}}"#, "").unwrap_err(),
        WireError::DuplicateKey
    );
}

#[test]
fn test_only_renewal_is_a_token_request() {
    let kind = |text: &str| {
        let body = json!({"oldSessionToken": "t", "requestType": text}).to_string();
        TokenRequest::parse(body.as_bytes()).unwrap().kind
    };

    assert_eq!(kind("RENEW"), TokenRequestKind::Renew);
    assert_eq!(kind("ISSUE"), TokenRequestKind::Other);
    assert_eq!(kind("CLONE"), TokenRequestKind::Other);
}

#[test]
fn test_an_abort_names_the_original_request() {
    let id = "01b2c3d4-0000-4000-8000-00000000abcd";
    let body = json!({"sqlText": "select 1", "requestId": id}).to_string();

    assert_eq!(AbortRequest::parse(body.as_bytes()).unwrap().request_id.as_deref(), Some(id));
    assert_eq!(AbortRequest::parse(b"").unwrap().request_id, None);
    assert_eq!(AbortRequest::parse(b"{}").unwrap().request_id, None);
}

/// JSON of any shape whose texts all are the canary, under keys that are not ours.
fn canary() -> impl Strategy<Value = Value> {
    let leaf = Just(Value::from("CANARY"));
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Value::from),
            prop::collection::btree_map("z[a-z]{0,8}", inner, 1..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn test_any_bytes_are_read_or_refused(bytes: Vec<u8>, text: String) {
        let _ = QueryRequest::parse(&bytes);
        let _ = LoginRequest::parse(&bytes, &text);
        let _ = TokenRequest::parse(&bytes);
        let _ = AbortRequest::parse(&bytes);
    }

    #[test]
    fn test_no_unknown_key_goes_upstream(key in "z[a-z]{0,8}", value in canary(), place in 0..4_usize) {
        let mut body = json!({"sqlText": "select 1", "parameters": {}, "queryContextDTO": {},
                              "bindings": {"1": {"type": "TEXT", "value": "a"}}});
        let at = match place {
            0 => &mut body,
            1 => &mut body["parameters"],
            2 => &mut body["bindings"]["1"],
            _ => &mut body["queryContextDTO"],
        };
        at[key] = value;
        let request = query(&body);
        let sent = request.upstream_body(&Parameters::new());
        prop_assert!(!String::from_utf8(sent).unwrap().contains("CANARY"));
    }

    #[test]
    fn test_a_statement_arrives_as_it_was_sent(sql: String, value: Option<String>, tag: bool) {
        let request = query(&json!({"sqlText": sql, "asyncExec": tag,
            "bindings": {"1": {"type": "TEXT", "value": value}}}));
        let again = query(&forwarded(&request));
        prop_assert_eq!(&again.sql, &sql);
        prop_assert_eq!(again.digest_input(), request.digest_input());
    }
}
