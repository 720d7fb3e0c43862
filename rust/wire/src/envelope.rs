//! What stands around every reply of Snowflake: `{data, code, message, success}`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Failure, WireError,
    json::{self, Object},
};

/// A checked reply. Codes are texts and success is a bool, or it is no reply: drivers take nothing
/// else either.
pub(crate) struct Envelope<'a> {
    pub(crate) success: bool,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) data: Object<'a>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Text<'a> {
            success: bool,
            code: Option<String>,
            message: Option<String>,
            // Opened in the same pass: a rowset is long.
            #[serde(borrow)]
            data: Option<BTreeMap<String, &'a RawValue>>,
        }
        json::check(body)?;
        let text: Text<'_> = serde_json::from_slice(body)
            .map_err(|_| WireError::Unexpected { key: "data, code, message or success" })?;
        let full = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            success: text.success,
            code: full(text.code),
            message: full(text.message),
            data: Object::of(text.data.unwrap_or_default()),
        })
    }

    /// The data of a success, or the failure.
    pub(crate) fn outcome(self) -> Result<Result<Object<'a>, Failure>, WireError> {
        if self.success {
            return Ok(Ok(self.data));
        }
        self.failure().map(Err)
    }

    /// The failure it is.
    pub(crate) fn failure(self) -> Result<Failure, WireError> {
        Failure::from_parts(self.code, self.message, self.data)
    }
}
