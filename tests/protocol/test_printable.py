"""Texts of others on a terminal: control characters are shown, and not obeyed."""

from __future__ import annotations

import json

from remote_protocol.printable import json_text, printable

EVIL = "a\x1b]0;title\x07b\x9b2Jc\u202ed\r\x7f"


def test_control_characters_are_shown() -> None:
    assert printable(EVIL) == r"a\x1b]0;title\x07b\x9b2Jc\u202ed\x0d\x7f"
    assert printable("tab\tand\nline, ä and 漢") == "tab\tand\nline, ä and 漢"
    assert printable("half \ud800") == r"half \ud800"


def test_json_means_the_same() -> None:
    text = json_text({"title": EVIL, "half": "\ud800", "ä": ["漢"]})
    assert json.loads(text) == {"title": EVIL, "half": "\ud800", "ä": ["漢"]}
    assert not set(text) & set(EVIL[1:2] + "\x07\x9b\u202e\r\x7f\ud800")
    assert "漢" in text
