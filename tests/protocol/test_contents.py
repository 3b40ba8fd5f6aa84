"""Names and sizes of contents."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from remote_protocol.contents import ContentSize, Digest
from remote_protocol.limits import MAX_CONTENT

DIGEST: TypeAdapter[str] = TypeAdapter(Digest)
SIZE: TypeAdapter[int] = TypeAdapter(ContentSize)


def test_a_digest_has_one_form() -> None:
    assert DIGEST.validate_python("0a" * 32) == "0a" * 32
    for other in ("0A" * 32, "0a" * 31, "0a" * 33, "../" + "a" * 61, "0a" * 32 + "\n"):
        with pytest.raises(ValidationError):
            DIGEST.validate_python(other)


def test_sizes() -> None:
    assert SIZE.validate_python(0) == 0 and SIZE.validate_python(MAX_CONTENT) == MAX_CONTENT
    for other in (-1, MAX_CONTENT + 1):
        with pytest.raises(ValidationError):
            SIZE.validate_python(other)
