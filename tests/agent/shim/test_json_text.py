"""JSON as shims make and read it: what the standard library reads, with six digits of a second."""

from __future__ import annotations

import json
import signal

import pytest

from remote_agent.shim.json_text import decode, encode, quote


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -7,
        1 << 70,
        0.0,
        12.5,
        -0.25,
        1795831273.968716,
        "",
        'with "quotes" \\ and\nlines \x00 \x7f \u20ac \U0001f600 \udc80',
        [],
        {},
        [1, [2.5, None], {"a": [True]}],
        (("name", 3), ("other", 4)),
        {"a": {"b": {"c": "d"}}, '"\n': "odd key"},
        signal.SIGTERM,
    ],
)
def test_a_value_is_what_json_reads(value: object) -> None:
    text = encode(value)
    assert json.loads(text) == json.loads(json.dumps(value)) == decode(text.encode())
    assert text.isascii() and ": " not in text and ", " not in text


def test_fractions_have_six_digits() -> None:
    assert encode({"at": 1 / 3, "b": 2e-9}) == '{"at":0.333333,"b":0.000000}'
    assert encode(1e22) == "10000000000000000000000.000000"


def test_a_text_is_quoted() -> None:
    assert quote('a"b') == '"a\\"b"'


def test_what_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError):
        encode({"a": object()})


@pytest.mark.parametrize("data", [b"", b"{", b"{} {}", b"nothing", b"\xff", b"[1,]"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


def test_blanks_around_it_do_not_matter() -> None:
    assert decode(b' {"a": 1}\n') == {"a": 1}
