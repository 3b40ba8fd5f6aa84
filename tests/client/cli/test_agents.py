"""`remotectl agent`."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.support.fake_api import NOW, Answer, FakeApi


def view(**fields: Any) -> dict[str, Any]:
    return {
        "name": "web-7", "state": "online", "queues": ["default"], "labels": {"disk": "ssd"},
        "capacity": {"default": 4}, "running": 1, "registered_at": NOW, **fields,
    }  # fmt: skip


def test_no_agents_say_what_to_do(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/agents", {"items": []})
    assert ctl("agent", "list") == 0
    assert "registration-token create" in capsys.readouterr().err


def test_wishes(api: FakeApi, ctl: Any) -> None:
    for what in ("pause", "resume", "drain"):
        api.on("POST", f"/agents/web-7/{what}", view())
    assert ctl("agent", "pause", "web-7", "--comment", "disk") == 0
    assert ctl("agent", "resume", "web-7") == 0
    assert ctl("agent", "drain", "web-7", "--deadline", "1h") == 0
    assert [said.body for said in api.calls] == [{"comment": "disk"}, None, {"deadline": 3600.0}]


def test_a_restart_says_when(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("POST", "/agents/web-7/restart", view(restart_requested_at=NOW))
    assert ctl("agent", "restart", "web-7") == 0
    assert "web-7 restarts; its jobs run on" in capsys.readouterr().err
    api.on("POST", "/agents/web-7/restart", view(state="offline", restart_requested_at=NOW))
    assert ctl("agent", "restart", "web-7") == 0
    assert "web-7 is offline: it restarts when it comes back" in capsys.readouterr().err
    api.on("GET", "/agents", {"items": [view(restart_requested_at=NOW)], "next_cursor": None})
    assert ctl("agent", "list") == 0
    assert "to be restarted" in capsys.readouterr().out


def test_its_own_log(api: FakeApi, ctl: Any, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    place = {"Remote-Log-Offset": "0", "Remote-Log-Size": "8"}
    api.on("GET", "/agents/web-7/log", Answer(b"one\ntwo\n", headers=place))
    assert ctl("agent", "logs", "web-7", "--tail", "2") == 0
    assert capsysbinary.readouterr().out == b"one\ntwo\n"
    assert api.calls[0].query == {"tail": "2"}


def test_a_bad_deadline_is_named(ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl("agent", "drain", "web-7", "--deadline", "soon") == 2
    assert "'soon' is not a duration" in capsys.readouterr().err


def test_set(api: FakeApi, ctl: Any) -> None:
    api.on("PATCH", "/agents/web-7", view())
    change = ("--queue", "a", "--queue", "b", "--label", "gpu=true", "--capacity", "default=4,m=10")
    assert ctl("agent", "set", "web-7", *change) == 0
    assert api.calls[0].body == {
        "queues": ["a", "b"],
        "labels": {"gpu": "true"},
        "capacity": {"default": 4, "m": 10},
    }
    assert ctl("agent", "set", "web-7", "--capacity", "3") == 0
    assert api.calls[1].body == {"capacity": {"default": 3}}


@pytest.mark.parametrize(
    "arguments", [(), ("--label", "gpu"), ("--capacity", "many"), ("--queue", "a b")]
)
def test_set_refuses_nonsense(ctl: Any, api: FakeApi, arguments: tuple[str, ...]) -> None:
    assert ctl("agent", "set", "web-7", *arguments) == 2
    assert api.calls == []


def test_rotate_token_prints_only_the_token(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("POST", "/agents/web-7/rotate-token", {"name": "web-7", "token": "rat_new"})
    assert ctl("agent", "rotate-token", "web-7") == 0
    assert capsys.readouterr().out == "rat_new\n"


def test_delete_asks_when_jobs_run(api: FakeApi, ctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.on("GET", "/agents/web-7", view())
    api.on("DELETE", "/agents/web-7", Answer(None, 204))
    # Nobody is there to be asked.
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert ctl("agent", "delete", "web-7") == 2
    # On a terminal it asks, for an idle agent, too.
    api.on("GET", "/agents/web-7", view(running=0))
    terminal = io.StringIO("no\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    assert ctl("agent", "delete", "web-7") != 0
    assert not api.said("DELETE", "/agents/web-7")
    assert ctl("agent", "delete", "web-7", "--yes") == 0
    assert len(api.said("DELETE", "/agents/web-7")) == 1


def test_a_capacity_that_is_none(api: FakeApi, ctl: Any, capsys: Any) -> None:
    for text in ("lots", "default=many", "default=4,"):
        assert ctl("agent", "set", "web-7", "--capacity", text) == 2
        assert "neither a number of jobs nor a list like" in capsys.readouterr().err
    assert ctl("agent", "set", "web-7", "--queue", "a b") == 2
    err = capsys.readouterr().err
    assert "'--queue': 'a b' is no name: it is 1 to 128 letters" in err
    assert api.calls == []
