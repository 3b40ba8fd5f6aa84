"""Events with fields on the logging of the standard library."""

from __future__ import annotations

import logging

import pytest

from remote_agent.log import fields_of, get_logger


def test_an_event_has_its_fields_level_and_name(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("part")
    fields = {"reason": "disk full", "name": "a", "msg": "b", "args": "c", "level": "d"}
    with caplog.at_level(logging.DEBUG):
        log.debug("looked", at=1)
        log.info("100 % done", job="J")
        log.warning("odd")
        log.error("failed", **fields)
    said = [(record.levelname, record.getMessage(), fields_of(record)) for record in caplog.records]
    assert said == [
        ("DEBUG", "looked", {"at": 1}),
        ("INFO", "100 % done", {"job": "J"}),
        ("WARNING", "odd", {}),
        (
            "ERROR",
            "failed",
            {"reason": "disk full", "name": "a", "msg": "b", "args": "c", "level": "d"},
        ),
    ]
    assert {record.name for record in caplog.records} == {"part"}


def test_what_the_level_leaves_out_makes_no_record(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        get_logger("part").info("usual")
    assert caplog.records == []


def test_an_exception_brings_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        get_logger("part").exception("broken", job="J")
    (record,) = caplog.records
    assert record.levelname == "ERROR" and fields_of(record) == {"job": "J"}
    assert record.exc_info is not None and record.exc_info[0] is ValueError


def test_a_record_of_a_library_has_no_fields(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("library").warning("%d of %d", 1, 2)
    (record,) = caplog.records
    assert (record.getMessage(), fields_of(record)) == ("1 of 2", {})
