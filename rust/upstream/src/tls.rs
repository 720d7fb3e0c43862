//! TLS towards Snowflake and its storage.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::UpstreamError;

/// A client that trusts `ca_file` alone, or the roots of the machine.
///
/// The provider is named: a process with two providers would panic on the default.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, UpstreamError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => add_file(&mut roots, path)?,
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(UpstreamError::config(
            "no root certificate was found; name a PEM file in `ca_file`",
        ));
    }
    let mut config =
        ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| UpstreamError::config(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config.into())
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), UpstreamError> {
    let unreadable = || UpstreamError::config("`ca_file` is not a readable PEM file");
    for certificate in CertificateDer::pem_file_iter(path).map_err(|_| unreadable())? {
        let certificate = certificate.map_err(|_| unreadable())?;
        roots.add(certificate).map_err(|error| {
            UpstreamError::config(format!("`ca_file` holds an unusable certificate: {error}"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_no_roots_is_an_error_at_the_start() {
        let empty = tempfile::NamedTempFile::new().unwrap();

        let error = client(Some(empty.path())).unwrap_err();

        assert!(error.to_string().contains("ca_file"), "{error}");
    }

    #[test]
    fn test_a_missing_ca_file_is_an_error() {
        assert!(client(Some(Path::new("/nonexistent/ca.pem"))).is_err());
    }
}
