"""The cipher: what is sealed opens with its key, under its name, unchanged; and in no other way."""

from __future__ import annotations

import os

import pytest

from remote_server.domain.secrets import Sealed
from remote_server.secrets.keys import (
    KEY_SIZE,
    NONCE_SIZE,
    KeyRing,
    SealingKey,
    Unreadable,
    parse_keys,
)

OLD, NEW = SealingKey(b"o" * KEY_SIZE), SealingKey(b"n" * KEY_SIZE)


def sealed(key: SealingKey = OLD, name: str = "A", value: str = "grüße\n") -> Sealed:
    return key.seal(name, value, os.urandom(NONCE_SIZE))


def test_what_is_sealed_opens() -> None:
    found = sealed()
    assert OLD.open("A", found) == "grüße\n"
    assert (found.key_id, found.nonce) == (OLD.id, found.nonce)
    assert sealed().ciphertext != found.ciphertext
    assert OLD.id != NEW.id


def test_a_value_belongs_to_its_name() -> None:
    with pytest.raises(Unreadable, match="'B' is damaged or was changed") as caught:
        OLD.open("B", sealed())
    assert "grüße" not in str(caught.value)


@pytest.mark.parametrize("field", ["nonce", "ciphertext"])
@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", "QUFBQUFBQUFBQUFB"])
def test_a_change_shows(field: str, text: str) -> None:
    with pytest.raises(Unreadable, match="remotectl secret set A"):
        OLD.open("A", sealed()._replace(**{field: text}))


def test_the_last_key_of_a_ring_seals() -> None:
    ring = KeyRing([OLD, NEW])
    assert ring.current is NEW
    assert ring.open("A", sealed(OLD)) == ring.open("A", sealed(NEW)) == "grüße\n"
    assert ring.has(OLD.id) and not KeyRing([NEW]).has(OLD.id)
    with pytest.raises(Unreadable, match=rf"key {OLD.id}.*another one \({NEW.id}\)"):
        KeyRing([NEW]).open("A", sealed(OLD))
    with pytest.raises(ValueError, match="no key"):
        KeyRing([])


def test_keys_are_text() -> None:
    ring = parse_keys(f"{OLD.text}, {NEW.text}\n")
    assert [key.id for key in ring.keys] == [OLD.id, NEW.id]
    assert [key.id for key in parse_keys(f"{OLD.text}\n{NEW.text}\n").keys] == [OLD.id, NEW.id]
    for text in ("", "damaged", OLD.text[:-4], f"{OLD.text} x"):
        with pytest.raises(ValueError, match="base64 of 32 bytes") as caught:
            parse_keys(text)
        assert OLD.text[:8] not in str(caught.value)
    with pytest.raises(ValueError, match="32 bytes"):
        SealingKey(b"short")


def test_a_key_shows_nothing_of_itself() -> None:
    assert repr(OLD) == f"<SealingKey {OLD.id}>" and OLD.text not in repr(KeyRing([OLD]).keys)
