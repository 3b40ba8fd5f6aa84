"""Texts of others, made safe to print: a terminal shows their control characters and obeys none.
Pure.
"""

from __future__ import annotations

import json
import re
from typing import Final

_CONTROLS: Final = re.compile(
    # C0 and DEL without tab and newline, C1, and what turns the direction of writing (UAX #9).
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
# Halves of surrogate pairs, which no text file can hold.
_UNWRITABLE: Final = re.compile(f"{_CONTROLS.pattern}|[\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with its control characters shown as `\\x1b`; tabs and newlines stay."""
    shown = _CONTROLS.sub(_shown, text)
    return shown if shown.isascii() else shown.encode("utf-8", "backslashreplace").decode()


def json_text(document: object, indent: int | None = 2) -> str:
    """The document as JSON for people and programs, without any control character; `indent` None:
    on one line."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    # RFC 8259 §7 lets them stand in strings; escaped they mean the same.
    return _UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
