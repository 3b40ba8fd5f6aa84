"""What is sent is strict, what is shown may grow."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.bodies import Body, View
from remote_protocol.ids import Name


class Sent(Body):
    name: Name


class Shown(View):
    name: str


def test_unknown_fields_are_mistakes_only_for_the_server() -> None:
    with pytest.raises(ValidationError, match="mood"):
        Sent.model_validate({"name": "a", "mood": "bad"})
    assert Shown.model_validate({"name": "a", "mood": "bad"}) == Shown(name="a")


@pytest.mark.parametrize("model", [Sent(name="a"), Shown(name="a")])
def test_they_are_not_changed(model: Sent | Shown) -> None:
    with pytest.raises(ValidationError):
        model.name = "b"
