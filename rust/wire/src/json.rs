//! Strict reading on top of `serde_json`: no duplicate key, no endless nesting, no content in errors.
//!
//! Every message passes [`check`] once; after it, an object is a map of raw values, read key by key.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::WireError;

/// Objects and arrays may be nested this deep. The deepest message of the drivers has nine levels;
/// `serde_json` itself would stop at 128.
pub const MAX_DEPTH: usize = 64;

const DUPLICATE: &str = "\u{1}duplicate";
const DEEP: &str = "\u{1}deep";

/// Check that `text` is one JSON value, that no object holds a key twice, and that nesting stays
/// within [`MAX_DEPTH`].
pub fn check(text: &[u8]) -> Result<(), WireError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Strict { left: MAX_DEPTH }.deserialize(&mut reader).and_then(|()| reader.end()).map_err(
        |error| {
            let shown = error.to_string();
            if shown.starts_with(DUPLICATE) {
                WireError::DuplicateKey
            } else if shown.starts_with(DEEP) {
                WireError::TooDeep
            } else {
                WireError::Json { line: error.line(), column: error.column() }
            }
        },
    )
}

/// Visits a value of any kind and keeps nothing of it.
struct Strict {
    left: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.left.checked_sub(1).ok_or_else(|| E::custom(DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let left = self.deeper()?;
        while items.next_element_seed(Self { left })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let left = self.deeper()?;
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(key) = entries.next_key()? {
            if !seen.insert(key) {
                return Err(A::Error::custom(DUPLICATE));
            }
            entries.next_value_seed(Self { left })?;
        }
        Ok(())
    }
}

/// The entries of one checked object, taken out key by key; what is left was not asked for.
pub(crate) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Check a whole message and open its outermost object.
    pub(crate) fn message(text: &'a [u8]) -> Result<Self, WireError> {
        check(text)?;
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| WireError::Json { line: error.line(), column: error.column() })
    }

    /// Open an object inside a checked message.
    pub(crate) fn open(key: &'static str, value: &'a RawValue) -> Result<Self, WireError> {
        serde_json::from_str(value.get()).map(Self).map_err(|_| WireError::Unexpected { key })
    }

    /// Entries of a checked message.
    pub(crate) fn of(entries: BTreeMap<String, &'a RawValue>) -> Self {
        Self(entries)
    }

    /// An object without entries.
    pub(crate) fn empty() -> Self {
        Self(BTreeMap::new())
    }

    /// Take a value as it stands; null and absent are the same.
    pub(crate) fn raw(&mut self, key: &str) -> Option<&'a RawValue> {
        self.0.remove(key).filter(|value| value.get() != "null")
    }

    /// Take a value as `T`; null and absent are the same.
    pub(crate) fn take<T: Deserialize<'a>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, WireError> {
        self.raw(key).map(|value| read(key, value)).transpose()
    }

    /// Take a value as `T` that must be there.
    pub(crate) fn need<T: Deserialize<'a>>(&mut self, key: &'static str) -> Result<T, WireError> {
        self.take(key)?.ok_or(WireError::Missing { key })
    }

    /// Take a text; null, absent and empty are the same.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<String>, WireError> {
        Ok(self.take::<String>(key)?.filter(|text| !text.is_empty()))
    }

    /// Open the object under a key; null and absent are an empty one.
    pub(crate) fn object(&mut self, key: &'static str) -> Result<Self, WireError> {
        self.raw(key).map_or_else(|| Ok(Self::empty()), |value| Self::open(key, value))
    }

    /// The entries that were not taken.
    pub(crate) fn rest(self) -> impl Iterator<Item = (String, &'a RawValue)> {
        self.0.into_iter()
    }
}

/// Read a checked value; the error names the key only.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    key: &'static str,
    value: &'a RawValue,
) -> Result<T, WireError> {
    serde_json::from_str(value.get()).map_err(|_| WireError::Unexpected { key })
}

/// Writes one object, entry by entry, in the order of the calls.
pub(crate) struct ObjectWriter {
    out: Vec<u8>,
}

impl ObjectWriter {
    pub(crate) fn new() -> Self {
        Self { out: vec![b'{'] }
    }

    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        write(&mut self.out, &key);
        self.out.push(b':');
    }

    pub(crate) fn put<T: serde::Serialize + ?Sized>(&mut self, key: &str, value: &T) -> &mut Self {
        self.key(key);
        write(&mut self.out, value);
        self
    }

    /// Put bytes that are JSON already.
    pub(crate) fn put_raw(&mut self, key: &str, json: &[u8]) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(json);
        self
    }

    pub(crate) fn put_some<T: serde::Serialize>(&mut self, key: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.out.push(b'}');
        std::mem::take(&mut self.out)
    }
}

pub(crate) fn write<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let start = out.len();
    // Writing to memory cannot fail, and no type of ours refuses to serialize; should that change,
    // null keeps the text well-formed and shows nothing.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn test_a_key_that_stands_twice_is_an_error_at_any_depth() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"[{"x":[{"sqlText":"a","sqlText":"b"}]}]"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(check(text.as_bytes()), Err(WireError::DuplicateKey), "{text}");
        }
    }

    #[test]
    fn test_nesting_stops_at_the_limit() {
        let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();

        assert_eq!(check(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(WireError::TooDeep));
        assert_eq!(check(&nested(100_000)), Err(WireError::TooDeep));
    }

    #[test]
    fn test_an_error_shows_no_content() {
        let error = check(br#"{"a":"hunter2" x"#).unwrap_err();

        assert_eq!(error, WireError::Json { line: 1, column: 16 });
        assert!(check(b"{} {}").is_err());
        assert!(check(b"").is_err());
        assert!(check(b"\"\xff\"").is_err());
    }

    proptest! {
        #[test]
        fn test_any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = check(&bytes);
        }
    }
}
