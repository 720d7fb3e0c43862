//! The login request of a driver.

use serde::{Deserialize, Serialize};

use crate::{QueryString, Screened, Secret, WireError, json::Object};

/// How a client says who it is (protocol key `AUTHENTICATOR`).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Authenticator {
    /// A token in `TOKEN`; JDBC may put it into `PASSWORD`. Also a `TOKEN` without `AUTHENTICATOR`,
    /// as Go's code flow sends it.
    Oauth,
    /// A programmatic access token in `TOKEN`.
    ProgrammaticAccessToken,
    /// Something in `PASSWORD`, which may well be a token.
    Password,
    /// A JWT signed by the client's own key, in `TOKEN`.
    SnowflakeJwt,
    /// An attestation in `TOKEN`, of the kind in `PROVIDER`.
    WorkloadIdentity,
    /// A SAML response in `RAW_SAML_RESPONSE`.
    Saml,
    /// Anything else, such as `EXTERNALBROWSER`: refused and recorded.
    Other(String),
}

impl Authenticator {
    /// Lower-case name, as the question `login` and the ledger have it.
    pub fn name(&self) -> &str {
        match self {
            Self::Oauth => "oauth",
            Self::ProgrammaticAccessToken => "programmatic_access_token",
            Self::Password => "password",
            Self::SnowflakeJwt => "snowflake_jwt",
            Self::WorkloadIdentity => "workload_identity",
            Self::Saml => "saml",
            Self::Other(name) => name,
        }
    }
}

/// What a driver asks for at login. The identity is not checked here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginRequest {
    /// The account the driver was told.
    pub account: String,
    /// The user name; Go sends none with a key pair, and tokens need none.
    pub login_name: Option<String>,
    /// The kind of proof.
    pub authenticator: Authenticator,
    /// The proof itself.
    pub token: Option<Secret>,
    /// `AWS`, `AZURE`, `GCP` or `OIDC` for [`Authenticator::WorkloadIdentity`].
    pub provider: Option<String>,
    /// The driver; Snowflake chooses features by it, so it is forwarded.
    pub client_app_id: Option<String>,
    /// The driver's version, forwarded too.
    pub client_app_version: Option<String>,
    /// The program above the driver, as it calls itself.
    pub application: Option<String>,
    /// Wished role.
    pub role: Option<String>,
    /// Wished warehouse.
    pub warehouse: Option<String>,
    /// Wished database.
    pub database: Option<String>,
    /// Wished schema.
    pub schema: Option<String>,
    /// The screened session parameters; its `dropped` also names dropped keys of the login itself
    /// that would have changed the session (`SECONDARY_ROLES`).
    pub parameters: Screened,
    /// Idempotency key of the login.
    pub request_id: Option<String>,
}

impl LoginRequest {
    /// Read the body and the query string of `POST /session/v1/login-request`.
    pub fn parse(body: &[u8], query_string: &str) -> Result<Self, WireError> {
        let query = QueryString::parse(query_string)?;
        let named = |name: &str| query.get(name).map(str::to_owned);
        let mut data = Object::message(body)?.object("data")?;
        let secret = |text: Option<String>| text.map(Secret::new);
        let wire_name = data.text("AUTHENTICATOR")?;
        let token = secret(data.text("TOKEN")?);
        let password = secret(data.text("PASSWORD")?);
        let saml = secret(data.text("RAW_SAML_RESPONSE")?);
        let (authenticator, token) = proof(wire_name.as_deref(), token, password, saml);
        let mut parameters =
            Screened::read("SESSION_PARAMETERS", data.object("SESSION_PARAMETERS")?)?;
        if data.raw("SECONDARY_ROLES").is_some() {
            parameters.dropped.push("SECONDARY_ROLES".to_owned());
        }
        Ok(Self {
            account: data.text("ACCOUNT_NAME")?.unwrap_or_default(),
            login_name: data.text("LOGIN_NAME")?,
            authenticator,
            token,
            provider: data.text("PROVIDER")?,
            client_app_id: data.text("CLIENT_APP_ID")?.filter(|name| is_short(name)),
            client_app_version: data.text("CLIENT_APP_VERSION")?.filter(|name| is_short(name)),
            application: application(&mut data),
            role: named("roleName"),
            warehouse: named("warehouse"),
            database: named("databaseName"),
            schema: named("schemaName"),
            parameters,
            request_id: named("requestId").or_else(|| named("request_id")),
        })
    }
}

/// Choose kind and place of the proof. There is one choice, never a second attempt (F25).
fn proof(
    wire_name: Option<&str>,
    token: Option<Secret>,
    password: Option<Secret>,
    saml: Option<Secret>,
) -> (Authenticator, Option<Secret>) {
    let upper = wire_name.unwrap_or_default().to_ascii_uppercase();
    match upper.as_str() {
        // A cached MFA token stands beside a password, so a password makes it a password login.
        "" | "SNOWFLAKE" => match (password, saml, token) {
            (Some(password), _, _) => (Authenticator::Password, Some(password)),
            (None, Some(saml), _) => (Authenticator::Saml, Some(saml)),
            (None, None, Some(token)) => (Authenticator::Oauth, Some(token)),
            (None, None, None) => (Authenticator::Password, None),
        },
        "OAUTH" => (Authenticator::Oauth, token.or(password)),
        "PROGRAMMATIC_ACCESS_TOKEN" => (Authenticator::ProgrammaticAccessToken, token.or(password)),
        "SNOWFLAKE_JWT" => (Authenticator::SnowflakeJwt, token),
        "WORKLOAD_IDENTITY" => (Authenticator::WorkloadIdentity, token),
        _ if saml.is_some() => (Authenticator::Saml, saml),
        other => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let name = if other.len() <= 64 && other.bytes().all(plain) { other } else { "url" };
            (Authenticator::Other(name.to_ascii_lowercase()), None)
        }
    }
}

/// The one piece of the free-form client environment that is of use; the rest may hold anything.
fn application(data: &mut Object<'_>) -> Option<String> {
    let environment = Object::open("CLIENT_ENVIRONMENT", data.raw("CLIENT_ENVIRONMENT")?).ok();
    environment?.text("APPLICATION").ok()?.filter(|name| is_short(name))
}

/// Whether a name may be kept with the session; a longer one is as good as none.
fn is_short(name: &str) -> bool {
    name.chars().count() <= 128
}
