"""The records of an attempt, as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_agent.processes import Usage
from remote_agent.shim.ending import EndResult, Step
from remote_agent.shim.json_text import fields
from remote_agent.shim.record_text import (
    NO_USAGE,
    ExitRecord,
    shim_fields,
    start_record,
    steps_text,
    usage_text,
)

HOSTILE = 'a "quoted" \\ text\nof \x00 \u20ac \udc80'
RECORD = ExitRecord(
    key=json.dumps("J.1"),
    result=EndResult(3, "exit", "exited with code 3"),
    size=70,
    checksum=0xFFFFFFFF,
    usage=usage_text(Usage(0.25, 1 / 3, 4096), 60, 10, 2e-9),
    started_at=1795831273.968716,
    ended_at=1795831274.5,
    steps=steps_text([]),
    given={},
    clean=True,
)


def read(record: ExitRecord) -> dict[str, Any]:
    return json.loads(record.text())


def test_a_start_record() -> None:
    shim = shim_fields(8, "4711", "boot")
    identity = {"pid": 7, "start_time": "4712", "pgid": 7, "cgroup": None}
    record = start_record(json.dumps("J.1"), fields(identity), shim, 1795831273.968716)
    assert json.loads(record) == {
        "v": 1,
        "key": "J.1",
        **identity,
        "shim_pid": 8,
        "shim_start_time": "4711",
        "boot_id": "boot",
        "at": 1795831273.968716,
    }


def test_an_exit_record() -> None:
    assert read(RECORD) == {
        "v": 1,
        "key": "J.1",
        "exit_code": 3,
        "end_reason": "exit",
        "end_detail": "exited with code 3",
        "size": 70,
        "checksum": 0xFFFFFFFF,
        "usage": {
            "cpu_user": 0.25,
            "cpu_system": 0.333333,
            "max_rss": 4096,
            "stdout_bytes": 60,
            "stderr_bytes": 10,
            "duration": 0.0,
        },
        "started_at": 1795831273.968716,
        "ended_at": 1795831274.5,
        "steps": [],
        "clean": True,
    }


def test_a_job_that_was_never_started() -> None:
    record = RECORD._replace(started_at=None, usage=NO_USAGE, clean=False)
    said = read(record)
    assert (said["started_at"], said["usage"], said["clean"]) == (None, {"duration": 0.0}, False)


def test_texts_of_a_job_change_nothing_else() -> None:
    steps = steps_text([Step(1.5, "spawned", HOSTILE), Step(2.0, HOSTILE)])
    result = EndResult(0, "spawn_error", HOSTILE)
    said = read(RECORD._replace(result=result, steps=steps))
    assert said["end_detail"] == HOSTILE
    assert said["steps"] == [
        {"at": 1.5, "what": "spawned", "detail": HOSTILE},
        {"at": 2.0, "what": HOSTILE},
    ]
    assert {**said, "end_detail": "", "end_reason": "", "exit_code": 0, "steps": []} == {
        **read(RECORD),
        "end_detail": "",
        "end_reason": "",
        "exit_code": 0,
    }


@pytest.mark.parametrize("outputs", [{}, {"a": HOSTILE}])
def test_what_a_job_has_given(outputs: dict[str, str]) -> None:
    record = RECORD._replace(given={"outputs": outputs, "outputs_warning": "", "artifacts": 2})
    said = read(record)
    assert (said["outputs"], said["outputs_warning"], said["artifacts"]) == (outputs, "", 2)
    short = json.loads(record.for_datagram())
    assert short["outputs"] == {} and short["artifacts"] == 2
    assert bool(short["outputs_warning"]) == bool(outputs), "it says what is missing"
    assert {**short, "outputs": outputs, "outputs_warning": ""} == said
