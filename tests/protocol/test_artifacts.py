"""What messages about artifacts may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remote_protocol.artifacts import ArtifactState
from remote_protocol.messages import Artifact, ArtifactAck

FIELDS: dict[str, Any] = {
    "attempt": "01KADVTZ7WSMA11ESTSMA11EST.1",
    "number": 1,
    "name": "a/b",
    "size": 0,
    "checksum": "0" * 64,
}


def test_a_message() -> None:
    made = Artifact.model_validate(FIELDS)
    assert (made.name, made.number) == ("a/b", 1)
    ack = ArtifactAck.model_validate({**FIELDS, "state": "complete"})
    assert (ack.state, ack.again) == (ArtifactState.COMPLETE, False)


@pytest.mark.parametrize(
    "odd",
    [
        {"name": "../a"},
        {"name": ""},
        {"number": 0},
        {"number": 1001},
        {"size": -1},
        {"checksum": "0" * 63},
        {"checksum": "A" * 64},
    ],
)
def test_what_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Artifact.model_validate({**FIELDS, **odd})
