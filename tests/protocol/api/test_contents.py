"""Contents as shown."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.contents import ContentView


def test_a_content_is_missing_on_its_way_or_complete() -> None:
    whole = {"digest": "0" * 64, "received": 3, "state": "complete", "ttl": 60}
    assert ContentView.model_validate(whole).state == "complete"
    with pytest.raises(ValidationError):
        ContentView.model_validate({**whole, "state": "broken"})
