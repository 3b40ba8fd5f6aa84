"""Changes are values: equal when they say the same, and frozen."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, get_args

from remote_protocol.attempt_id import AttemptId
from remote_server.domain import changes
from remote_server.domain.changes import Change, Lost, Withdrawn

KEY = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1)


def test_every_change_is_in_the_union_and_names_its_attempt() -> None:
    defined = {thing for thing in vars(changes).values() if is_dataclass(thing)}
    assert set(get_args(Change)) == defined
    for kind in get_args(Change):
        assert "key" in kind.__dataclass_fields__


def test_they_are_values() -> None:
    assert Lost(KEY, "gone") == Lost(KEY, "gone")
    withdrawn = Withdrawn(KEY, "full", refused=True)
    assert (withdrawn.refused, Withdrawn(KEY, "full").refused) == (True, False)
    assert len({withdrawn, Withdrawn(KEY, "full", refused=True)}) == 1
    if TYPE_CHECKING:
        # Without its error here, the ignore is one.
        withdrawn.detail = "other"  # type: ignore[misc]
