"""How agents are shown to people."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_client import __version__
from tests.support.fake_api import NOW, FakeApi


def view(**fields: Any) -> dict[str, Any]:
    return {
        "name": "web-7", "state": "online", "queues": ["default"], "labels": {"disk": "ssd"},
        "capacity": {"default": 4}, "running": 1, "registered_at": NOW, **fields,
    }  # fmt: skip


def test_list(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    paused = view(paused=True, pause_comment="disk")
    api.on("GET", "/agents", {"items": [paused], "next_cursor": None})
    assert ctl("agent", "list") == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("web-7", "online", "1/4", "disk=ssd", "paused: disk"))
    assert ctl("agent", "list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["name"] == "web-7"


def test_a_list_names_agents_of_another_version_than_the_servers(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(server: str, *versions: str, options: tuple[str, ...] = ()) -> str:
        items = [view(name=f"web-{n}", version=version) for n, version in enumerate(versions)]
        api.on("GET", "/agents", {"items": items, "next_cursor": None})
        api.on("GET", "/version", {"version": server})
        assert ctl("agent", "list", *options) == 0
        return capsys.readouterr().err.removeprefix("remotectl: ")

    # The same as remotectl's: nobody is asked for more.
    assert said(__version__, __version__, "") == ""
    assert [call.path for call in api.calls] == ["/agents"]
    assert said("9.2.0", "9.1.0", "9.2.0") == (
        "1 agent has another version than the server, which has 9.2.0: web-0 (9.1.0); update the "
        "server first, then agents: jobs run on\n"
    )
    assert said("9.2.0", "9.2.0") == ""
    many = said("9.2.0", *["9.1.0"] * 7)
    assert many.startswith("7 agents have") and "web-4 (9.1.0) and 2 more; update" in many
    for options in (("-q",), ("-o", "json")):
        assert said("9.2.0", "9.1.0", options=options) == ""


def test_show(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/agents/web-7", view(spool_bytes=2048))
    assert ctl("agent", "show", "web-7") == 0
    assert "2.0 KiB" in capsys.readouterr().out


def test_show_says_how_busy_the_host_is(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    load = {"cpu": 12.5, "memory_free": 1 << 30, "memory_total": 2 << 30, "load": 0.42}
    api.on("GET", "/agents/web-7", view(load=load))
    assert ctl("agent", "show", "web-7") == 0
    assert "CPU 12.5 %, memory 1.0 GiB free of 2.0 GiB, load 0.42" in capsys.readouterr().out
