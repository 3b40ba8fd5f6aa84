"""The server's log: forms, levels, and no token in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from remote_server.logging_setup import REQUESTS, redact, setup_logging

TOKEN = "rpt_" + "x" * 43


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_json_away_from_a_terminal() -> None:
    stream = io.StringIO()
    setup_logging("info", "auto", stream)
    structlog.get_logger().info("hello", name="ü", count=3)
    structlog.get_logger().debug("hidden")
    (line,) = lines(stream)
    entry = json.loads(line)
    assert (entry["event"], entry["name"], entry["count"]) == ("hello", "ü", 3)
    assert entry["level"] == "info"
    assert entry["timestamp"].endswith("Z")


def test_for_people() -> None:
    stream = io.StringIO()
    setup_logging("debug", "human", stream)
    structlog.get_logger().debug("hello", name="x")
    (line,) = lines(stream)
    assert "hello" in line
    assert "name=x" in line


@pytest.mark.parametrize("form", ["human", "json"])
def test_tokens_are_cut_out(form: str) -> None:
    stream = io.StringIO()
    setup_logging("info", form, stream)  # type: ignore[arg-type]
    structlog.get_logger().info(f"got {TOKEN}", header=f"Bearer {TOKEN}", data={"token": TOKEN})
    logging.getLogger("library").warning("got %s", TOKEN)
    said = stream.getvalue()
    assert TOKEN not in said
    assert said.count("rpt_…") == 4


@pytest.mark.parametrize("form", ["human", "json"])
def test_exceptions_are_shown(form: str) -> None:
    stream = io.StringIO()
    setup_logging("info", form, stream)  # type: ignore[arg-type]
    try:
        raise ValueError("inside")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    assert "ValueError: inside" in stream.getvalue()


def test_libraries_say_only_what_matters() -> None:
    stream = io.StringIO()
    setup_logging("debug", "json", stream)
    logging.getLogger("library").info("chatter")
    logging.getLogger("library").warning("trouble")
    assert [json.loads(line)["event"] for line in lines(stream)] == ["trouble"]


def test_redaction() -> None:
    assert redact(f"a {TOKEN} b rrt_short") == "a rpt_… b rrt_short"


def test_another_level_decides_about_lines_for_each_request() -> None:
    for level, wanted in (("info", False), ("debug", True), ("warning", False)):
        setup_logging(level, "json", io.StringIO())
        assert REQUESTS.isEnabledFor(logging.DEBUG) is wanted
