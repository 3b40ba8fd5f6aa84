"""The session's outputs: immutable, and each of them carried out by the agent."""

from __future__ import annotations

from typing import get_args

import pytest

from remote_agent.app.driver import CARRIED_OUT
from remote_agent.session import effects
from remote_agent.session.effects import Effect


def test_every_effect_is_in_the_union() -> None:
    defined = {
        thing
        for thing in vars(effects).values()
        if isinstance(thing, type) and thing.__module__ == effects.__name__
    }
    assert set(get_args(Effect)) == defined


@pytest.mark.parametrize("effect", get_args(Effect))
def test_effects_cannot_be_changed(effect: type) -> None:
    assert effect.__doc__
    assert issubclass(effect, tuple)


def test_every_effect_is_carried_out() -> None:
    assert set(CARRIED_OUT) == set(get_args(Effect))
