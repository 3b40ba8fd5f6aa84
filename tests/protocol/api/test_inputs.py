"""Inputs as shown."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.inputs import InputView


def test_an_input_is_open_or_ended() -> None:
    assert InputView.model_validate({"size": 3, "state": "open", "ttl": 60}).ttl == 60
    with pytest.raises(ValidationError):
        InputView.model_validate({"size": 3, "state": "broken"})
