import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowgate.audit.render import visible, visible_json, visible_lines

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "C1 control sequence": "\x9b31m",
    "carriage return": "allowed\rdenied ",
    "backspace": "a\x08b",
    "delete": "a\x7fb",
    "right-to-left override": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "zero width space": "DR\u200bOP",
    "joiner": "a\u2060b\u034fc",
    "byte order mark": "\ufeffSELECT",
    "soft hyphen": "DR\u00adOP",
    "tags": "a\U000e0041b",
    "variation selector": "a\ufe0fb",
    "blank letters": "a\u3164b\u2800c",
    "no-break space": "a\u00a0b",
    "line separator": "a\u2028b",
    "next line": "a\x85b",
    "tab": "a\tb",
    "lone surrogate": "a\ud800b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_acts_or_hides_is_shown_as_its_code_point(text: str) -> None:
    shown = visible(text)

    assert shown.isprintable()
    assert "<U+" in shown


def test_every_script_shows_as_it_is() -> None:
    text = "größer 客户 клиент عميل ग्राहक <U+0041> \\u202e"

    assert visible(text) == text


def test_only_a_line_feed_ends_a_line() -> None:
    assert visible_lines("a\r\nb\x0bc\u2028d") == ["a<U+000D>", "b<U+000B>c<U+2028>d"]


@given(st.text(st.characters()))
def test_nothing_hidden_is_left_in_any_text(text: str) -> None:
    for shown in (visible(text), visible_json({text: text})):
        assert all(unicodedata.category(char)[0] not in "CZ" or char == " " for char in shown)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_made_visible_is_the_same_value(text: str) -> None:
    assert json.loads(visible_json([text, {text: 1}])) == [text, {text: 1}]
