"""Plain lines in the process of a task: the same is logged as by Airflow's own way."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from airflow.sdk.execution_time import supervisor

from remote_airflow import task_log
from remote_airflow.task_lines import Clock

pytestmark = pytest.mark.usefixtures("own_supervisor")


def test_the_clock_goes_on_and_is_believed_when_it_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_764_000_000_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    clock = Clock()
    assert [clock() for _ in range(2)] == [
        b"2025-11-24T16:00:00Z", b"2025-11-24T16:00:00.000001Z"
    ]  # fmt: skip
    now -= 500_000_000
    assert clock() == b"2025-11-24T16:00:00.000002Z"
    now -= 3_600_000_000_000
    assert clock() == b"2025-11-24T14:59:59.500000Z"


class Supervised(supervisor.WatchedSubprocess):
    """A process whose logs are read, and nothing else."""

    def _handle_request(self, *_: Any) -> None:
        raise AssertionError("nothing is asked for")


def logged(folder: Path, target: Callable[[], None]) -> list[dict[str, Any]]:
    """The log of a process that Airflow's supervisor starts."""
    (folder / "x.log").unlink(missing_ok=True)
    logger, file = supervisor._configure_logging("x.log", None)
    with file:
        one = Supervised.start(target=target, logger=logger, id=uuid.uuid4())
        while one._exit_code is None or one._open_sockets:
            one._service_subprocess(5)
    assert one._exit_code == 0
    return [json.loads(line) for line in (folder / "x.log").read_bytes().splitlines()]


def writes() -> None:
    """A task that logs in all ways."""
    cases()


TEXTS = ("text", "", "100%", "é🙂\x00\x1b[1m", "lone \udc80", "eyJhbGciOi.x")


def cases() -> None:
    import warnings

    from structlog.contextvars import bind_contextvars, bound_contextvars, unbind_contextvars

    own = structlog.get_logger("a.module")
    named = structlog.get_logger(logger_name="by.field")
    plain = logging.getLogger("python.logging")
    for bound in ({}, {"ti_id": "1f", "try_number": 1, "map_index": -1}, {"try_number": True}):
        bind_contextvars(**bound)
        for text in (*TEXTS, "z" * 90_000):
            own.info(text)
            own.error("%s", text)
            named.warning(text)
            plain.info("%s", text)
            plain.warning(text)
        own.info("%s of %d", "one", 2)
        own.info("fields", n=1, deep={"a": [1]})
        own.info(17)
        own.debug("not shown")
        own.warn("an old name")
        plain.info({"an": "object"})
        plain.info("%(a)s", {"a": 1})
        plain.info("%s", {})
        plain.info("extra", extra={"more": 1})
        plain.debug("not shown")
        plain.log(25, "between")
        warnings.warn("it is old", stacklevel=1)
        try:
            raise ValueError("bad")
        except ValueError:
            own.exception("failed")
            plain.exception("failed")
    with bound_contextvars(deep={"a": 1}):
        own.info("deep")
    with bound_contextvars(logger="another", note="eyJhbGciOi.x"):
        own.info("taken")
    unbind_contextvars("ti_id")
    own.info("unbound")
    print("printed")
    os.write(1, b"\xff raw\n")
    print("to stderr", file=sys.stderr)


def test_a_whole_task_logs_the_same(tmp_path: Path) -> None:
    expected = logged(tmp_path, writes)
    task_log.cheap_lines()
    found = logged(tmp_path, writes)

    def compared(lines: list[dict[str, Any]], *streams: str) -> list[dict[str, Any]]:
        own = [line for line in lines if line["logger"].startswith("task.std") == bool(streams)]
        return [{**line, "timestamp": None} for line in own]

    assert len(expected) > 140
    assert compared(found) == compared(expected)
    printed = compared(expected, "task.std")
    assert sorted(map(str, compared(found, "task.std"))) == sorted(map(str, printed))
    assert any(line.get("error_detail") for line in found)


def test_a_tasks_plain_lines_take_the_short_way(tmp_path: Path, slow: list[bytes]) -> None:
    def target() -> None:
        # The first one is ours.
        processors = structlog.get_config()["processors"]

        def refused(*_: Any) -> None:
            raise AssertionError("the long way")

        processors[1] = refused
        own = structlog.get_logger("a.module")
        for number in range(1000):
            own.info("%d of many", number)
        for handler in logging.getLogger().handlers:
            handler.formatter._own = None
            logging.getLogger("python").info("%s", "last")

    task_log.cheap_lines()
    found = logged(tmp_path, target)
    assert slow == []
    assert [line["event"] for line in found] == [*(f"{n} of many" for n in range(1000)), "last"]
    assert {line["filename"] for line in found} == {"test_task_lines.py"}
