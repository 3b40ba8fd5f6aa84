"""ULIDs, names, tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from remote_protocol.ids import (
    JobId,
    LabelKey,
    LabelValue,
    Name,
    Role,
    TokenKind,
    is_ulid,
    kind_of,
    make_token,
    make_ulid,
    ulid_from_bytes,
    ulid_milliseconds,
    ulid_to_bytes,
)

RAW = st.binary(min_size=16, max_size=16)
MILLISECONDS = st.integers(0, (1 << 48) - 1)
ENTROPY = st.binary(min_size=10, max_size=10)


@given(RAW)
def test_a_ulid_goes_to_text_and_back(raw: bytes) -> None:
    text = ulid_from_bytes(raw)
    assert ulid_to_bytes(text) == raw
    assert TypeAdapter(JobId).validate_python(text) == text


@given(RAW, RAW)
def test_ulids_sort_as_their_bytes(one: bytes, other: bytes) -> None:
    assert (ulid_from_bytes(one) < ulid_from_bytes(other)) == (one < other)


@given(MILLISECONDS, ENTROPY)
def test_a_ulid_knows_its_time(milliseconds: int, entropy: bytes) -> None:
    assert ulid_milliseconds(make_ulid(milliseconds, entropy)) == milliseconds


def test_what_is_a_ulid() -> None:
    assert is_ulid("01ARYZ6S410000000000000000")
    for text in ("", "abc", "01ARYZ6S41000000000000000", "01aryz6s410000000000000000", "8" * 26):
        assert not is_ulid(text)
    assert not is_ulid("01ARYZ6S410000000000000000\n")


def test_the_ulid_of_the_specification() -> None:
    # github.com/ulid/spec: its example of a time is 01ARYZ6S41 for 1469918176385.
    assert make_ulid(1469918176385, bytes(10)) == "01ARYZ6S41" + "0" * 16


@pytest.mark.parametrize(
    ("milliseconds", "entropy"), [(-1, bytes(10)), (1 << 48, bytes(10)), (0, b"")]
)
def test_a_ulid_needs_time_and_entropy(milliseconds: int, entropy: bytes) -> None:
    with pytest.raises(ValueError, match="48 bits"):
        make_ulid(milliseconds, entropy)


def test_sixteen_bytes_make_a_ulid() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        ulid_from_bytes(bytes(15))


@pytest.mark.parametrize(
    "text", ["", "0" * 25, "0" * 27, "U" + "0" * 25, "l" * 26, "8" + "0" * 25, "Z" * 26]
)
def test_other_texts_are_no_ulids(text: str) -> None:
    with pytest.raises(ValueError, match="ULID"):
        ulid_to_bytes(text)
    with pytest.raises(ValidationError):
        TypeAdapter(JobId).validate_python(text)


@pytest.mark.parametrize("name", ["a", "host-1", "Web.prod_2", "0" * 128])
def test_names(name: str) -> None:
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ä", "a\n", "0" * 129])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize("key", ["", "a=b", "a,b", "a\nb", "a\rb", "x" * 129])
def test_what_is_no_label(key: str) -> None:
    with pytest.raises(ValidationError, match="label's key"):
        TypeAdapter(LabelKey).validate_python(key)


def test_a_label_has_no_nul() -> None:
    with pytest.raises(ValidationError, match="a label's key cannot contain a NUL character"):
        TypeAdapter(LabelKey).validate_python("a\0")
    with pytest.raises(ValidationError, match="it cannot contain a NUL character"):
        TypeAdapter(LabelValue).validate_python("a\0")


def test_a_label() -> None:
    assert TypeAdapter(LabelKey).validate_python("zone/eu west") == "zone/eu west"


@pytest.mark.parametrize("kind", TokenKind)
def test_a_token_carries_its_kind(kind: TokenKind) -> None:
    token = make_token(kind, bytes(32))
    assert kind_of(token) is kind
    assert len(token) == 47
    assert "token" in kind.words


def test_a_token_needs_its_entropy() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        make_token(TokenKind.API, bytes(31))


@pytest.mark.parametrize("text", ["", "rat", "xyz_abc", " rat_"])
def test_other_texts_name_no_kind(text: str) -> None:
    assert kind_of(text) is None


def test_a_role_includes_those_before_it() -> None:
    allowed = {(a, b) for a in Role for b in Role if a.includes(b)}
    assert allowed == {
        (Role.VIEWER, Role.VIEWER),
        (Role.OPERATOR, Role.VIEWER),
        (Role.OPERATOR, Role.OPERATOR),
        (Role.ADMIN, Role.VIEWER),
        (Role.ADMIN, Role.OPERATOR),
        (Role.ADMIN, Role.ADMIN),
    }
