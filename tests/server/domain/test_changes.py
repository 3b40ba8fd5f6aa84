"""Changes are values: equal when they say the same, and frozen."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import get_args

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.domain import changes, events
from remote_server.domain.changes import Change, Lost, Withdrawn

KEY = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1)


def test_every_change_names_its_attempt_and_is_known_to_events() -> None:
    for kind in get_args(Change):
        assert "key" in kind.__dataclass_fields__
        assert getattr(events, kind.__name__) is getattr(changes, kind.__name__)


def test_they_are_values() -> None:
    assert Lost(KEY, "gone") == Lost(KEY, "gone")
    withdrawn = Withdrawn(KEY, "full", refused=True)
    assert (withdrawn.refused, Withdrawn(KEY, "full").refused) == (True, False)
    with pytest.raises(FrozenInstanceError):
        withdrawn.detail = "other"  # type: ignore[misc]
