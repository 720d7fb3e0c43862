"""Makes foreign text safe to show: the one way from a ledger to a terminal (F29).

What moves the cursor, changes colours, reorders a line or cannot be seen is written as its code
point, such as `<U+202E>`. What is left shows as it is, in every script.
"""

from __future__ import annotations

import json
import re
import unicodedata

# Control, format, surrogate, private and unassigned; separators of lines and paragraphs; and every
# space but the plain one, since they look alike and a lexer may not agree.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})

# Default_Ignorable_Code_Point of the Unicode character database (DerivedCoreProperties.txt), where
# the category alone does not tell, and the two letters that show as blanks.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0000-\U000e0fff]"
)


def _is_hidden(char: str) -> bool:
    if " " <= char <= "~":
        return False
    return unicodedata.category(char) in _HIDDEN_CATEGORIES or bool(_IGNORABLE.match(char))


def visible(text: str) -> str:
    """The text on one line, each character that hides or acts shown as its code point."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"<U+{ord(char):04X}>" if _is_hidden(char) else char for char in text)


def visible_lines(text: str) -> list[str]:
    """The text line by line, each as `visible` shows it. Only a line feed ends a line."""
    return [visible(line) for line in text.split("\n")]


def visible_json(value: object) -> str:
    """JSON on one line, with what `visible` shows as code points escaped: the same value."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() and text.isprintable():
        return text
    # Such characters can stand in strings only, where an escape means the same.
    return "".join(_escape(char) if _is_hidden(char) else char for char in text)


def visible_json_lines(value: object) -> list[str]:
    """As `visible_json`, indented, line by line."""
    lines = json.dumps(value, ensure_ascii=False, indent=2).split("\n")
    return ["".join(_escape(char) if _is_hidden(char) else char for char in line) for line in lines]


def _escape(char: str) -> str:
    if ord(char) < 0x10000:
        return f"\\u{ord(char):04x}"
    high, low = divmod(ord(char) - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
