//! The ends of a text that a partial mask keeps.
//!
//! A text is cut the same way whether it comes plain (Arrow) or escaped (JSON). The stars between
//! the ends are always three, so that they do not tell the length of what they hide.

/// What stands for a hidden text, or for the hidden middle of one.
pub(crate) const STARS: &str = "***";

/// How many characters stay at each end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Keep {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Keep {
    /// Whether the ends are at most half of a text of so many characters; if not, none of it shows.
    fn fits(self, characters: usize) -> bool {
        // Both are 16-bit numbers at the edge, so the sum cannot overflow.
        (self.first + self.last) * 2 <= characters
    }

    /// Where the kept head of a text ends and its kept tail starts, in bytes; None if nothing is
    /// kept of it.
    pub(crate) fn cut(self, text: &str) -> Option<(usize, usize)> {
        // A text has at least as many bytes as characters: most short ones need no counting.
        if !self.fits(text.len()) || !self.fits(text.chars().count()) {
            return None;
        }
        let head = text.char_indices().nth(self.first).map_or(text.len(), |(at, _)| at);
        let tail = match self.last.checked_sub(1) {
            None => text.len(),
            Some(skipped) => text.char_indices().rev().nth(skipped).map_or(0, |(at, _)| at),
        };
        Some((head, tail))
    }

    /// As [`Self::cut`], for the inside of a JSON string that holds escapes and is known to be valid:
    /// the cuts fall between characters, never within an escape or a pair of surrogates.
    pub(crate) fn cut_escaped(self, json: &[u8]) -> Option<(usize, usize)> {
        let characters = Units { json, at: 0 }.count();
        if !self.fits(characters) {
            return None;
        }
        let at = |index| Units { json, at: 0 }.nth(index).unwrap_or(json.len());
        Some((at(self.first), at(characters - self.last)))
    }
}

/// The offsets at which the characters of an escaped text start.
struct Units<'a> {
    json: &'a [u8],
    at: usize,
}

impl Iterator for Units<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let start = self.at;
        self.at += match (self.json.get(start)?, self.json.get(start + 1), self.json.get(start + 2))
        {
            (b'\\', Some(b'u'), Some(b'd' | b'D'))
                if self
                    .json
                    .get(start + 3)
                    .is_some_and(|digit| is_high_surrogate_digit(*digit)) =>
            {
                12
            }
            (b'\\', Some(b'u'), _) => 6,
            (0xf0.., _, _) => 4,
            (0xe0.., _, _) => 3,
            (b'\\' | 0xc0.., _, _) => 2,
            _ => 1,
        };
        Some(start)
    }
}

/// Whether `\ud` and this digit start a high surrogate, U+D800 to U+DBFF.
fn is_high_surrogate_digit(digit: u8) -> bool {
    matches!(digit, b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(keep: Keep, text: &str) -> String {
        keep.cut(text).map_or(STARS.to_owned(), |(head, tail)| {
            format!("{}{STARS}{}", &text[..head], &text[tail..])
        })
    }

    #[test]
    fn ends_are_kept_in_characters_not_bytes() {
        let keep = Keep { first: 1, last: 2 };

        assert_eq!(shown(keep, "äöüßéñ"), "ä***éñ");
        assert_eq!(shown(keep, "🦀bcdefgh"), "🦀***gh");
    }

    #[test]
    fn no_more_than_half_of_a_text_ever_shows() {
        let keep = Keep { first: 2, last: 2 };

        assert_eq!(shown(keep, "abcdefg"), "***");
        assert_eq!(shown(keep, "abcdefgh"), "ab***gh");
        assert_eq!(shown(keep, ""), "***");
    }

    #[test]
    fn keeping_nothing_shows_stars_only() {
        assert_eq!(shown(Keep { first: 0, last: 0 }, "abc"), "***");
        assert_eq!(shown(Keep { first: 0, last: 0 }, ""), "***");
    }

    /// Writes every character as an escape, those beyond the first plane as two.
    fn escape_all(text: &str) -> String {
        let units: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        units.concat()
    }

    proptest! {
        #[test]
        fn an_escaped_text_is_cut_as_the_plain_one(
            text in any::<String>(), first in 0_usize..5, last in 0_usize..5
        ) {
            let keep = Keep { first, last };
            let quoted = serde_json::to_string(&text).unwrap();
            let minimal = &quoted[1..quoted.len() - 1];

            for json in [minimal.to_owned(), escape_all(&text)] {
                let cut = keep.cut_escaped(json.as_bytes()).map(|(head, tail)| {
                    let decode = |raw: &str| {
                        serde_json::from_str::<String>(&format!("\"{raw}\"")).unwrap()
                    };
                    (decode(&json[..head]), decode(&json[tail..]))
                });
                let plain = keep.cut(&text)
                    .map(|(head, tail)| (text[..head].to_owned(), text[tail..].to_owned()));
                prop_assert_eq!(cut, plain);
            }
        }
    }
}
