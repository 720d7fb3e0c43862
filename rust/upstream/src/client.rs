//! The upstream client: one for the gateway.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use snowgate_wire::Secret;
use tokio_rustls::TlsConnector;

use crate::{
    Config, Credential, Protocol, UpstreamError,
    config::Limits,
    exchange::{Call, exchange},
    key::{Signer, account_name},
    pool::{Connector, Pool, Target},
    tls,
};

/// Snowflake as one user of the gateway's knows it. Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    pub(crate) shared: Arc<Shared>,
    pub(crate) signer: Arc<Signer>,
}

pub(crate) struct Shared {
    pub(crate) account: String,
    pub(crate) protocol: Protocol,
    pub(crate) target: Target,
    pub(crate) connector: Connector,
    pub(crate) limits: Limits,
}

impl Upstream {
    /// Read key and roots, and check the configuration. Nothing is sent.
    pub fn new(config: &Config) -> Result<Self, UpstreamError> {
        let account = account_name(&config.account);
        if account.is_empty() || config.host.is_empty() {
            return Err(UpstreamError::config("account and host must not be empty"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if !config.host.bytes().all(plain) {
            return Err(UpstreamError::config("host must be a name alone, without scheme or path"));
        }
        let limits = Limits::of(config)?;
        let tls = match config.protocol {
            Protocol::Https => {
                Some(TlsConnector::from(tls::client(config.ca_file.as_deref().map(Path::new))?))
            }
            Protocol::Http => None,
        };
        let signer = Signer::read(&config.credential, &account)?;
        let shared = Shared {
            account,
            protocol: config.protocol,
            target: Target {
                tls: config.protocol == Protocol::Https,
                host: config.host.clone(),
                port: config.port,
            },
            connector: Connector { tls, limit: limits.connect },
            limits,
        };
        Ok(Self { shared: Arc::new(shared), signer: Arc::new(signer) })
    }

    /// The same Snowflake for another user. Nothing is sent.
    pub fn as_user(&self, credential: &Credential) -> Result<Self, UpstreamError> {
        let signer = Signer::read(credential, &self.shared.account)?;
        Ok(Self { shared: Arc::clone(&self.shared), signer: Arc::new(signer) })
    }

    /// `SHA256:…` of the public key, as `DESCRIBE USER` shows it in `RSA_PUBLIC_KEY_FP`.
    pub fn key_fingerprint(&self) -> &str {
        self.signer.fingerprint()
    }
}

impl Shared {
    /// One request to Snowflake itself.
    pub(crate) async fn ask(
        &self,
        pool: &Arc<Pool>,
        method: Method,
        path: String,
        token: Option<&Secret>,
        body: Bytes,
        limit: Duration,
    ) -> Result<Vec<u8>, UpstreamError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/snowflake"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, authorization(token)?);
        }
        let call = Call { method, path, headers, body };
        exchange(&self.connector, pool, &self.target, call, limit, self.limits.reply_bytes).await
    }
}

const USER_AGENT: &str = concat!("Snowgate/", env!("CARGO_PKG_VERSION"));

fn authorization(token: &Secret) -> Result<HeaderValue, UpstreamError> {
    // A quote or a control character would end the value early.
    let plain = token.expose().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    let value = HeaderValue::from_str(&format!("Snowflake Token=\"{}\"", token.expose()));
    match value {
        Ok(mut value) if plain => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err(UpstreamError::config("upstream's token cannot be sent in a header")),
    }
}
