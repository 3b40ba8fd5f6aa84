"""Values of settings that have a form of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from remote_server.setting_values import (
    ExpandedPath,
    as_database_url,
    as_networks,
    as_proxy,
    as_texts,
    parse_address,
)


def test_lists_are_lists_or_texts_with_commas() -> None:
    assert as_texts("a, b c") == as_texts(["a", "b c"]) == ("a", "b c")
    assert as_networks("10.0.0.0/8,::1") == ("10.0.0.0/8", "::1")
    for wrong in (7, ["a", 7], ["a", ""], "a,,b"):
        with pytest.raises(ValueError, match="list"):
            as_texts(wrong)
    with pytest.raises(ValueError):
        as_networks(["nowhere"])


def test_what_may_hold_a_password_is_not_shown() -> None:
    with pytest.raises(ValueError) as caught:
        as_database_url("s3cret")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ValueError) as caught:
        as_proxy("socks5://u:s3cret@h")
    assert "s3cret" not in str(caught.value)
    assert as_proxy("http://h:1") == "http://h:1"
    assert as_database_url("sqlite:///x") == "sqlite:///x"


def test_a_path_may_begin_at_home() -> None:
    assert TypeAdapter(ExpandedPath).validate_python("~/x") == Path.home() / "x"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        (":8750", ("0.0.0.0", 8750)),
        ("[::1]:1", ("::1", 1)),
        ("example.com:65535", ("example.com", 65535)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    found = parse_address(text)
    assert found == address
    assert parse_address(str(found)) == found


@pytest.mark.parametrize("text", ["", "8750", "host", "host:", "host:x", "host:65536", "::1:80"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)
