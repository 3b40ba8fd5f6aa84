"""Inputs and outputs of the server's session: immutable, and all of them in their union."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import get_args

import pytest

import remote_server
from remote_protocol.attempt_id import AttemptId
from remote_server.domain import changes, events
from remote_server.domain.changes import Accepted, Change
from remote_server.domain.events import Effect, Event, Record

KEY = AttemptId("01ARYZ6S410000000000000000", 1)


def test_everything_is_in_one_union() -> None:
    defined = {
        thing
        for module in (events, changes)
        for thing in vars(module).values()
        if dataclasses.is_dataclass(thing) and thing.__module__ == module.__name__
    }
    unions = [set(get_args(union)) for union in (Event, Change, Effect)]
    assert set.union(*unions) == defined
    assert sum(map(len, unions)) == len(defined)


@pytest.mark.parametrize("thing", [*get_args(Event), *get_args(Change), *get_args(Effect)])
def test_nothing_can_be_changed(thing: type) -> None:
    assert thing.__doc__
    # By `frozen`, whose values the type checker keeps from being changed.
    assert thing.__dataclass_params__.unsafe_hash  # type: ignore[attr-defined]
    assert "__slots__" in vars(thing)


@pytest.mark.parametrize("change", get_args(Change))
def test_every_change_names_its_attempt(change: type) -> None:
    assert "key" in {field.name for field in dataclasses.fields(change)}


@pytest.mark.parametrize("effect", get_args(Effect))
def test_every_effect_is_carried_out(effect: type) -> None:
    hub = Path(remote_server.__file__).parent / "hub"
    cases = {
        node.cls.id
        for path in hub.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name)
    }
    assert effect.__name__ in cases


def test_a_record_says_nothing_unless_told() -> None:
    assert Record(Accepted(KEY)).then == ()
