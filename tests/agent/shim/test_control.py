"""Control messages: what each does, and what is not understood changes nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from remote_agent.shim.control import Control


class Recorder:
    """Takes every call."""

    must_end = False

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.fixture
def target() -> Recorder:
    return Recorder()


def handle(target: Any, message: dict[str, Any]) -> bool:
    return Control(target, target, target).handle(message)


def test_a_stop_is_polite_and_a_kill_is_not(target: Recorder) -> None:
    stop = {"do": "stop", "reason": "expired", "detail": "late", "grace": 3, "signal": "SIGINT"}
    assert not handle(target, stop) and target.must_end
    assert not handle(target, {"do": "kill", "reason": "lost", "detail": "superseded"})
    assert target.calls == [
        ("interrupt", "expired", "late", 3, "SIGINT"),
        ("kill", "lost", "superseded"),
    ]


def test_reasons_and_sentences_have_defaults_and_bounds(target: Recorder) -> None:
    handle(target, {"do": "stop", "reason": "exit", "detail": "x" * 5000})
    handle(target, {"do": "kill", "reason": 7, "detail": None})
    stop, kill = target.calls
    assert stop[1] == "cancelled" and len(stop[2]) == 2000
    assert kill == ("kill", "cancelled", "killed by the agent")


@pytest.mark.parametrize(
    ("wanted", "seconds"), [(None, 60), (5, 5), ("7.5", 7.5), (-1, 60), (1e12, 60), ("nan", 60)]
)
def test_output_waits_for_so_long(target: Recorder, wanted: object, seconds: float) -> None:
    before = time.monotonic()
    handle(target, {"do": "hold", "for": wanted})
    ((what, until),) = target.calls
    assert what == "hold" and before <= until - seconds <= time.monotonic()


def test_go_ends_a_wait_and_input_is_told(target: Recorder) -> None:
    assert not handle(target, {"do": "go"}) and target.calls == [("hold", 0.0)]
    assert handle(target, {"do": "input"})
    assert not target.must_end


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": None},
        {"do": ["stop"]},
        {"do": "new"},
        {"do": "kill", "reason": ["lost"]},
        {"do": "hold", "for": "x"},
        {"do": "hold", "for": [1]},
    ],
)
def test_what_is_not_understood_changes_nothing(target: Recorder, message: dict[str, Any]) -> None:
    assert not handle(target, message) and target.calls == [] and not target.must_end
