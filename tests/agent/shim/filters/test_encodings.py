"""A value is searched for in every form in which common programs print it."""

from __future__ import annotations

import json
import shlex
import subprocess
import urllib.parse
from base64 import b64encode, encodebytes, urlsafe_b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from remote_agent.shim.filters.encodings import PIECE, SHORTEST, forms, lines_of, maskable
from remote_agent.shim.filters.matcher import Matcher

ODD = "p&ss wörd/<'\"+=?~*\\\t$100%"


def searched(value: str, text: str | bytes) -> bytes:
    """What of a text is not covered by any form of the value."""
    data = text.encode() if isinstance(text, str) else text
    matcher, left, at = Matcher(), b"", 0
    matcher.add(forms(value.encode()))
    for start, end in matcher.spans(data):
        left, at = left + data[at:start], end
    return left + data[at:]


@pytest.mark.parametrize(
    "encoded",
    [
        ODD,
        urllib.parse.quote(ODD),
        urllib.parse.quote(ODD, safe=""),
        urllib.parse.quote_plus(ODD),
        urllib.parse.urlencode({"": ODD})[1:],
        urllib.parse.quote(ODD, safe="!*'()"),  # encodeURIComponent
        urllib.parse.quote(ODD, safe="!*'();/?:@&=+$,#"),  # encodeURI
        urllib.parse.quote(ODD).replace("%C3%B6", "%c3%b6").replace("%3C", "%3c").lower(),
        json.dumps(ODD),
        json.dumps(ODD, ensure_ascii=False),
        json.dumps(ODD).replace("/", "\\/"),
        json.dumps(ODD).replace("00f6", "00F6"),
        json.dumps(ODD, ensure_ascii=False).replace("<", "\\u003c").replace("&", "\\u0026"),
        shlex.quote(ODD),
        "'" + ODD.replace("'", "'\\''") + "'",
        ODD.encode().hex(),
        ODD.encode().hex().upper(),
        b64encode(ODD.encode()).decode(),
        urlsafe_b64encode(ODD.encode()).decode(),
    ],
)
def test_nothing_of_a_value_with_odd_characters_is_left(encoded: str) -> None:
    assert set(searched(ODD, encoded)) <= set(b"\"'=")


@given(st.binary(max_size=20), st.binary(min_size=SHORTEST, max_size=40), st.binary(max_size=20))
def test_of_base64_only_characters_shared_with_neighbours_are_left(
    before: bytes, value: bytes, after: bytes
) -> None:
    assume(value.strip() == value and b"\r" not in value and b"\n" not in value)
    assume(maskable(value))
    bits = 8 * len(before), 8 * (len(before) + len(value))
    whole = range(-(-bits[0] // 6), bits[1] // 6)
    for encode in (b64encode, urlsafe_b64encode):
        text = encode(before + value + after)
        found = forms(value)
        assert text[whole.start : whole.stop] in found


def test_base64_that_is_broken_into_lines_is_found() -> None:
    value = "".join(f"{number:03}," for number in range(60))
    assert searched(value, encodebytes(value.encode())).replace(b"\n", b"") == b""
    wide = b64encode(value.encode())
    narrow = b"\n".join(wide[at : at + 64] for at in range(0, len(wide), 64))
    assert searched(value, narrow).replace(b"\n", b"") == b""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_each_line_of_a_value_is_found_and_the_whole_with_either_ending(ending: str) -> None:
    value = ending.join(["-----BEGIN KEY-----", "", "  MIIEvQIBADAN", "ab", "Q29udGFpbnM=", ""])
    assert searched(value, "MIIEvQIBADAN") == b""
    assert searched(value, "x Q29udGFpbnM= y") == b"x  y"
    assert searched(value, "ab") == b"ab", "a line that short stands everywhere"
    for other in ("\n", "\r\n"):
        assert searched(value, value.strip().replace(ending, other)) == b""
    assert searched(value, json.dumps(value.strip())) == b'""'
    assert len(searched(value, b64encode(value.strip().encode())).rstrip(b"=")) <= 1


def test_white_space_around_a_value_is_no_part_of_it() -> None:
    assert lines_of(b" hunter22 \n\n") == [b"hunter22"]
    assert searched("hunter22\n", "[hunter22]") == b"[]"
    assert forms(b" \n") == forms(b"") == set()


@pytest.mark.parametrize("value", ["abc", "true", "False", "NULL", "none", " ab \n"])
def test_what_stands_everywhere_is_not_searched_for(value: str) -> None:
    assert not maskable(value.strip().encode()) and forms(value.encode()) == set()


def test_a_value_of_the_shortest_length_is_searched_for() -> None:
    assert searched("abcd", "x abcd y") == b"x  y"
    assert all(len(form) >= SHORTEST for form in forms(b"abcd"))


def test_long_values_are_searched_piece_by_piece() -> None:
    value = "".join(f"{number:05}" for number in range(500))
    assert max(map(len, forms(value.encode()))) == PIECE
    assert searched(value, f"<{value}>") == b"<>"
    # The character that holds bits of the byte before it, and the one that is not complete.
    assert searched(value, b64encode(b"0" + value.encode())) == b"MD="


def test_bytes_that_are_no_text_are_searched_for() -> None:
    assert b"\xff\xfe\x00\x01" in forms(b"\xff\xfe\x00\x01")


def test_what_a_tracing_shell_prints_is_found() -> None:
    script = ["bash", "-c", 'set -x; : "$TOKEN"']
    ran = subprocess.run(script, env={"TOKEN": "it's o'clock"}, capture_output=True, check=True)
    assert searched("it's o'clock", ran.stderr) == b"+ : ''\n"
