//! Chunks from storage, against a small server.

use std::io::Write;

use crate::support::{Act, Server, raw, run, spec};
use snowgate_upstream::{Encoding, Session, UpstreamError};
use snowgate_wire::Secret;

const KEY: &str = "x-amz-server-side-encryption-customer-key";

fn url(server: &Server) -> Secret {
    Secret::new(format!("http://127.0.0.1:{}/bucket/chunk?X-Amz-Signature=s%2Fx", server.port))
}

async fn storage(act: fn() -> Act) -> Server {
    Server::start(move |seen| seen.path.starts_with("/bucket").then(act)).await
}

async fn fetch(session: &Session, server: &Server) -> Result<Vec<u8>, UpstreamError> {
    let mut reply = session.fetch_chunk(&url(server), &[]).await?;
    let mut body = Vec::new();
    while let Some(piece) = reply.next().await {
        body.extend(piece?);
    }
    Ok(body)
}

#[test]
fn test_a_chunk_is_fetched_with_its_own_headers_and_without_the_session() {
    run(async {
        let storage = storage(|| raw(200, &[], "[\"1\"],[\"2\"]")).await;
        let session = Server::start(|_| None).await.session().await;
        let headers = [(KEY.to_owned(), Secret::new("key"))];

        let mut reply = session.fetch_chunk(&url(&storage), &headers).await.unwrap();

        assert_eq!((reply.status, reply.encoding), (200, Encoding::Identity));
        assert_eq!(reply.length_bytes, Some(11));
        assert_eq!(reply.next().await.unwrap().unwrap(), "[\"1\"],[\"2\"]");
        assert!(reply.next().await.is_none());
        let seen = &storage.seen("/bucket/chunk")[0];
        assert_eq!(seen.query, "X-Amz-Signature=s%2Fx");
        assert_eq!(seen.headers[KEY], "key");
        assert_eq!(seen.token(), "");
    });
}

#[test]
fn test_gzip_is_known_by_its_bytes() {
    run(async {
        let storage = storage(|| {
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            zip.write_all(b"[\"1\"]").unwrap();
            raw(200, &[], zip.finish().unwrap())
        })
        .await;
        let session = Server::start(|_| None).await.session().await;

        let reply = session.fetch_chunk(&url(&storage), &[]).await.unwrap();

        assert_eq!(reply.encoding, Encoding::Gzip);
    });
}

#[test]
fn test_what_storage_says_about_a_failure_stays_behind() {
    for status in [302_u16, 403, 404, 503] {
        run(async {
            let elsewhere = Server::start(|_| None).await;
            let location = format!("http://127.0.0.1:{}/x", elsewhere.port);
            let storage = Server::start(move |seen| {
                let headers = [("location", location.as_str())];
                seen.path.starts_with("/bucket").then(|| raw(status, &headers, "<Error>CANARY"))
            })
            .await;
            let session = Server::start(|_| None).await.session().await;

            let mut reply = session.fetch_chunk(&url(&storage), &[]).await.unwrap();

            assert_eq!(reply.status, status);
            assert!(reply.next().await.is_none());
            assert!(elsewhere.seen("/").is_empty());
            assert_eq!(storage.seen("/bucket").len(), 1);
        });
    }
}

#[test]
fn test_a_chunk_beyond_the_limit_is_cut_off() {
    run(async {
        let storage = storage(|| raw(200, &[], vec![b'x'; 4096])).await;
        let server = Server::start(|_| None).await;
        let upstream = server.upstream(|config| config.chunk_bytes = 4095);
        let (session, _) = upstream.login(&spec()).await.unwrap();

        let error = fetch(&session, &storage).await.unwrap_err();

        assert!(matches!(error, UpstreamError::TooLarge { limit_bytes: 4095 }), "{error}");
    });
}

#[test]
fn test_storage_that_is_silent_is_given_up() {
    run(async {
        let storage = storage(|| Act::Wait).await;
        let server = Server::start(|_| None).await;
        let upstream = server.upstream(|config| config.chunk_start_timeout_s = 0.2);
        let (session, _) = upstream.login(&spec()).await.unwrap();

        let error = fetch(&session, &storage).await.unwrap_err();

        assert!(matches!(error, UpstreamError::Timeout { .. }), "{error}");
        assert_eq!(storage.seen("/bucket").len(), 1);
    });
}

#[test]
fn test_headers_and_urls_that_are_not_storage_are_refused_unsent() {
    run(async {
        let storage = storage(|| raw(200, &[], "x")).await;
        let session = Server::start(|_| None).await.session().await;
        let port = storage.port;

        for name in ["host", "authorization", "cookie", "transfer-encoding", "x amz"] {
            let headers = [(name.to_owned(), Secret::new("v"))];
            assert!(session.fetch_chunk(&url(&storage), &headers).await.is_err(), "{name}");
        }
        for url in [
            format!("ftp://127.0.0.1:{port}/bucket"),
            format!("http://user@127.0.0.1:{port}/bucket"),
            "/bucket".to_owned(),
            "file:///etc/passwd".to_owned(),
        ] {
            assert!(session.fetch_chunk(&Secret::new(url.as_str()), &[]).await.is_err(), "{url}");
        }
        assert!(storage.seen("/bucket").is_empty());
    });
}

#[test]
fn test_chunks_share_a_connection() {
    run(async {
        let storage = storage(|| raw(200, &[], "[\"1\"]")).await;
        let session = Server::start(|_| None).await.session().await;

        for _ in 0..3 {
            assert_eq!(fetch(&session, &storage).await.unwrap(), b"[\"1\"]");
        }

        assert_eq!(storage.connections(), 1);
    });
}
