//! The listener's TLS: a certificate that can be replaced while connections run.
//!
//! Source: TLS 1.2 (RFC 5246) and 1.3 (RFC 8446) by rustls; the provider is named, never the
//! process-wide default, which a second provider in the graph would make panic.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use crate::{GateError, config::Tls};

/// Certificate and key in use.
pub(crate) struct Certificates {
    current: ArcSwap<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Certificates(..)")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Certificates {
    /// Read the files.
    pub(crate) fn load(files: &Tls) -> Result<Arc<Self>, GateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = read(files, &provider)?;
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(key), provider }))
    }

    /// Read the files again. New connections get the new certificate; on an error the old one stays.
    pub(crate) fn reload(&self, files: &Tls) -> Result<(), GateError> {
        let key = read(files, &self.provider)?;
        self.current.store(Arc::new(key));
        Ok(())
    }

    /// An acceptor that speaks HTTP/1.1 only.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, GateError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("TLS settings", &error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn read(files: &Tls, provider: &CryptoProvider) -> Result<CertifiedKey, GateError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable("the certificate", &error))?;
    if chain.is_empty() {
        return Err(unusable("the certificate", &"the file holds none"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.private_key)
        .map_err(|error| unusable("the certificate's key", &error))?;
    // Also checks that key and leaf belong together.
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| unusable("certificate and key", &error))
}

fn unusable(what: &'static str, reason: &dyn fmt::Display) -> GateError {
    GateError::File { what, reason: reason.to_string() }
}
