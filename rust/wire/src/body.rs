//! Bodies as they come: identity or gzip, within a limit.

use std::{borrow::Cow, io::Read};

use flate2::read::MultiGzDecoder;

use crate::WireError;

/// First bytes of a gzip member (RFC 1952, section 2.3.1). No JSON text starts with them.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The body in clear.
///
/// The magic bytes decide, not the header: Node announces gzip and sends plain text now and then,
/// and storage serves gzip without saying so. A header that names another encoding is an error.
///
/// # Arguments
///
/// - `content_encoding`: value of the header, if there is one.
/// - `limit_bytes`: limit of the body as it came and of what it inflates to; inflating stops there.
pub fn decode_body<'a>(
    content_encoding: Option<&str>,
    raw: &'a [u8],
    limit_bytes: usize,
) -> Result<Cow<'a, [u8]>, WireError> {
    let known = content_encoding.is_none_or(|name| {
        let name = name.trim();
        ["", "identity", "gzip", "x-gzip"].iter().any(|known| name.eq_ignore_ascii_case(known))
    });
    if !known {
        return Err(WireError::Encoding { reason: "only identity and gzip are read" });
    }
    if raw.len() > limit_bytes {
        return Err(WireError::TooLarge { limit_bytes });
    }
    if !raw.starts_with(&GZIP_MAGIC) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut clear = Vec::with_capacity(raw.len().saturating_mul(4).min(limit_bytes));
    let ceiling = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(raw)
        .take(ceiling)
        .read_to_end(&mut clear)
        .map_err(|_| WireError::Encoding { reason: "damaged gzip stream" })?;
    if clear.len() > limit_bytes {
        return Err(WireError::TooLarge { limit_bytes });
    }
    Ok(Cow::Owned(clear))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    fn gzip(clear: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(clear).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn test_a_gzip_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![b' '; 8 << 20]);

        assert!(bomb.len() < 64 << 10);
        assert_eq!(
            decode_body(Some("gzip"), &bomb, 64 << 10),
            Err(WireError::TooLarge { limit_bytes: 64 << 10 })
        );
    }

    #[test]
    fn test_the_magic_decides_not_the_header() {
        let zipped = gzip(b"{}");

        assert_eq!(decode_body(None, &zipped, 100).unwrap().as_ref(), b"{}");
        assert_eq!(decode_body(Some("gzip"), b"{}", 100).unwrap().as_ref(), b"{}");
        assert_eq!(decode_body(Some("gzip"), b"", 100).unwrap().as_ref(), b"");
    }

    #[test]
    fn test_several_members_are_one_body() {
        let mut two = gzip(b"{\"a\":");
        two.extend(gzip(b"1}"));

        assert_eq!(decode_body(Some("GZIP"), &two, 100).unwrap().as_ref(), b"{\"a\":1}");
    }

    #[test]
    fn test_other_encodings_and_damage_are_errors() {
        let mut cut = gzip(b"some text that is long enough");
        cut.truncate(cut.len() - 5);

        assert!(matches!(decode_body(Some("br"), b"{}", 9), Err(WireError::Encoding { .. })));
        assert!(matches!(decode_body(None, &cut, 99), Err(WireError::Encoding { .. })));
        assert!(matches!(decode_body(None, b"0123456789", 9), Err(WireError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn test_gzip_round_trips(clear: Vec<u8>) {
            let zipped = gzip(&clear);
            let limit_bytes = clear.len().max(zipped.len());
            let decoded = decode_body(Some("gzip"), &zipped, limit_bytes).unwrap();
            prop_assert_eq!(decoded.as_ref(), clear.as_slice());
        }
    }
}
