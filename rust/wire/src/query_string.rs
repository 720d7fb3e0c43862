//! The query string of a request URL.

use crate::WireError;

/// Decoded pairs, in order. A name that stands twice is an error: two readers may choose two values.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct QueryString(Vec<(String, String)>);

impl QueryString {
    /// Parse what follows the `?` (WHATWG URL, application/x-www-form-urlencoded).
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for piece in text.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let name = decode(name)?;
            if pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(WireError::DuplicateKey);
            }
            pairs.push((name, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The value of a name; empty and absent are the same.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> Result<String, WireError> {
    let malformed = || WireError::Unexpected { key: "query string" };
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(), digit());
                let (Some(high), Some(low)) = (high, low) else { return Err(malformed()) };
                u8::try_from(high * 16 + low).map_err(|_| malformed())?
            }
            plain => plain,
        });
    }
    String::from_utf8(out).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn test_names_and_values_are_decoded() {
        let query =
            QueryString::parse("databaseName=A%20b+c&schemaName=&x=%E2%82%AC&flag").unwrap();

        assert_eq!(query.get("databaseName"), Some("A b c"));
        assert_eq!(query.get("schemaName"), None);
        assert_eq!(query.get("x"), Some("€"));
        assert_eq!(query.get("flag"), None);
    }

    #[test]
    fn test_a_name_that_stands_twice_is_an_error() {
        assert_eq!(QueryString::parse("roleName=A&role%4eame=B"), Err(WireError::DuplicateKey));
        assert!(QueryString::parse("a=%4").is_err());
        assert!(QueryString::parse("a=%ff").is_err());
    }

    proptest! {
        #[test]
        fn test_any_text_is_read_or_refused(text: String) {
            let _ = QueryString::parse(&text);
        }
    }
}
