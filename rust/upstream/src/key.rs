//! A user's key pair: it signs the tokens of upstream logins.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeyPair,
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls_pki_types::pem::{PemObject, SectionKind};
use snowgate_wire::Secret;
use zeroize::Zeroizing;

use crate::{Credential, UpstreamError};

/// Life of a login token. The drivers take 60 s; the server's limit is an hour.
const TOKEN_LIFE_S: u64 = 60;

/// The key and the names it signs for.
pub(crate) struct Signer {
    key: KeyPair,
    user: String,
    /// `ACCOUNT.USER`.
    subject: String,
    /// `SHA256:<base64 of the digest of the public key>`, as `DESCRIBE USER` shows it.
    fingerprint: String,
}

impl Signer {
    /// Read the key. The bytes of the file are zeroed afterwards.
    pub(crate) fn read(credential: &Credential, account: &str) -> Result<Self, UpstreamError> {
        let Credential { user, private_key_file } = credential;
        if user.is_empty() {
            return Err(UpstreamError::config("user must not be empty"));
        }
        let unusable =
            |what: String| UpstreamError::config(format!("`private_key_file` of `{user}` {what}"));
        let pem = fs::read(private_key_file)
            .map(Zeroizing::new)
            .map_err(|error| unusable(format!("cannot be read: {}", error.kind())))?;
        let encrypted = b"BEGIN ENCRYPTED PRIVATE KEY";
        if pem.windows(encrypted.len()).any(|part| part == encrypted) {
            return Err(unusable(
                "is encrypted, which is not supported yet; \
                 give a PKCS#8 key without a passphrase, readable by the gateway alone"
                    .to_owned(),
            ));
        }
        let wrong = |what: &str| unusable(format!("{what}; give an RSA key as PKCS#8 PEM"));
        let (kind, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(&pem)
            .map_err(|_| wrong("is not a PEM file"))?;
        let der = Zeroizing::new(der);
        if kind != SectionKind::PrivateKey {
            return Err(wrong("does not start with a PKCS#8 private key"));
        }
        let key =
            KeyPair::from_pkcs8(&der).map_err(|_| wrong("is not an RSA key of 2048+ bits"))?;
        Self::new(key, account, user)
    }

    fn new(key: KeyPair, account: &str, user: &str) -> Result<Self, UpstreamError> {
        let public: PublicKeyX509Der<'_> = key
            .public_key()
            .as_der()
            .map_err(|_| UpstreamError::config("the public key cannot be encoded"))?;
        let fingerprint =
            format!("SHA256:{}", STANDARD.encode(digest(&SHA256, public.as_ref()).as_ref()));
        let subject = format!("{account}.{}", user.to_uppercase());
        Ok(Self { key, user: user.to_owned(), subject, fingerprint })
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A token for one login, from now on.
    pub(crate) fn token(&self) -> Result<Secret, UpstreamError> {
        let now_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| UpstreamError::config("the clock stands before 1970"))?
            .as_secs();
        self.token_at(now_s)
    }

    fn token_at(&self, now_s: u64) -> Result<Secret, UpstreamError> {
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT"});
        let claims = serde_json::json!({
            "iss": format!("{}.{}", self.subject, self.fingerprint),
            "sub": self.subject,
            "iat": now_s,
            "exp": now_s + TOKEN_LIFE_S,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| UpstreamError::config("the private key cannot sign"))?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(&signature));
        Ok(Secret::new(token))
    }
}

/// The account as tokens and logins name it: upper-case, without the region after the first dot.
pub(crate) fn account_name(account: &str) -> String {
    account.split('.').next().unwrap_or_default().to_uppercase()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use aws_lc_rs::{
        encoding::Pkcs8V1Der,
        rsa::KeySize,
        signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
    };

    use super::*;

    fn pem_file(label: &str, der: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let body = STANDARD.encode(der);
        writeln!(file, "-----BEGIN {label}-----\n{body}\n-----END {label}-----").unwrap();
        file
    }

    fn svc(file: &tempfile::NamedTempFile) -> Credential {
        Credential { user: "svc".to_owned(), private_key_file: file.path().to_owned() }
    }

    fn key_der() -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let der = der.as_ref().to_vec();
        (key, der)
    }

    #[test]
    fn test_a_login_token_names_key_account_and_user_and_verifies() {
        let (key, der) = key_der();
        let file = pem_file("PRIVATE KEY", &der);

        let signer = Signer::read(&svc(&file), &account_name("xy12345.eu-central-1")).unwrap();
        let token = signer.token_at(1_700_000_000).unwrap();

        let (text, signature) = token.expose().rsplit_once('.').unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())
            .verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        let claims = URL_SAFE_NO_PAD.decode(text.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["sub"], "XY12345.SVC");
        assert_eq!(claims["iss"], format!("XY12345.SVC.{}", signer.fingerprint()));
        assert_eq!(claims["iat"], 1_700_000_000);
        assert_eq!(claims["exp"], 1_700_000_060);
    }

    #[test]
    fn test_keys_that_cannot_be_used_say_what_to_do() {
        let cases = [
            (pem_file("ENCRYPTED PRIVATE KEY", b"x"), "encrypted, which is not supported yet"),
            (pem_file("RSA PRIVATE KEY", b"x"), "PKCS#8"),
            (pem_file("PRIVATE KEY", b"x"), "RSA key"),
            (tempfile::NamedTempFile::new().unwrap(), "PEM"),
        ];

        for (file, wish) in cases {
            let Err(error) = Signer::read(&svc(&file), "A") else { panic!("accepted") };
            assert!(error.to_string().contains(wish), "{error}");
            assert!(error.to_string().contains("of `svc`"), "{error}");
        }
    }
}
