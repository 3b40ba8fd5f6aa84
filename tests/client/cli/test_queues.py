"""`remotectl queue`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_api import NOW, Answer, FakeApi


def view(**fields: Any) -> dict[str, Any]:
    return {"name": "berlin", "created_at": NOW, "agents": ["a"], "agents_online": 0, **fields}


def test_list_and_show(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/queues", {"items": [view(queued=3, oldest_seconds=90, paused=True)]})
    api.on("GET", "/queues/berlin", view())
    assert ctl("queue", "list") == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("berlin", "no (paused)", "3", "1m30s", "0/1"))
    assert ctl("queue", "show", "berlin") == 0
    assert "no agent that serves it is online" in capsys.readouterr().out
    assert ctl("queue", "list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["queued"] == 3


def test_create_and_edit(api: FakeApi, ctl: Any) -> None:
    api.on("POST", "/queues", Answer(view(), 201))
    api.on("PATCH", "/queues/berlin", view())
    assert ctl("queue", "create", "berlin", "--log-retention", "30d", "--log-max-total", "1GB") == 0
    assert api.calls[0].body == {
        "name": "berlin",
        "description": "",
        "log_retention": 30 * 86400.0,
        "log_max_total": 10**9,
    }
    assert ctl("queue", "edit", "berlin", "--description", "hosts") == 0
    assert api.calls[1].body == {"description": "hosts"}
    assert ctl("queue", "edit", "berlin", "--job-retention", "90d") == 0
    assert api.calls[2].body == {"job_retention": 90 * 86400.0}
    assert ctl("queue", "edit", "berlin") == 2


def test_the_default_queue(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = view(default=True)
    api.on("POST", "/queues", Answer(chosen, 201))
    api.on("PATCH", "/queues/berlin", chosen)
    api.on("GET", "/queues", {"items": [chosen, view(name="paris")]})
    api.on("GET", "/queues/berlin", chosen)
    assert ctl("queue", "create", "berlin", "--default") == 0
    assert ctl("queue", "edit", "berlin", "--default") == 0
    assert [said.body for said in api.calls] == [
        {"name": "berlin", "description": "", "default": True},
        {"default": True},
    ]
    assert "queue berlin is the default one now" in capsys.readouterr().err
    assert ctl("queue", "list") == 0
    head, berlin, paris = capsys.readouterr().out.splitlines()
    assert "DEFAULT" in head and " yes " in f"{berlin} " and " yes " not in f"{paris} "
    assert ctl("queue", "show", "berlin") == 0
    assert "jobs that name no queue go there" in capsys.readouterr().out


def test_pause_resume_delete(api: FakeApi, ctl: Any) -> None:
    api.on("PATCH", "/queues/berlin", view())
    api.on("DELETE", "/queues/berlin", Answer(None, 204))
    assert (ctl("queue", "pause", "berlin"), ctl("queue", "resume", "berlin")) == (0, 0)
    assert [said.body for said in api.calls] == [{"paused": True}, {"paused": False}]
    assert ctl("queue", "delete", "berlin") == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create", "two words"), "'NAME'"),
        (("create", "q", "--log-retention", "ages"), "not a duration"),
        (("create", "q", "--log-max-total", "much"), "not a size"),
    ],
)
def test_bad_values_are_sentences(
    ctl: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert ctl("queue", *arguments) == 2
    err = capsys.readouterr().err
    assert says in err and "Traceback" not in err
