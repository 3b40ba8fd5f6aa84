"""The session's outputs: immutable, and each of them carried out by the agent."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

import remote_agent
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


@pytest.mark.parametrize("effect", get_args(Effect))
def test_every_effect_is_carried_out(effect: type) -> None:
    package = Path(remote_agent.__file__).parent
    carriers = [package / name for name in ("app/driver.py",)]
    cases = {
        node.cls.attr if isinstance(node.cls, ast.Attribute) else getattr(node.cls, "id", "")
        for path in carriers
        if path.exists()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.MatchClass)
    }
    assert effect.__name__ in cases
