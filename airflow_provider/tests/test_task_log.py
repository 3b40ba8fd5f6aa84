"""Cheap lines beside Airflow's own: the same JSON in the same order, and the same is masked."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import log as sdk_log
from airflow.sdk._shared.secrets_masker import _secrets_masker, reset_secrets_masker
from airflow.sdk.execution_time import supervisor

from remote_airflow import task_log

pytestmark = pytest.mark.usefixtures("own_supervisor")

SECRETS = ("hunter2!", 'quo"ted\\secret', "grüner tee", "line\nbreak", "a.*b+c", "\t tab")
HEAD = {"timestamp": "2026-11-27T22:01:26.371673Z", "level": "info"}
WHO = {"logger": "somebody", "filename": "f.py", "lineno": 7}


def said(event: Any = "text", **more: Any) -> bytes:
    """A line as a task's process sends it."""
    return json.dumps({**HEAD, "event": event, **WHO, **more}).encode()


TRACE = [{"exc_type": "ValueError", "exc_value": "bad", "frames": [], "syntax_error": None}]
PLAIN = [
    said(),
    said(""),
    said("::group::Pre"),
    said("\x1b[31mred\x1b[0m and \x00 and \u2028 and 🙂 and \ufffd"),
    said('{"event": "looks like one", "level": "error"}'),
    said("x" * 300_000),
    said("all", a=1, b=-2.5, c=None, d=True, e="é", map_index=-1),
    said("no fraction", timestamp="2026-11-27T22:01:26Z"),
    said("elsewhere", timestamp="2026-11-27T22:01:26.1+02:00"),
    said("no zone", timestamp="2026-11-27T22:01:26.000001"),
    said("e", level="error"),
    said("w", level="warning"),
    said("c", level="critical"),
]
STRANGE = [
    said("below the level", level="debug"),
    said("it has failed", level="error", exception=TRACE),
    said("deep", data={"password": "p", "other": [1, {"token": "t"}]}),
    said("name", password="shown?", api_key="k"),
    said("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.x and more"),
    said("field", note="eyJhbGciOiJIUzI1NiJ9"),
    said(17),
    said("unknown level", level="loud"),
    said("warn", level="warn"),
    said("stack", stack="one\ntwo"),
    json.dumps({"level": "info", "event": "never"}).encode(),
    json.dumps({**HEAD, "event": "nobody"}).encode(),
    b"this is no JSON",
    b'{"level": "info", "event": "cut',
    b"\xff\xfe",
    b"",
    *(said(f"it is {secret}, {secret}") for secret in SECRETS),
    *(said("in a field", note=f"<{secret}>") for secret in SECRETS),
]
PRINTED = [
    b"text",
    b"",
    b"  leading and trailing \t\r",
    b"\xff\xfe not UTF-8 \xc3",
    b"NUL \x00 and \x1b[1mbold\x1b[0m",
    b'{"timestamp": "x", "level": "debug"}',
    "grüezi 🙂 \u2028".encode(),
    b"y" * 300_000,
]
HIDDEN = [
    b"token eyJhbGciOiJIUzI1NiJ9.x",
    *(f"it is {secret}".encode() for secret in SECRETS if "\n" not in secret),
]


def handled(
    folder: Path, lines: list[bytes], make: Callable[[Any], Any], pieces: int = 1 << 20
) -> list[dict[str, Any]]:
    """What is in the log when these lines were written to a socket."""
    (folder / "x.log").unlink(missing_ok=True)
    logger, file = supervisor._configure_logging("x.log", None)
    closed: list[Any] = []
    read, closes = supervisor.make_buffered_socket_reader(make((logger,)), on_close=closed.append)
    assert closes == closed.append
    ours, theirs = socket.socketpair()
    text = b"\n".join(lines)

    def write() -> None:
        with theirs:
            for at in range(0, len(text), pieces):
                theirs.sendall(text[at : at + pieces])

    # Whoever writes ends when nobody reads any more.
    with ThreadPoolExecutor(1) as pool, ours, file:
        written = pool.submit(write)
        while read(ours):
            pass
        written.result()
    return [json.loads(line) for line in (folder / "x.log").read_bytes().splitlines()]


def said_by(loggers: Any) -> Any:
    return supervisor.process_log_messages_from_subprocess(loggers)


def printed_by(loggers: Any) -> Any:
    return supervisor.forward_to_log(loggers, logger="task.stdout", level=logging.INFO)


def mask(*secrets: str) -> None:
    for secret in secrets:
        _secrets_masker().add_mask(secret)


@pytest.mark.parametrize("pieces", [1 << 20, 4096, 7])
def test_what_a_task_says_is_the_same_json(tmp_path: Path, slow: list[bytes], pieces: int) -> None:
    mask(*SECRETS)
    lines = [line for pair in zip(PLAIN * 3, STRANGE, strict=False) for line in pair] + PLAIN
    if pieces == 7:
        lines = [line for line in lines if len(line) < 10_000]
    expected = handled(tmp_path, lines, said_by, pieces)
    slow.clear()
    task_log.cheap_lines()
    found = handled(tmp_path, lines, said_by, pieces)
    # One that has no time gets that of the moment.
    timeless = [line for line in (*expected, *found) if line["event"] == "never"]
    assert len({line.pop("timestamp") for line in timeless}) == 2
    assert found == expected
    # Only those lines took the long way that had to.
    assert [line.rstrip(b"\n") for line in slow] == [line for line in lines if line in STRANGE]
    assert not any(secret in str(expected) for secret in ("hunter2!", "grüner", "a.*b+c", "eyJh"))


def test_what_a_task_prints_is_the_same_json(tmp_path: Path, slow: list[bytes]) -> None:
    mask(*SECRETS)
    lines = [line for pair in zip(PRINTED, HIDDEN, strict=False) for line in pair] + PRINTED
    expected = handled(tmp_path, lines, printed_by)
    slow.clear()
    task_log.cheap_lines()
    found = handled(tmp_path, lines, printed_by)
    assert [line.rstrip(b"\n") for line in slow] == [line for line in lines if line in HIDDEN]
    for one in (*expected, *found):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", one.pop("timestamp"))
    assert found == expected
    assert "hunter2!" not in str(found)


def test_equal_lines_are_told_apart_by_their_times(tmp_path: Path) -> None:
    task_log.cheap_lines()
    found = handled(tmp_path, [b"y"] * 10_000, printed_by)
    times = [line["timestamp"] for line in found]
    assert len(set(times)) == 10_000 and sorted(times) == times
    assert abs(time.time() - as_seconds(times[-1])) < 60


def as_seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_secret_that_comes_later_is_masked_from_then_on(tmp_path: Path) -> None:
    task_log.cheap_lines()
    logger, file = supervisor._configure_logging("x.log", None)
    read, _ = supervisor.make_buffered_socket_reader(said_by((logger,)), on_close=lambda _: None)
    ours, theirs = socket.socketpair()
    with ours, theirs, file:
        for step in range(3):
            theirs.sendall(said("it is hunter2!", n=step) + b"\n")
            read(ours)
            if step == 0:
                mask("hunter2!")
            else:
                reset_secrets_masker()
    lines = [json.loads(line)["event"] for line in (tmp_path / "x.log").read_text().splitlines()]
    assert lines == ["it is hunter2!", "it is ***", "it is hunter2!"]


def test_fields_that_become_sensitive_are_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_log.cheap_lines()
    lines = [said("text", colour="blue")]
    assert handled(tmp_path, lines, said_by)[0]["colour"] == "blue"
    monkeypatch.setattr(_secrets_masker(), "sensitive_variables_fields", ["colour"])
    assert handled(tmp_path, lines, said_by)[0]["colour"] == "***"


def test_a_log_that_is_closed_is_to_us_what_it_is_to_airflow(tmp_path: Path) -> None:
    def outcome() -> str:
        logger, file = supervisor._configure_logging("x.log", None)
        loggers = said_by((logger,))
        read, _ = supervisor.make_buffered_socket_reader(loggers, on_close=lambda _: None)
        file.close()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(said() + b"\n" + said() + b"\n")
            try:
                return str(read(ours))
            except ValueError as error:
                # Airflow before 3.3.
                return str(error)

    expected = outcome()
    task_log.cheap_lines()
    assert outcome() == expected
    assert (tmp_path / "x.log").read_bytes() == b""


def test_where_a_step_is_added_airflows_own_logger_writes_all(
    tmp_path: Path, slow: list[bytes], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    def shouting(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        return {**event, "event": event["event"].upper()}

    made = sdk_log.logging_processors

    def with_another(json_output: bool) -> Any:
        *all_but_last, last = made(json_output=json_output)
        return (*all_but_last, shouting, last)

    monkeypatch.setattr(sdk_log, "logging_processors", with_another)
    task_log.cheap_lines()
    assert handled(tmp_path, [said("quiet")], said_by)[0]["event"] == "QUIET"
    assert len(slow) == 1
    assert "written by Airflow's own logger alone" in capfd.readouterr().err


def test_without_the_supervisors_seam_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    kept = supervisor.forward_to_log
    monkeypatch.delattr(supervisor, "make_buffered_socket_reader")
    task_log.cheap_lines()
    assert supervisor.forward_to_log is kept
    assert "written by Airflow's own logger alone" in capfd.readouterr().err
