"""Logs of ended tasks in one pass, beside Airflow's own handler."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import logging_config
from airflow.api_fastapi.core_api.datamodels.log import TaskInstancesLogResponse
from airflow.utils.log.file_task_handler import FileTaskHandler
from airflow.utils.state import TaskInstanceState

from remote_airflow.log_handler import Line, RemoteTaskHandler, ordered
from remote_airflow.log_settings import LOGGING_CONFIG


def written(number: int, event: Any = None, **more: Any) -> str:
    """A line of a supervisor."""
    seconds, thousandth = divmod(number, 1000)
    time = f"2026-11-27T22:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{thousandth:03d}500Z"
    event = f"line {number}" if event is None else event
    return json.dumps(
        {"timestamp": time, "level": "info", "event": event, **more},
        separators=(",", ":"),
        ensure_ascii=False,
    )


TRACE = [{"exc_type": "ValueError", "frames": [{"name": "f", "lineno": 3}]}]
STRANGE = [
    written(1, error_detail=TRACE),
    written(2, "::group::Pre"),
    written(3, "\x1b[31mred\x1b[0m \x00 \u2028 🙂 NaN"),
    written(4, n=1.5, m=None, b=True, big=2**70),
    written(5, 17),
    written(5).replace('"event"', '"event":"first","event"'),
    written(6).replace("T22:", "T33:"),
    written(7)[:-5],
    '{"timestamp":"2026-11-27T22:00:00.000007Z","level":"info","event":"x","n":NaN}',
    '{"timestamp":"2026-11-27T22:00:00.1+02:00","level":"info","event":"elsewhere"}',
    '{"timestamp":"2026-11-27T22:00:00Z","level":"info","event":"no fraction"}',
    '{"timestamp":null,"event":"no time"}',
    '{"event":"no time"}',
    '{"event":"no time"}',
    "[2026-11-27T22:00:01.000Z] plain text",
    "more of it",
    "The log cannot be read any further: it is away",
    "",
    "\\ud800 {",
    '"a string"',
    "5",
    written(8),
    written(8),
    written(9),
    written(8),
]


class Kept:
    """Airflow's RemoteLogIO, of a log."""

    processors = ()

    def __init__(self, lines: list[str], whole: bool = False) -> None:
        self._lines = lines
        if whole:
            self.read = lambda *_: (["Remote: a page"], ["".join(self._all())])
        else:
            self.stream = lambda *_: (["Remote: a page"], [self._all()])

    def _all(self) -> Iterator[str]:
        for line in self._lines:
            yield line + "\n"


def read(
    handler: FileTaskHandler,
    monkeypatch: pytest.MonkeyPatch,
    kept: Any,
    state: Any,
    **metadata: Any,
) -> tuple[list[Any], dict[str, Any]]:
    """What it answers for a task."""
    monkeypatch.setattr(logging_config, "get_remote_task_log", lambda: kept)
    monkeypatch.setattr(handler, "_render_filename", lambda *_: "dag/attempt=1.log")
    task = SimpleNamespace(state=state, try_number=1, hostname="", executor=None)
    stream, said = handler.read(task, 1, metadata or None)
    return list(stream), said


@pytest.fixture
def handlers(tmp_path: Any) -> tuple[FileTaskHandler, RemoteTaskHandler]:
    return FileTaskHandler(str(tmp_path)), RemoteTaskHandler(str(tmp_path))


def as_lines(messages: list[Any]) -> list[Any]:
    """As the endpoint streams them."""
    return [json.loads(f"{message.model_dump_json()}\n") for message in messages]


def as_page(messages: list[Any]) -> Any:
    """As the endpoint answers whoever takes no stream."""
    answer = TaskInstancesLogResponse.model_construct(content=messages, continuation_token=None)
    return json.loads(answer.model_dump_json())


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("metadata", [{}, {"log_pos": 5}])
def test_it_answers_what_airflows_own_does(
    handlers: tuple[FileTaskHandler, RemoteTaskHandler],
    monkeypatch: pytest.MonkeyPatch,
    whole: bool,
    metadata: dict[str, Any],
) -> None:
    lines = [*STRANGE, *(written(number) for number in range(20, 500))]
    if whole:
        lines = [line for line in lines if "\u2028" not in line]
    kept = Kept(lines, whole)
    expected, told = read(handlers[0], monkeypatch, kept, TaskInstanceState.SUCCESS)
    if metadata:
        # After three lines of sources; Airflow 3.2 fails where it is asked for a later part.
        expected = expected[3 + metadata["log_pos"] :]
    found, said = read(handlers[1], monkeypatch, kept, TaskInstanceState.SUCCESS, **metadata)
    assert as_lines(found) == as_lines(expected)
    assert as_page(found) == as_page(expected)
    assert said["end_of_log"] is told["end_of_log"] is True
    assert sum(isinstance(message, Line) for message in found) > 480
    if not metadata:
        assert found[1].event == "Remote: a page"


def test_lines_are_sorted_as_far_as_airflow_sorts_them(
    handlers: tuple[FileTaskHandler, RemoteTaskHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    lines = [written(max(0, n // 3 + chance.randrange(-3000, 3000))) for n in range(20_000)]
    lines[7000] = "text without a time"
    expected, _ = read(handlers[0], monkeypatch, Kept(lines), TaskInstanceState.FAILED)
    found, _ = read(handlers[1], monkeypatch, Kept(lines), TaskInstanceState.FAILED)
    assert as_lines(found) == as_lines(expected)
    assert len(found) > 10_000


@pytest.mark.parametrize("state", [TaskInstanceState.UP_FOR_RETRY, TaskInstanceState.DEFERRED])
def test_what_goes_on_is_read_by_airflows_own(
    handlers: tuple[FileTaskHandler, RemoteTaskHandler],
    monkeypatch: pytest.MonkeyPatch,
    state: TaskInstanceState,
) -> None:
    kept = Kept([written(1), written(2)])
    expected, told = read(handlers[0], monkeypatch, kept, state)
    found, said = read(handlers[1], monkeypatch, kept, state)
    assert as_lines(found) == as_lines(expected) and said == told
    assert not any(isinstance(message, Line) for message in found)


def test_a_task_without_a_log_is_airflows(
    handlers: tuple[FileTaskHandler, RemoteTaskHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        def stream(self, *_: Any) -> Any:
            return [], []

    expected, told = read(handlers[0], monkeypatch, Nothing(), TaskInstanceState.SUCCESS)
    found, said = read(handlers[1], monkeypatch, Nothing(), TaskInstanceState.SUCCESS)
    assert as_lines(found) == as_lines(expected) and said == told


def test_lines_are_read_as_they_are_asked_for() -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield written(taken) + "\n"

    lines = ordered(endless())
    for _ in range(10_000):
        next(lines)
    assert taken < 16_000


def test_the_configuration_names_it_in_place_of_airflows_own() -> None:
    from logging.config import DictConfigurator

    assert isinstance(LOGGING_CONFIG["handlers"]["task"], dict)
    config = DictConfigurator(LOGGING_CONFIG)
    handler = config.resolve(LOGGING_CONFIG["handlers"]["task"]["class"])
    assert handler is RemoteTaskHandler and issubclass(handler, logging.Handler)
