"""Secrets and signatures, as the Standard Webhooks specification has them."""

from __future__ import annotations

import pytest

from remote_server.domain.signing import KEY_SIZE, SigningKey, headers, key_text


def key(byte: bytes = b"k") -> SigningKey:
    return SigningKey(key_text(byte * KEY_SIZE))


def test_the_signature_is_the_one_of_the_specification() -> None:
    """The example that libraries of the specification test themselves with."""
    found = headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert found == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_secret_signs() -> None:
    secrets = [key().secret("h", 2), key().secret("h", 1)]
    signature = headers(secrets, "1", 2, b"x")["webhook-signature"].split(" ")
    assert signature == [headers([one], "1", 2, b"x")["webhook-signature"] for one in secrets]


def test_secrets_differ_and_are_found_again() -> None:
    made = {
        key().secret("h", 1), key().secret("h", 2), key().secret("i", 1), key(b"l").secret("h", 1)
    }  # fmt: skip
    assert len(made) == 4
    assert key().secret("h", 1) in made
    assert key().id == key().id != key(b"l").id


@pytest.mark.parametrize("text", ["", "word", "a" * 44, key_text(b"short")])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="base64 of 32 bytes"):
        SigningKey(text)
