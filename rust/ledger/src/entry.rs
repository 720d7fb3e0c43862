//! Entries: canonical JSON, `{"kind":"…","seq":n,"time":"2026-11-24T08:00:00.123456Z",…}`.
//!
//! Canonical: members sorted by their names' bytes, each name once, no white space, strings escaped as
//! RFC 8785 says. Numbers stand as they were written.

use std::time::SystemTime;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use crate::LedgerError;

/// Longest entry: it must fit a bundle's 16-bit length (tlog-tiles) with room to spare.
pub const MAX_ENTRY_BYTES: usize = 32 * 1024;

/// Longest text beside an entry, such as a statement.
pub const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// Deepest nesting of an entry.
const MAX_DEPTH: usize = 64;

const SET_BY_THE_LEDGER: [&str; 3] = ["kind", "seq", "time"];

/// What is to be recorded.
pub struct NewEntry {
    /// What happened: lower-case letters, digits, `_` and `-`.
    pub kind: String,
    /// Members beside `kind`, `seq` and `time`.
    pub fields: Map<String, Value>,
    /// Texts to be encrypted; each becomes the member `field` with a [`TextRef`].
    pub texts: Vec<Text>,
}

/// A text that may hold personal data.
pub struct Text {
    /// Member of the entry that refers to it.
    pub field: String,
    /// Whose data it is: texts of one subject and day share a key, so that they can be destroyed
    /// together.
    pub subject: String,
    /// The text, at most [`MAX_TEXT_BYTES`].
    pub bytes: Vec<u8>,
}

/// How an entry refers to an encrypted text.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TextRef {
    /// SHA-256 of the ciphertext frame, in hex.
    pub blob: String,
    /// Length of the text.
    pub bytes: u64,
    /// Id of the key it is encrypted under.
    pub key: String,
}

impl NewEntry {
    /// Bytes it will take, roughly.
    pub(crate) fn weight(&self) -> usize {
        MAX_ENTRY_BYTES + self.texts.iter().map(|text| text.bytes.len()).sum::<usize>()
    }

    /// Refuses what could not be told apart when read back.
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if self.kind.is_empty() || self.kind.len() > 64 || !self.kind.chars().all(named) {
            return Err(LedgerError::entry("its kind is not a lower-case word"));
        }
        if let Some(name) = SET_BY_THE_LEDGER.iter().find(|name| self.fields.contains_key(**name)) {
            return Err(LedgerError::entry(format!("`{name}` is set by the ledger")));
        }
        if let Some((name, _)) = self.fields.iter().find(|(_, value)| value.get("blob").is_some()) {
            return Err(LedgerError::entry(format!("`{name}` looks like a text, but is a field")));
        }
        for (at, text) in self.texts.iter().enumerate() {
            let twice = self.texts.iter().take(at).any(|other| other.field == text.field);
            let taken = SET_BY_THE_LEDGER.contains(&text.field.as_str());
            if twice || taken || self.fields.contains_key(&text.field) {
                return Err(LedgerError::entry(format!("`{}` is given twice", text.field)));
            }
            if text.bytes.len() > MAX_TEXT_BYTES {
                return Err(LedgerError::entry(format!("the text `{}` is too long", text.field)));
            }
        }
        Ok(())
    }
}

/// Writes an entry. `fields` holds all members but the three the ledger sets.
pub(crate) fn render(
    seq: u64,
    time: &str,
    kind: String,
    mut fields: Map<String, Value>,
) -> Result<Vec<u8>, LedgerError> {
    fields.insert("kind".to_owned(), Value::String(kind));
    fields.insert("seq".to_owned(), seq.into());
    fields.insert("time".to_owned(), time.into());
    let loose = serde_json::to_string(&fields)
        .map_err(|_| LedgerError::entry("its fields are not JSON"))?;
    let mut out = String::with_capacity(loose.len());
    canonical(&loose, MAX_DEPTH, true, &mut out).map_err(LedgerError::entry)?;
    if out.len() > MAX_ENTRY_BYTES {
        return Err(LedgerError::entry(format!("it is longer than {MAX_ENTRY_BYTES} bytes")));
    }
    Ok(out.into_bytes())
}

/// Reads an entry, which must be canonical.
pub(crate) fn parse(json: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(json).map_err(|_| "entry is not UTF-8")?;
    if text.len() > MAX_ENTRY_BYTES {
        return Err("entry is too long".to_owned());
    }
    let mut again = String::with_capacity(text.len());
    canonical(text, MAX_DEPTH, false, &mut again)?;
    if again != text || !text.starts_with('{') {
        return Err("entry is not canonical JSON".to_owned());
    }
    serde_json::from_str(text).map_err(|_| "entry is not a JSON object".to_owned())
}

/// The texts an entry refers to, in the order of their blobs.
pub(crate) fn texts(fields: &Map<String, Value>) -> Result<Vec<(String, TextRef)>, String> {
    let mut found = Vec::new();
    for (name, value) in fields.iter().filter(|(_, value)| value.get("blob").is_some()) {
        let text = TextRef::deserialize(value)
            .map_err(|_| format!("the reference of `{name}` to its text is malformed"))?;
        found.push((name.clone(), text));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// Members of an object in the order they stand, duplicates included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Appends the canonical form of `raw` to `out`. With `sort`, members are put in order first;
/// without, they must stand in order already.
fn canonical(raw: &str, depth: usize, sort: bool, out: &mut String) -> Result<(), String> {
    let malformed = |_| "entry is not JSON".to_owned();
    let deeper = depth.checked_sub(1).ok_or("entry is nested too deep")?;
    match raw.as_bytes().first() {
        Some(b'{') => {
            let Members(mut members) = serde_json::from_str(raw).map_err(malformed)?;
            if sort {
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
            }
            let names = members.iter().zip(members.iter().skip(1));
            if names.into_iter().any(|((one, _), (next, _))| one >= next) {
                return Err("members of the entry are out of order or given twice".to_owned());
            }
            for (at, (name, value)) in members.iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                out.push_str(&serde_json::to_string(name).map_err(malformed)?);
                out.push(':');
                canonical(value.get(), deeper, sort, out)?;
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(malformed)?;
            for (at, item) in items.iter().enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                canonical(item.get(), deeper, sort, out)?;
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(raw).map_err(malformed)?;
            out.push_str(&serde_json::to_string(&text).map_err(malformed)?);
        }
        _ => out.push_str(raw),
    }
    Ok(())
}

/// A moment as entries carry it: UTC, RFC 3339, microseconds. Such texts sort as the moments do.
pub fn timestamp(moment: SystemTime) -> String {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a date of the Gregorian calendar, in eras of 400 years that begin on 1 March: Hinnant,
    // "chrono-compatible low-level date algorithms", civil_from_days, for days from 1970 on.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let microsecond = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}Z")
}

/// The Unix time, in seconds, of what [`timestamp`] wrote; `None` for any other text.
pub fn unix_seconds(text: &str) -> Option<f64> {
    if !is_timestamp(text) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok().map(u64::from);
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    // Hinnant, as above: days_from_civil.
    let year = number(0, 4)?.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let whole = std::time::Duration::from_secs(seconds);
    Some((whole + std::time::Duration::from_micros(number(20, 26)?)).as_secs_f64())
}

/// Whether `text` has the form of [`timestamp`].
pub(crate) fn is_timestamp(text: &str) -> bool {
    let form = b"0000-00-00T00:00:00.000000Z";
    text.len() == form.len()
        && text
            .bytes()
            .zip(form)
            .all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn members_are_sorted_at_every_level() {
        let entry = render(
            3,
            "2026-11-24T08:00:00.123456Z",
            "intent".into(),
            fields(&json!({"z": {"b": 1, "a": [{"d": 1, "c": 2}]}})),
        )
        .unwrap();

        assert_eq!(
            String::from_utf8(entry).unwrap(),
            r#"{"kind":"intent","seq":3,"time":"2026-11-24T08:00:00.123456Z","z":{"a":[{"c":2,"d":1}],"b":1}}"#
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for wrong in [
            r#"{"a":1,"a":2}"#,
            r#"{"b":1,"a":2}"#,
            r#"{"a": 1}"#,
            r#"{"a":1} "#,
            r#" {"a":1}"#,
            r#"{"a":"\u0041"}"#,
            r#"{"a":[1, 2]}"#,
            "[1]",
            r#"{"a":1}{"a":1}"#,
            "",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(parse(br#"{"a":[1,2.50,true,null,"\n"],"b":{}}"#).is_ok());
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));

        assert!(parse(deep.as_bytes()).unwrap_err().contains("too deep"));
    }

    #[test]
    fn moments_are_written_as_dates() {
        let cases = [
            (0, "1970-01-01T00:00:00.000005Z"),
            (951_782_400, "2000-02-29T00:00:00.000005Z"),
            (1_795_507_199, "2026-11-24T07:59:59.000005Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000005Z"),
        ];
        for (seconds, text) in cases {
            let moment = SystemTime::UNIX_EPOCH + Duration::new(seconds, 5_000);

            assert_eq!(timestamp(moment), text);
            assert!(is_timestamp(text));
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_canonical(value in json_value()) {
            let time = "2026-11-24T08:00:00.123456Z";

            let entry = render(1, time, "x".into(), fields(&json!({"v": value}))).unwrap();

            prop_assert!(parse(&entry).is_ok());
        }

        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }

    proptest! {
        #[test]
        fn times_are_read_as_they_were_written(micros in 0_u64..8_000_000_000_000_000) {
            let since = Duration::from_micros(micros);
            let text = timestamp(SystemTime::UNIX_EPOCH + since);
            let read = unix_seconds(&text).unwrap();
            prop_assert!((read - since.as_secs_f64()).abs() < 1e-6, "{text}");
        }
    }

    #[test]
    fn no_other_text_is_read_as_a_time() {
        for text in ["", "2026-11-24", "2026-11-24T08:00:00Z", "0000-00-00T00:00:00.000000Z"] {
            assert_eq!(unix_seconds(text), None);
        }
    }
}
