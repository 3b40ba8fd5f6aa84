"""`remotectl run --explain`: what is printed, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_api import FakeApi, problem

LABEL = {"what": "label", "wanted": "gpu=h100", "met": False, "found": "a40"}
AWAY = {"what": "online", "wanted": "", "met": None, "found": "not known"}
ROOM = {"what": "room", "wanted": "0.5", "met": True, "found": "1 free"}
FOUND = {
    "outlook": "never",
    "reason": "no agent has it",
    "refusals": [],
    "serving": 1,
    "judged": 1,
    "fitting": 0,
    "candidates": [
        {"agent": "web-7", "misses": 1, "last_seen_at": None, "conditions": [LABEL, AWAY, ROOM]}
    ],
}


def test_every_condition_of_each_agent_is_printed(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("POST", "/jobs/explain", FOUND)
    assert ctl("run", "--explain", "--label", "gpu=h100", "--", "true") == 125
    first, second, titles, row = capsys.readouterr().out.splitlines()
    assert first == "No agent that is registered could run it: no agent has it."
    assert second == "1 agents serve the queue, 0 fit. Nearest first:"
    assert titles.split("  ")[-1].strip() == "ROOM 0.5" and "LABEL gpu=h100" in titles
    assert row.split()[0] == "web-7" and "NO: a40" in row and "? not known" in row
    assert [(call.method, call.path) for call in api.calls] == [("POST", "/jobs/explain")]
    assert api.calls[0].body == {"labels": {"gpu": "h100"}, "command": ["true"]}


@pytest.mark.parametrize(
    ("outlook", "code"),
    [("now", 0), ("later", 0), ("blocked", 1), ("never", 125), ("refused", 125), ("new", 125)],
)
def test_the_exit_code_says_whether_it_would_run(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], outlook: str, code: int
) -> None:
    api.on("POST", "/jobs/explain", {**FOUND, "outlook": outlook, "candidates": []})
    assert ctl("run", "--explain", "-o", "json", "--", "true") == code
    assert json.loads(capsys.readouterr().out)["outlook"] == outlook
    assert ctl("run", "--explain", "--", "true") == code
    assert capsys.readouterr().out.endswith(": no agent has it.\n")


def test_secrets_that_would_not_be_given_are_said(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    withheld = {"A": "the server has no secret 'A'"}
    api.on("POST", "/jobs/explain", {**FOUND, "outlook": "now", "withheld": withheld})
    assert ctl("run", "--explain", "--secret", "A", "--", "true") == 0
    said = capsys.readouterr().out.splitlines()[1]
    assert said == "Unless its agent's host has it: the server has no secret 'A'."


def test_a_job_that_is_not_valid_is_a_mistake_of_the_call(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = {"field": "priority", "message": "is too large"}
    api.on("POST", "/jobs/explain", problem(422, "validation", "no", errors=[fault]))
    assert ctl("run", "--explain", "--", "true") == 2
    assert "--priority: is too large" in capsys.readouterr().err
    api.on("POST", "/jobs/explain", problem(403, "forbidden", "not you"))
    assert ctl("run", "--explain", "--", "true") == 255


def test_a_file_may_describe_the_job(api: FakeApi, ctl: Any, tmp_path: Path) -> None:
    api.on("POST", "/jobs/explain", FOUND)
    described = {"queue": "berlin", "command": ["make"], "priority": 5}
    file = tmp_path / "job.json"
    file.write_text(json.dumps(described))
    assert ctl("run", "--explain", "--spec", str(file), "--priority", "7") == 125
    assert api.calls[-1].body == {**described, "priority": 7}
    assert ctl("run", "--explain", "--spec", str(file), "--", "make", "test") == 125
    assert api.calls[-1].body == {**described, "command": ["make", "test"]}
    assert ctl("run", "--explain", "--spec", str(tmp_path / "none")) == 2
    file.write_text("[1]")
    assert ctl("run", "--explain", "--spec", str(file)) == 2
    file.write_text("{")
    assert ctl("run", "--explain", "--spec", str(file)) == 2
    assert len(api.calls) == 2
