"""`remotectl run --each`: what is submitted, and what becomes of it when we leave."""

from __future__ import annotations

import json
import signal
import threading
from typing import Any

import pytest

from tests.client.conftest import started
from tests.support.fake_api import ID, Answer, FakeApi, Said, problem

GROUP = f"/groups/{ID}"
VIEW = {"id": ID, "state": "running", "size": 1, "counts": {"running": 1}}
MEMBER = {"job": ID, "agent": "a", "state": "running", "attempt": 1}


def test_every_option_reaches_the_server(api: FakeApi, ctl: Any) -> None:
    api.on("POST", "/groups", Answer(VIEW, 201))
    options = (
        "--each --label role=web --label site=b --max-parallel 3 --halt-on-failures 2 "
        "--online-only --queue q --name patch --timeout 10m --detach"
    )
    assert ctl("run", *options.split(), "--", "apt-get", "upgrade") == 0
    assert api.calls[0].body == {
        "spec": {
            "queue": "q",
            "name": "patch",
            "timeout": 600,
            "command": ["apt-get", "upgrade"],
        },
        "select": {"labels": {"role": "web", "site": "b"}, "online_only": True},
        "max_parallel": 3,
        "halt_on_failures": 2,
    }


def test_detach_prints_the_id_or_the_group(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("POST", "/groups", Answer(VIEW, 201))
    assert ctl("run", "--each", "--detach", "--", "true") == 0
    assert capsys.readouterr().out == ID + "\n"
    assert ctl("run", "--each", "--detach", "-o", "json", "--", "true") == 0
    assert json.loads(capsys.readouterr().out) == VIEW


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--each", "--agent", "a"), "--each contradicts --agent"),
        (("--max-parallel", "2"), "--max-parallel is for a group of jobs; add --each"),
        (("--online-only",), "--online-only is for a group"),
        (("--each", "--stdin"), "--stdin contradicts --each"),
        (("--each", "--max-parallel", "0"), "--max-parallel"),
    ],
)
def test_what_does_not_go_together(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    assert ctl("run", *options, "--", "true") == 2
    assert says in capsys.readouterr().err
    assert api.calls == []


def test_nothing_matches(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("POST", "/groups", problem(422, "unknown_agent", "no agent serves queue 'default'"))
    assert ctl("run", "--each", "--", "true") == 125
    assert "no agent serves queue 'default'" in capsys.readouterr().err


def test_faults_have_the_names_of_options(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = [
        {"field": "spec.memory_limit", "message": "give at least 1 MiB"},
        {"field": "select.labels", "message": "too many"},
        {"field": "max_parallel", "message": "too large"},
    ]
    api.on("POST", "/groups", problem(422, "validation", "no", errors=faults))
    assert ctl("run", "--each", "--", "true") == 2
    assert capsys.readouterr().err.splitlines() == [
        "remotectl: The group is not valid:",
        "  --memory: give at least 1 MiB",
        "  --label: too many",
        "  --max-parallel: too large",
    ]


def test_it_is_explained(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {"queue": "q", "size": 2, "agents": ["a", "b"], "unavailable": 0}
    api.on("POST", "/groups/explain", found, {**found, "size": 0, "agents": []}, found)
    assert ctl("run", "--each", "--explain", "--", "true") == 0
    assert capsys.readouterr().out == "It would run on 2 agents.\na\nb\n"
    assert ctl("run", "--each", "--explain", "--", "true") == 125
    assert capsys.readouterr().out == "No agent of queue 'q' matches.\n"
    assert ctl("run", "--each", "--explain", "-o", "json", "--", "true") == 0
    assert json.loads(capsys.readouterr().out) == found


def follows(api: FakeApi, cancelled: threading.Event) -> None:
    """A group with one job that runs until it is cancelled."""
    ended = {**MEMBER, "state": "cancelled", "exit_code": 143}
    view = {**VIEW, "state": "cancelled", "counts": {"cancelled": 1}, "cancel_requested": True}
    api.on("POST", "/groups", Answer(VIEW, 201))
    api.on("GET", GROUP, lambda _: view if cancelled.is_set() else VIEW)
    api.on(
        "GET", f"{GROUP}/members", lambda _: {"items": [ended if cancelled.is_set() else MEMBER]}
    )
    job = {"id": ID, "state": "cancelled", "attempt": 1, "created_at": "", "attempts": [
        {"number": 1, "state": "ended", "log_complete": True, "log_size": 0}
    ]}  # fmt: skip
    api.on("GET", f"/jobs/{ID}", job)

    def log(said: Said) -> Answer:
        assert cancelled.wait(30)
        return Answer(b"")

    api.on("GET", f"/jobs/{ID}/log", log)


def test_ctrl_c_cancels_the_whole_group(api: FakeApi) -> None:
    cancelled = threading.Event()
    follows(api, cancelled)

    def cancel(said: Said) -> Answer:
        cancelled.set()
        return Answer(VIEW, 202)

    api.on("POST", f"{GROUP}/cancel", cancel)
    with started(api, "true", options=["--each"]) as process:
        assert process.stderr is not None
        assert b"1 agent" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"cancelling the group {ID} with all its jobs; Ctrl-C again".encode() in err
    assert f"group {ID} cancelled: 1 cancelled".encode() in err
    assert api.said("POST", f"{GROUP}/cancel")[0].body == {"reason": "interrupted in remotectl run"}


def test_a_second_one_leaves(api: FakeApi) -> None:
    heard, go = threading.Event(), threading.Event()
    follows(api, go)

    def cancel(said: Said) -> Answer:
        heard.set()
        assert go.wait(30)
        return Answer(VIEW, 202)

    api.on("POST", f"{GROUP}/cancel", cancel)
    with started(api, "true", options=["--each"]) as process:
        assert process.stderr is not None
        assert b"1 agent" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert heard.wait(30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        go.set()
    assert process.returncode == 130
    assert f"may run on; cancel it with: remotectl group cancel {ID}".encode() in err
