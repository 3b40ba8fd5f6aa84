"""`remotectl job`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_api import ID, NOW, Answer, FakeApi, cri_log, job_view


def test_list(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    waiting = job_view(name="build", pending_reason="no agent serves queue 'x'")
    api.on("GET", "/jobs", {"items": [waiting], "next_cursor": "more"})
    assert ctl("job", "list", "--state", "queued", "--queue", "x", "--limit", "1") == 0
    assert api.calls[0].query == {"limit": "1", "state": "queued", "queue": "x"}
    captured = capsys.readouterr()
    assert ID in captured.out and "no agent serves queue 'x'" in captured.out
    assert "more jobs" in captured.err
    assert ctl("job", "list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["id"] == ID
    assert ctl("job", "list", "--state", "sleeping") == 2


def test_show(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"seq": 1, "job": ID, "at": NOW, "what": "queued", "detail": "by [alice]"}
    api.on("GET", f"/jobs/{ID}", job_view(state="failed", exit_code=3, end_reason="exit"))
    api.on("GET", f"/jobs/{ID}/timeline", {"items": [entry]})
    assert ctl("job", "show", ID) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in (ID, "failed", "3", "queued", "by [alice]"))


def test_filters_and_pages(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pages = [
        {"items": [job_view()] * 1000, "next_cursor": "a"},
        {"items": [job_view()] * 500, "next_cursor": "b"},
    ]
    api.on("GET", "/jobs", *pages)
    wanted = (
        "--state failed --state queued --since 2h --name night --label gpu=true --mine "
        "--annotation run=7"
    )
    assert ctl("job", "list", *wanted.split(), "--limit", "1500", "-q") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1500
    first, second = api.calls
    assert first.query == {
        "limit": "1000", "since": "2h", "name": "night", "label": "gpu=true", "annotation": "run=7",
        "state": "queued",
        "submitted_by": "me",
    }  # fmt: skip
    assert first.repeated["state"] == ["failed", "queued"]
    assert second.query == {**first.query, "limit": "500", "cursor": "a"}
    api.on("GET", "/jobs", *pages, {"items": [job_view()], "next_cursor": None})
    assert ctl("job", "list", "--all", "-o", "json") == 0
    assert len(json.loads(capsys.readouterr().out)["items"]) == 1501


def test_watch_wants_a_terminal(ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl("job", "list", "--watch") == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_logs_keep_streams_apart(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    log = cri_log(("stdout", b"a\xff\n"), ("stderr", b"e\n"), ("stdout", b"tail"))
    api.on("GET", f"/jobs/{ID}/log", log)
    assert ctl("job", "logs", ID) == 0
    assert capfdbinary.readouterr() == (b"a\xff\ntail", b"e\n")
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded", attempt=2))
    assert ctl("job", "logs", ID, "--timestamps", "--attempt", "2", "-f") == 0
    stamp = b"2026-11-21T05:00:00.000000000Z"
    lines = capfdbinary.readouterr().out.splitlines()
    assert lines == [stamp + b" stdout a\xff", stamp + b" stderr e", stamp + b" stdout tail"]
    assert api.said("GET", f"/jobs/{ID}/log")[1].query == {
        "attempt": "2", "offset": "0", "follow": "true"
    }  # fmt: skip


def test_cancel_says_what_happened(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"/jobs/{ID}/cancel"
    states = ("cancelled", "running", "succeeded")
    api.on("POST", path, *(job_view(state=state, agent="a") for state in states))
    for words in ("is cancelled", "is being cancelled on a", "had already ended: succeeded"):
        assert ctl("job", "cancel", ID, "--reason", "enough") == 0
        assert words in capsys.readouterr().err
    assert api.calls[0].body == {"reason": "enough"}


def test_retry(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("POST", f"/jobs/{ID}/retry", Answer(job_view(id="01KADVTZ8" + "0" * 17), 201))
    assert ctl("job", "retry", ID) == 0
    assert capsys.readouterr().out == "01KADVTZ8" + "0" * 17 + "\n"


def test_wait_ends_as_run_would(api: FakeApi, ctl: Any) -> None:
    api.on("GET", f"/jobs/{ID}", job_view(state="failed", exit_code=9, end_reason="exit"))
    assert ctl("job", "wait", ID) == 9
    api.on("GET", f"/jobs/{ID}", job_view(state="running"))
    assert ctl("job", "wait", ID, "--timeout", "0s") == 255
    assert ctl("job", "wait", ID, "--timeout", "x") == 2


def test_a_job_that_does_not_exist(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl("job", "show", ID) == 1
    assert "remotectl: there is nothing at" in capsys.readouterr().err


def test_a_list_takes_every_filter_of_the_page(api: FakeApi, ctl: Any) -> None:
    api.on("GET", "/jobs", {"items": []})
    line = "--end-reason timeout --end-reason lost --until 1h --since 2h --submitted-by ci --id AB"
    assert ctl("job", "list", *line.split(), "--name", "x", "--label", "a=b", "--agent", "w") == 0
    said = api.calls[0].repeated
    assert said["end_reason"] == ["timeout", "lost"]
    assert (said["until"], said["since"], said["submitted_by"]) == (["1h"], ["2h"], ["ci"])
    assert (said["id"], said["name"], said["agent"]) == (["AB"], ["x"], ["w"])
    assert ctl("job", "list", "--mine", "--submitted-by", "ci") == 2
    assert ctl("job", "list", "--end-reason", "boredom") == 2
