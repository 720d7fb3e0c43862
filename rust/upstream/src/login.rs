//! Logins: key pair, one attempt, and the pin of the role.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::json;
use snowgate_wire::{
    InlineRows, LoginAnswer, Parameters, QueryReply, QueryRequest, ResultHead, UpstreamLogin,
};
use uuid::Uuid;

use crate::{Session, Upstream, UpstreamError, pool::Pool};

/// What every login runs before its session is handed out: secondary roles off, then both read back.
/// An unset `DEFAULT_SECONDARY_ROLES` means ALL (F10).
pub const PIN_STATEMENTS: [&str; 2] =
    ["USE SECONDARY ROLES NONE", "SELECT CURRENT_ROLE(), CURRENT_SECONDARY_ROLES()"];

/// Request ids of [`PIN_STATEMENTS`]: chosen before the login, so that they can be recorded first.
#[derive(Clone, Copy, Debug)]
pub struct PinRequests(pub [Uuid; 2]);

impl Default for PinRequests {
    /// Fresh ones.
    fn default() -> Self {
        Self([Uuid::new_v4(), Uuid::new_v4()])
    }
}

/// What a session shall be.
#[derive(Clone, Debug, Default)]
pub struct LoginSpec {
    /// The one role.
    pub role: String,
    /// Warehouse to start with.
    pub warehouse: Option<String>,
    /// Database to start with.
    pub database: Option<String>,
    /// Schema to start with.
    pub schema: Option<String>,
    /// The driver of the client: Snowflake chooses features by it.
    pub client_app_id: String,
    /// Its version.
    pub client_app_version: String,
    /// Screened session parameters.
    pub session_parameters: Parameters,
    /// Request ids of the statements that pin the role.
    pub pin_requests: PinRequests,
    /// `QUERY_TAG` of each of them (F24).
    pub pin_tags: [String; 2],
}

impl Upstream {
    /// Log in as this user, and pin the role.
    ///
    /// One attempt: a driver retries by itself. Fails with [`UpstreamError::Refused`] if Snowflake
    /// says no, [`UpstreamError::Unreachable`] if it says nothing, and [`UpstreamError::RolePin`] if
    /// the session would have had other rights than asked.
    ///
    /// Cancel-safe: a login that is dropped half-way leaves a session that Snowflake closes itself.
    pub async fn login(
        &self,
        spec: &LoginSpec,
    ) -> Result<(Session, Box<UpstreamLogin>), UpstreamError> {
        let limit = self.shared.limits.login;
        let whole = async {
            let (session, login) = self.open(spec).await?;
            if let Err(error) = pin(&session, spec).await {
                // The session must not stay; that it could not be closed changes nothing.
                let _ = session.logout().await;
                return Err(error);
            }
            Ok((session, login))
        };
        tokio::time::timeout(limit, whole).await.map_err(|_| UpstreamError::Timeout { limit })?
    }

    async fn open(&self, spec: &LoginSpec) -> Result<(Session, Box<UpstreamLogin>), UpstreamError> {
        let shared = &self.shared;
        let pool = Arc::new(Pool::default());
        let body = json!({"data": {
            "CLIENT_APP_ID": spec.client_app_id,
            "CLIENT_APP_VERSION": spec.client_app_version,
            "ACCOUNT_NAME": shared.account,
            "LOGIN_NAME": self.signer.user(),
            "AUTHENTICATOR": "SNOWFLAKE_JWT",
            "TOKEN": self.signer.token()?.expose(),
            "CLIENT_ENVIRONMENT": {"APPLICATION": "Snowgate"},
            "SESSION_PARAMETERS": spec.session_parameters,
        }});
        let path = login_path(spec);
        let body = Bytes::from(body.to_string());
        let limit = shared.limits.login;
        let reply = shared.ask(&pool, Method::POST, path, None, body, limit).await?;
        match LoginAnswer::parse(&reply)? {
            LoginAnswer::Open(login) => {
                let session = Session::open(
                    Arc::clone(shared),
                    pool,
                    login.token.clone(),
                    login.master_token.clone(),
                    login.session_id,
                );
                Ok((session, login))
            }
            LoginAnswer::Refused(failure) => {
                Err(UpstreamError::Refused { code: failure.code, message: failure.message })
            }
        }
    }
}

fn login_path(spec: &LoginSpec) -> String {
    let mut path = format!(
        "/session/v1/login-request?requestId={}&request_guid={}",
        Uuid::new_v4(),
        Uuid::new_v4()
    );
    let names = [
        ("databaseName", spec.database.as_deref()),
        ("schemaName", spec.schema.as_deref()),
        ("warehouse", spec.warehouse.as_deref()),
        ("roleName", Some(spec.role.as_str())),
    ];
    for (name, value) in names {
        if let Some(value) = value {
            path.push('&');
            path.push_str(name);
            path.push('=');
            escape(value, &mut path);
        }
    }
    path
}

/// Percent-encode all but the unreserved characters (RFC 3986, section 2.3).
fn escape(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(HEX.get(usize::from(digit)).copied().unwrap_or(b'0')));
            }
        }
    }
}

async fn pin(session: &Session, spec: &LoginSpec) -> Result<(), UpstreamError> {
    let mut parameters = Parameters::json_results();
    let [forget, read_back] = PIN_STATEMENTS;
    let PinRequests([forget_id, read_back_id]) = spec.pin_requests;
    let [forget_tag, read_back_tag] = &spec.pin_tags;
    parameters.set("QUERY_TAG", forget_tag.as_str());
    run(session, forget_id, forget, &parameters).await?;
    parameters.set("QUERY_TAG", read_back_tag.as_str());
    let head = run(session, read_back_id, read_back, &parameters).await?;
    let wrong = |reason: &str| UpstreamError::RolePin { reason: reason.to_owned() };
    let InlineRows::Json(rows) = &head.rows else { return Err(wrong("no rows were returned")) };
    let rows: Vec<[Option<String>; 2]> =
        serde_json::from_str(rows.get()).map_err(|_| wrong("the rows cannot be read"))?;
    let [[Some(current), secondary]] = rows.as_slice() else {
        return Err(wrong("not one row with a role was returned"));
    };
    if *current != stored_name(&spec.role) {
        return Err(wrong("the current role is another one than the asked one"));
    }
    if !is_none(secondary.as_deref().unwrap_or_default()) {
        return Err(wrong("secondary roles are active"));
    }
    Ok(())
}

async fn run(
    session: &Session,
    request_id: Uuid,
    sql: &str,
    parameters: &Parameters,
) -> Result<Box<ResultHead>, UpstreamError> {
    let body = QueryRequest::of(sql).upstream_body(parameters);
    match session.complete(&request_id.to_string(), Bytes::from(body)).await? {
        QueryReply::Done(head) => Ok(head),
        QueryReply::Failed(failure) => {
            Err(UpstreamError::RolePin { reason: format!("`{sql}` failed ({})", failure.code) })
        }
        QueryReply::InProgress(_) => {
            Err(UpstreamError::RolePin { reason: format!("`{sql}` did not end") })
        }
    }
}

/// The name as Snowflake stores it: upper-case, unless it is quoted.
fn stored_name(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_uppercase(),
    }
}

/// `CURRENT_SECONDARY_ROLES()` is JSON text: `{"roles":"","value":""}` for none.
fn is_none(secondary: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Secondary {
        roles: Option<String>,
        value: Option<String>,
    }
    let empty = |text: Option<String>| text.is_none_or(|text| text.is_empty());
    secondary.is_empty()
        || serde_json::from_str::<Secondary>(secondary).is_ok_and(|secondary| {
            empty(secondary.roles)
                && (secondary.value.as_deref() == Some("NONE") || empty(secondary.value))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_names_compare_as_snowflake_stores_them() {
        assert_eq!(stored_name("etl"), "ETL");
        assert_eq!(stored_name("\"my \"\"role\""), "my \"role");
    }

    #[test]
    fn test_only_no_secondary_role_is_none() {
        assert!(is_none(r#"{"roles":"","value":""}"#));
        assert!(is_none(""));
        assert!(!is_none(r#"{"roles":"ADMIN","value":"ALL"}"#));
        assert!(!is_none(r#"{"roles":"","value":"ALL"}"#));
        assert!(!is_none("ALL"));
    }

    #[test]
    fn test_names_cannot_add_login_parameters() {
        let spec = LoginSpec {
            role: "R&roleName=ADMIN".to_owned(),
            database: Some("ä b".to_owned()),
            ..LoginSpec::default()
        };

        let path = login_path(&spec);

        assert!(path.ends_with("&databaseName=%C3%A4%20b&roleName=R%26roleName%3DADMIN"), "{path}");
    }
}
