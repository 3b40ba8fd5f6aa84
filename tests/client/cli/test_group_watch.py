"""Following a group to its end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from remote_client.cli import group_watch
from remote_client.cli.group_watch import exit_code
from tests.support.fake_api import ID, NOW, Answer, FakeApi, Said, cri_log, job_view

GROUP = f"/groups/{ID}"


def member(number: int, state: str = "succeeded", **fields: Any) -> dict[str, Any]:
    return {
        "job": f"{ID[:-3]}{number:03}", "agent": f"a{number}", "state": state, "attempt": 1,
        "exit_code": 0, "end_detail": "", **fields,
    }  # fmt: skip


def view(members: list[dict[str, Any]], state: str = "succeeded", **fields: Any) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in members:
        counts[one["state"]] = counts.get(one["state"], 0) + 1
    return {"id": ID, "state": state, "size": len(members), "counts": counts, **fields}


def log_of(api: FakeApi, one: dict[str, Any], log: Any) -> None:
    api.on("GET", f"/jobs/{one['job']}/log", log)
    ended = {"number": 1, "state": "ended", "log_complete": True}
    size = len(log) if isinstance(log, bytes) else 0
    api.on(
        "GET",
        f"/jobs/{one['job']}",
        job_view(
            id=one["job"], state=one["state"], attempt=1, attempts=[{**ended, "log_size": size}]
        ),
    )


def test_exit_codes() -> None:
    assert exit_code({"state": "succeeded", "cancel_requested": True}) == 0
    assert exit_code({"state": "failed"}) == 1
    assert exit_code({"state": "cancelled", "cancel_requested": True}) == 130


def test_members_of_several_pages_are_followed(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    members = [member(number) for number in range(4)]
    members[2] |= {"state": "failed", "exit_code": 3, "end_detail": "exited with code 3"}
    api.on("POST", "/groups", Answer(view(members, "running"), 201))
    api.on("GET", GROUP, view(members, "failed"))

    def page(said: Said) -> dict[str, Any]:
        if "cursor" in said.query:
            return {"items": members[2:]}
        return {"items": members[:2], "next_cursor": members[1]["job"]}

    waiting = {
        "items": [member(0, "queued", attempt=0), members[1]],
        "next_cursor": members[1]["job"],
    }
    api.on("GET", f"{GROUP}/members", waiting, page)
    for number, one in enumerate(members):
        log_of(api, one, cri_log(("stdout", f"out {number}\n".encode()), ("stderr", b"e\n")))
    assert ctl("run", "--each", "--", "true") == 1
    out, err = capfdbinary.readouterr()
    assert sorted(out.splitlines()) == [f"a{n} | out {n}".encode() for n in range(4)]
    assert err.count(b" | e\n") == 4
    assert f"group {ID} failed: 3 succeeded, 1 failed".encode() in err
    assert b"exited with code 3" in err


def test_a_bounded_number_of_logs_is_read_at_a_time(
    api: FakeApi,
    ctl: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setattr(group_watch, "READERS", 3)
    members = [member(number) for number in range(20)]
    api.on("POST", "/groups", Answer(view(members, "running"), 201))
    api.on("GET", GROUP, view(members))
    api.on("GET", f"{GROUP}/members", {"items": members})
    lock, now, most = threading.Lock(), 0, 0
    busy = threading.Barrier(3)

    def log(said: Said) -> Answer:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        if int(said.path.split("/")[2][-3:]) < 3:
            busy.wait(30)
        with lock:
            now -= 1
        text = cri_log(("stdout", b"x" * 10 + b"\n"))
        return Answer(text[int(said.query.get("offset", 0)) :])

    for one in members:
        log_of(api, one, cri_log(("stdout", b"x" * 10 + b"\n")))
        api.on("GET", f"/jobs/{one['job']}/log", log)
    assert ctl("run", "--each", "--", "true") == 0
    assert most == 3
    assert len(capfdbinary.readouterr().out.splitlines()) == 20


def test_every_attempt_is_shown(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    again = member(0, "queued", attempt=1)
    done = member(0, attempt=2)
    api.on("POST", "/groups", Answer(view([again], "running"), 201))
    api.on("GET", GROUP, view([done]))
    api.on("GET", f"{GROUP}/members", {"items": [again]}, {"items": [done]})
    texts = {number: cri_log(("stdout", f"try {number}\n".encode())) for number in (1, 2)}
    size = len(texts[1])
    attempts = [
        {"number": number, "state": "ended", "log_complete": True, "log_size": size}
        for number in (1, 2)
    ]
    job = done["job"]
    api.on("GET", f"/jobs/{job}", job_view(id=job, state="succeeded", attempt=2, attempts=attempts))

    def log(said: Said) -> Answer:
        number = int(said.query["attempt"])
        headers = {"Remote-Attempt": str(number), "Remote-Log-Size": str(size)}
        return Answer(texts[number][int(said.query.get("offset", 0)) :], headers=headers)

    api.on("GET", f"/jobs/{job}/log", log)
    assert ctl("run", "--each", "--", "true") == 0
    assert sorted(capfdbinary.readouterr().out.splitlines()) == [b"a0 | try 1", b"a0 | try 2"]


def test_a_log_that_cannot_be_read_leaves_the_group_to_itself(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [member(0, "running")]
    api.on("POST", "/groups", Answer(view(members, "running"), 201))
    api.on("GET", GROUP, view(members, "running"))
    api.on("GET", f"{GROUP}/members", {"items": members})
    refused = {"title": "x", "status": 403, "code": "forbidden", "detail": "not for you"}
    api.on("GET", f"/jobs/{members[0]['job']}/log", Answer(refused, 403))
    assert ctl("run", "--each", "--", "true") == 255
    err = capsys.readouterr().err
    assert "not for you" in err and f"remotectl group cancel {ID}" in err


def test_it_says_whom_it_waits_for(
    api: FakeApi, ctl: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(group_watch, "_LOOK_EVERY", 0.0)
    waiting = [member(0, "queued", attempt=0)]
    away = {"unavailable": 1, "unavailable_agents": [{"agent": "a0", "reason": "paused: disk"}]}
    api.on("POST", "/groups", Answer(view(waiting, "running", **away), 201))
    api.on("GET", f"{GROUP}/members", *[{"items": waiting}] * 4, {"items": [member(0)]})
    api.on("GET", GROUP, view(waiting, "running", **away), view([member(0)], ended_at=NOW))
    log_of(api, member(0), cri_log(("stdout", b"x\n")))
    assert ctl("run", "--each", "--", "true") == 0
    err = capsys.readouterr().err
    assert "1 agent, of which 1 takes no jobs now: a0 (paused: disk)" in err
    assert err.count("waits for 1 agent: a0 (paused: disk)") == 1
