//! Logins, statements and their accidents, against a small server.

use std::{
    io::Write,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::support::{Act, ID, Seen, Server, config, failed, ok, raw, rows, run, running, spec};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};
use snowgate_upstream::{PIN_STATEMENTS, SealKey, Session, Upstream, UpstreamError};
use snowgate_wire::{InlineRows, Parameters, QueryReply, QueryRequest, WireError};

const REQUEST: &str = "99999999-0000-4000-8000-000000000001";
const QUERY: &str = "/queries/v1/query-request";
const INSERT: &str = "insert into t values (1)";

async fn query(session: &Session, sql: &str) -> Result<QueryReply, UpstreamError> {
    let body = QueryRequest::of(sql).upstream_body(&Parameters::new());
    session.query(REQUEST, Bytes::from(body)).await
}

/// How often the statement of the test arrived.
fn arrivals(server: &Server) -> usize {
    server.seen(QUERY).iter().filter(|seen| seen.sql() == INSERT).count()
}

fn is_insert(seen: &Seen) -> bool {
    seen.path == QUERY && seen.sql() == INSERT
}

#[test]
fn test_a_login_signs_for_the_account_and_pins_its_role() {
    run(async {
        let server = Server::start(|_| None).await;

        let (session, login) = server.upstream(|_| {}).login(&spec()).await.unwrap();

        let seen = &server.seen("/session/v1/login-request")[0];
        let data = &seen.body["data"];
        assert_eq!(data["AUTHENTICATOR"], "SNOWFLAKE_JWT");
        assert_eq!(data["ACCOUNT_NAME"], "XY12345");
        assert_eq!(data["CLIENT_APP_ID"], "Go");
        assert!(seen.query.ends_with("&warehouse=WH&roleName=etl"), "{}", seen.query);
        assert_eq!(seen.token(), "");
        let claims = data["TOKEN"].as_str().unwrap().split('.').nth(1).unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(claims["sub"], "XY12345.SVC_GATEWAY");
        let pinned = server.seen(QUERY);
        let texts: Vec<&str> = pinned.iter().map(Seen::sql).collect();
        assert_eq!(texts, PIN_STATEMENTS);
        assert_eq!(pinned[0].token(), "Snowflake Token=\"token-0\"");
        assert_eq!(session.session_id(), Some(42));
        assert_eq!(login.role.as_deref(), Some("ETL"));
    });
}

#[test]
fn test_a_session_with_other_rights_is_closed_and_not_handed_out() {
    for answer in [
        json!([["ETL", "{\"roles\":\"ADMIN\",\"value\":\"ALL\"}"]]),
        json!([["ACCOUNTADMIN", "{\"roles\":\"\",\"value\":\"\"}"]]),
        json!([[null, ""]]),
        json!([]),
        json!([["ETL", ""], ["ETL", ""]]),
    ] {
        run(async {
            let server = Server::start(move |seen| {
                seen.sql().contains("CURRENT_ROLE").then(|| Act::Json(rows(&answer)))
            })
            .await;

            let Err(error) = server.upstream(|_| {}).login(&spec()).await else {
                panic!("a session was handed out")
            };

            assert!(matches!(error, UpstreamError::RolePin { .. }), "{error}");
            assert_eq!(
                server.seen("/session").last().unwrap().query.split('&').next(),
                Some("delete=true")
            );
        });
    }
}

#[test]
fn test_a_refused_login_is_told_from_an_unreachable_server() {
    run(async {
        let server = Server::start(|seen| {
            (seen.path == "/session/v1/login-request").then(|| Act::Json(failed("390144")))
        })
        .await;
        let Err(refused) = server.upstream(|_| {}).login(&spec()).await else { panic!() };
        let (_file, nowhere) = config(1);
        let Err(nobody) = Upstream::new(&nowhere).unwrap().login(&spec()).await else { panic!() };

        assert!(
            matches!(&refused, UpstreamError::Refused { code, message }
                if code == "390144" && message == "no"),
            "{refused}"
        );
        assert!(matches!(nobody, UpstreamError::Unreachable { .. }), "{nobody}");
    });
}

#[test]
fn test_an_expired_token_is_renewed_in_the_middle_of_a_statement() {
    run(async {
        let server = Server::start(|seen| {
            let old = seen.token().contains("token-0");
            (is_insert(seen) && old).then(|| Act::Json(failed("390112")))
        })
        .await;
        let session = server.session().await;

        let reply = query(&session, INSERT).await.unwrap();

        assert!(matches!(reply, QueryReply::Done(_)));
        assert_eq!(session.generation(), 1);
        let renewals = server.seen("/session/token-request");
        assert_eq!(renewals.len(), 1);
        assert_eq!(renewals[0].token(), "Snowflake Token=\"master-0\"");
        assert_eq!(renewals[0].body["oldSessionToken"], "token-0");
        let seen = server.seen(QUERY);
        let sent: Vec<&Seen> = seen.iter().filter(|seen| is_insert(seen)).collect();
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|seen| seen.query.contains(&format!("requestId={REQUEST}&"))));
        assert_eq!(sent[1].token(), "Snowflake Token=\"token-1\"");
    });
}

#[test]
fn test_statements_that_expire_together_renew_once() {
    run(async {
        let server = Server::start(|seen| {
            let old = seen.token().contains("token-0");
            (is_insert(seen) && old).then(|| Act::Json(failed("390112")))
        })
        .await;
        let session = server.session().await;

        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let session = session.clone();
                tokio::spawn(async move { query(&session, INSERT).await.map(drop) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }

        assert_eq!(server.seen("/session/token-request").len(), 1);
    });
}

#[test]
fn test_a_lost_session_stays_lost_and_asks_no_more() {
    for code in ["390111", "390104", "390113", "390114"] {
        run(async {
            let server =
                Server::start(move |seen| is_insert(seen).then(|| Act::Json(failed(code)))).await;
            let session = server.session().await;

            let first = query(&session, INSERT).await.unwrap_err();
            let second = query(&session, "select 1").await.unwrap_err();

            for error in [first, second] {
                assert!(
                    matches!(&error, UpstreamError::SessionLost { code: lost } if lost == code),
                    "{error}"
                );
            }
            assert_eq!(session.lost(), Some(code));
            assert_eq!(server.seen(QUERY).len(), 3);
            assert_eq!(server.seen("/session/v1/login-request").len(), 1);
        });
    }
}

#[test]
fn test_a_refused_renewal_loses_the_session() {
    run(async {
        let server = Server::start(|seen| match seen.path.as_str() {
            "/session/token-request" => Some(Act::Json(failed("390114"))),
            _ => is_insert(seen).then(|| Act::Json(failed("390112"))),
        })
        .await;
        let session = server.session().await;

        let error = query(&session, INSERT).await.unwrap_err();

        assert!(matches!(&error, UpstreamError::SessionLost { code } if code == "390114"));
        assert_eq!(arrivals(&server), 1);
    });
}

#[test]
fn test_tokens_that_never_work_end_as_a_session_that_is_gone() {
    run(async {
        let server =
            Server::start(|seen| is_insert(seen).then(|| Act::Json(failed("390112")))).await;
        let session = server.session().await;

        let error = query(&session, INSERT).await.unwrap_err();

        assert!(matches!(&error, UpstreamError::SessionLost { code } if code == "390111"));
        assert_eq!(arrivals(&server), 2);
    });
}

#[test]
fn test_a_pooled_connection_that_was_closed_is_replaced() {
    run(async {
        let server = Server::start(|_| None).await;
        let session = server.session().await;
        server.drop_connections();
        // Long enough for the close to arrive, as it does between two statements of a driver.
        tokio::time::sleep(Duration::from_millis(50)).await;

        let reply = query(&session, INSERT).await.unwrap();

        assert!(matches!(reply, QueryReply::Done(_)));
        assert_eq!(arrivals(&server), 1);
    });
}

#[test]
fn test_a_close_that_crosses_the_request_sends_nothing_twice() {
    run(async {
        let server = Server::start(|_| None).await;
        let session = server.session().await;
        server.drop_connections();

        let reply = query(&session, INSERT).await;

        // Either the request came back untouched and went over a fresh connection, or nobody knows,
        // and nobody asks again.
        match reply {
            Ok(QueryReply::Done(_)) => assert_eq!(arrivals(&server), 1),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(!error.did_not_run(), "{error}");
                assert_eq!(arrivals(&server), 0);
            }
        }
    });
}

#[test]
fn test_a_connection_that_dies_after_the_request_is_not_tried_again() {
    run(async {
        let server = Server::start(|seen| is_insert(seen).then_some(Act::HangUp)).await;
        let session = server.session().await;

        let error = query(&session, INSERT).await.unwrap_err();

        assert!(matches!(error, UpstreamError::Broken { .. }), "{error}");
        assert!(!error.did_not_run());
        assert_eq!(arrivals(&server), 1);
    });
}

#[test]
fn test_an_answer_that_does_not_come_is_not_asked_for_again() {
    run(async {
        let server = Server::start(|seen| is_insert(seen).then_some(Act::Wait)).await;
        let upstream = server.upstream(|config| config.reply_timeout_s = 0.2);
        let (session, _) = upstream.login(&spec()).await.unwrap();

        let error = query(&session, INSERT).await.unwrap_err();

        assert!(matches!(error, UpstreamError::Timeout { .. }), "{error}");
        assert!(!error.did_not_run());
        assert_eq!(arrivals(&server), 1);
    });
}

#[test]
fn test_statuses_of_http_are_errors_and_redirects_lead_nowhere() {
    for status in [302_u16, 307, 401, 403, 500, 503] {
        run(async {
            let elsewhere = Server::start(|_| None).await;
            let location = format!("http://127.0.0.1:{}{QUERY}", elsewhere.port);
            let server = Server::start(move |seen| {
                is_insert(seen).then(|| raw(status, &[("location", &location)], "<html>"))
            })
            .await;
            let session = server.session().await;

            let error = query(&session, INSERT).await.unwrap_err();

            assert!(
                matches!(error, UpstreamError::Status { status: seen } if seen == status),
                "{error}"
            );
            assert!(!error.did_not_run());
            assert_eq!(arrivals(&server), 1);
            assert!(elsewhere.seen("/").is_empty());
        });
    }
}

#[test]
fn test_an_answer_that_is_too_long_is_cut_off() {
    run(async {
        let server = Server::start(|seen| {
            is_insert(seen).then(|| Act::Json(rows(&json!([["x".repeat(2 << 20)]]))))
        })
        .await;
        let session = server.session().await;

        let error = query(&session, INSERT).await.unwrap_err();

        assert!(matches!(error, UpstreamError::TooLarge { limit_bytes: 0x10_0000 }), "{error}");
    });
}

#[test]
fn test_a_gzip_answer_is_inflated_and_a_bomb_is_cut_off() {
    let zip = |text: String| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let small = zip(rows(&json!([["zipped"]])).to_string());
    let bomb = zip(rows(&json!([["x".repeat(8 << 20)]])).to_string());
    assert!(bomb.len() < 1 << 20);
    run(async move {
        let server = Server::start(move |seen| {
            let body = if is_insert(seen) { &bomb } else { &small };
            (seen.sql() == "select 1" || is_insert(seen))
                .then(|| raw(200, &[("content-encoding", "gzip")], body.clone()))
        })
        .await;
        let session = server.session().await;

        let QueryReply::Done(head) = query(&session, "select 1").await.unwrap() else { panic!() };
        let error = query(&session, INSERT).await.unwrap_err();

        assert!(matches!(&head.rows, InlineRows::Json(rows) if rows.get() == "[[\"zipped\"]]"));
        assert!(matches!(error, UpstreamError::TooLarge { .. }), "{error}");
    });
}

#[test]
fn test_a_page_that_is_no_json_and_a_file_transfer_are_errors() {
    run(async {
        let server = Server::start(|seen| match seen.sql() {
            INSERT => Some(raw(200, &[], "<html>maintenance</html>")),
            "put" => Some(Act::Json(ok(&json!({"command": "UPLOAD", "stageInfo": {"creds": 1}})))),
            _ => None,
        })
        .await;
        let session = server.session().await;

        let page = query(&session, INSERT).await.unwrap_err();
        let transfer = query(&session, "put").await.unwrap_err();

        assert!(matches!(page, UpstreamError::Reply(WireError::Json { .. })), "{page}");
        assert!(matches!(transfer, UpstreamError::Reply(WireError::FileTransfer)), "{transfer}");
        assert!(!transfer.did_not_run());
    });
}

#[test]
fn test_a_long_statement_is_polled_to_its_end() {
    let polls = AtomicUsize::new(0);
    run(async move {
        let server = Server::start(move |seen| {
            let result = seen.path == format!("/queries/{ID}/result");
            let first = result && polls.fetch_add(1, Ordering::Relaxed) == 0;
            let done = || Act::Json(rows(&json!([["late"]])));
            match (is_insert(seen) || first, result) {
                (true, _) => Some(Act::Json(running())),
                (false, true) => Some(done()),
                _ => None,
            }
        })
        .await;
        let session = server.session().await;
        let body = QueryRequest::of(INSERT).upstream_body(&Parameters::new());

        let reply = session.complete(REQUEST, Bytes::from(body)).await.unwrap();

        assert!(matches!(reply, QueryReply::Done(_)));
        assert_eq!(server.seen("/queries/01b2").len(), 2);
        assert_eq!(arrivals(&server), 1);
    });
}

#[test]
fn test_a_cancel_names_the_original_request() {
    run(async {
        let server = Server::start(|_| None).await;
        let session = server.session().await;

        session.abort(REQUEST).await.unwrap().unwrap();
        session.abort_query(ID).await.unwrap().unwrap();
        session.heartbeat().await.unwrap().unwrap();

        let aborted = &server.seen("/queries/v1/abort-request")[0];
        assert_eq!(aborted.body["requestId"], REQUEST);
        assert_ne!(aborted.query, format!("requestId={REQUEST}"));
        assert_eq!(server.seen(&format!("/queries/{ID}/abort-request")).len(), 1);
        assert_eq!(server.seen("/session/heartbeat").len(), 1);
    });
}

#[test]
fn test_an_id_that_is_no_uuid_reaches_no_path() {
    run(async {
        let server = Server::start(|_| None).await;
        let session = server.session().await;

        for id in ["../../session", "", "1", "01b2c3d4-0000-4000-8000-00000000abc?"] {
            assert!(session.result(id).await.is_err());
            assert!(session.abort_query(id).await.is_err());
            assert!(session.query(id, Bytes::new()).await.is_err());
        }
        assert_eq!(server.seen("/").len(), 3);
    });
}

#[test]
fn test_after_a_logout_nothing_is_asked() {
    run(async {
        let server = Server::start(|_| None).await;
        let session = server.session().await;

        session.logout().await.unwrap();
        session.logout().await.unwrap();
        let error = query(&session, INSERT).await.unwrap_err();

        assert!(matches!(error, UpstreamError::SessionLost { .. }));
        assert_eq!(server.seen("/session").iter().filter(|s| s.path == "/session").count(), 1);
        assert_eq!(arrivals(&server), 0);
    });
}

#[test]
fn test_a_sealed_session_works_again_after_a_restart() {
    run(async {
        let server = Server::start(|_| None).await;
        let upstream = server.upstream(|_| {});
        let (session, _) = upstream.login(&spec()).await.unwrap();
        let key = SealKey::new(&mut [7; 32]).unwrap();
        let sealed = session.seal(&key, b"session 1").unwrap();
        drop(session);

        let again = upstream.unseal(&key, &sealed, b"session 1").unwrap();
        query(&again, INSERT).await.unwrap();

        assert_eq!(again.session_id(), Some(42));
        assert_eq!(server.seen(QUERY).last().unwrap().token(), "Snowflake Token=\"token-0\"");
        assert!(upstream.unseal(&key, &sealed, b"session 2").is_err());
        assert!(!String::from_utf8_lossy(&sealed).contains("token-0"));
    });
}

#[test]
fn test_calls_can_move_between_threads() {
    fn is_send<T: Send>(_: T) {}

    run(async {
        let server = Server::start(|_| None).await;
        let session = server.session().await;

        is_send(session.query(REQUEST, Bytes::new()));
        is_send(session.result(ID));
        is_send(session.logout());
        is_send(server.upstream(|_| {}).login(&spec()));
    });
}
