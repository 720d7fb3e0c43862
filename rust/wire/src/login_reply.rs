//! The login reply: upstream's, read; ours, written.

use crate::{
    Failure, Parameter, Secret, WireError, envelope::Envelope, json::ObjectWriter, parameters,
};

/// What upstream says to a login.
#[derive(Debug)]
pub enum LoginAnswer {
    /// A session is open.
    Open(Box<UpstreamLogin>),
    /// Refused, with code and message.
    Refused(Failure),
}

/// An open upstream session. Tokens for later logins (`idToken`, `mfaToken`, `remMeToken`) are not
/// read at all.
#[derive(Debug)]
#[non_exhaustive]
pub struct UpstreamLogin {
    /// Session token.
    pub token: Secret,
    /// Master token, for renewal.
    pub master_token: Secret,
    /// Life of the session token in seconds.
    pub validity_s: i64,
    /// Life of the master token in seconds.
    pub master_validity_s: i64,
    /// Number of the session.
    pub session_id: Option<i64>,
    /// Version of Snowflake.
    pub server_version: Option<String>,
    /// Session parameters.
    pub parameters: Vec<Parameter>,
    /// Database of the session.
    pub database: Option<String>,
    /// Schema of the session.
    pub schema: Option<String>,
    /// Warehouse of the session.
    pub warehouse: Option<String>,
    /// Role of the session.
    pub role: Option<String>,
}

impl LoginAnswer {
    /// Read upstream's reply to a login.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut data = match Envelope::read(body)?.outcome()? {
            Ok(data) => data,
            Err(failure) => return Ok(Self::Refused(failure)),
        };
        let mut names = data.object("sessionInfo")?;
        Ok(Self::Open(Box::new(UpstreamLogin {
            token: data.need("token")?,
            master_token: data.need("masterToken")?,
            validity_s: data.take("validityInSeconds")?.unwrap_or(3600),
            master_validity_s: data.take("masterValidityInSeconds")?.unwrap_or(14_400),
            session_id: data.take("sessionId")?,
            server_version: data.text("serverVersion")?,
            parameters: parameters::read_list(data.raw("parameters"))?,
            database: names.text("databaseName")?,
            schema: names.text("schemaName")?,
            warehouse: names.text("warehouseName")?,
            role: names.text("roleName")?,
        })))
    }
}

/// The reply for a driver, with the gateway's own tokens.
#[derive(Clone, Copy, Debug)]
pub struct LoginReply<'a> {
    /// The gateway's session token.
    pub token: &'a Secret,
    /// The gateway's master token.
    pub master_token: &'a Secret,
    /// Life of the session token in seconds.
    pub validity_s: u64,
    /// Life of the master token in seconds.
    pub master_validity_s: u64,
    /// A number; two drivers require it.
    pub session_id: i64,
    /// Name of the principal.
    pub display_name: &'a str,
    /// Version of Snowflake.
    pub server_version: Option<&'a str>,
    /// Upstream's session parameters; those of the gateway are added when written.
    pub parameters: &'a [Parameter],
    /// Database of the session.
    pub database: Option<&'a str>,
    /// Schema of the session.
    pub schema: Option<&'a str>,
    /// Warehouse of the session.
    pub warehouse: Option<&'a str>,
    /// Role of the session.
    pub role: Option<&'a str>,
}

/// JDBC throws a `NullPointerException` on any chunked result when one of these is missing.
const NEEDED_BY_JDBC: [(&str, i64); 3] = [
    ("CLIENT_RESULT_CHUNK_SIZE", 160),
    ("CLIENT_PREFETCH_THREADS", 4),
    ("CLIENT_MEMORY_LIMIT", 1536),
];

/// JDBC adds this to its socket timeout when it differs from its own default.
const HEALTH_CHECK_INTERVAL_S: u32 = 45;

impl LoginReply<'_> {
    /// The reply, as every driver reads it.
    pub fn render(&self) -> Vec<u8> {
        let mut parameters = parameters::for_client(self.parameters);
        for (name, value) in NEEDED_BY_JDBC {
            if !parameters.iter().any(|parameter| parameter.name == name) {
                parameters.push(Parameter { name: name.to_owned(), value: value.into() });
            }
        }
        let names = ObjectWriter::new()
            .put("databaseName", &self.database)
            .put("schemaName", &self.schema)
            .put("warehouseName", &self.warehouse)
            .put("roleName", &self.role)
            .finish();
        let data = ObjectWriter::new()
            .put("masterToken", self.master_token.expose())
            .put("token", self.token.expose())
            .put("validityInSeconds", &self.validity_s)
            .put("masterValidityInSeconds", &self.master_validity_s)
            .put("displayUserName", self.display_name)
            .put("serverVersion", &self.server_version)
            .put("firstLogin", &false)
            .put("remMeToken", &())
            .put("remMeValidityInSeconds", &0)
            .put("healthCheckInterval", &HEALTH_CHECK_INTERVAL_S)
            .put("newClientForUpgrade", &())
            .put("sessionId", &self.session_id)
            .put("parameters", &parameters)
            .put_raw("sessionInfo", &names)
            .put("idToken", &())
            .put("idTokenValidityInSeconds", &0)
            .put("responseData", &())
            .put("mfaToken", &())
            .put("mfaTokenValidityInSeconds", &0)
            .finish();
        crate::success(&data)
    }
}
