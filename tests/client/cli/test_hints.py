"""What to do next, said where something failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remote_client.calls import Calls
from remote_client.cli.hints import agent_is_away, hint_for_job
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from tests.support.fake_api import ID, TOKEN, FakeApi, job_view, problem


def failed(*command: str, **fields: Any) -> dict[str, Any]:
    return job_view(state="failed", end_reason="spawn_error", command=list(command), **fields)


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (failed("cd /tmp && ls"), "--shell bash -- 'cd /tmp && ls'"),
        (failed("cd", "/tmp"), "--shell bash -- 'cd /tmp'"),
        (failed("./report.sh", "x"), "send it along: --file report.sh"),
        (failed("bin/tool"), "--file bin/tool"),
        (failed("./report.sh", cwd="/srv"), ""),
        (failed("/usr/bin/none"), ""),
        (failed("nonesuch"), ""),
        (failed("cd /tmp", shell="bash"), ""),
        (job_view(state="failed", end_reason="exit", command=["cd /tmp"]), ""),
    ],
)
def test_what_was_probably_meant(job: dict[str, Any], says: str) -> None:
    hint = hint_for_job(job)
    assert (says in hint) if says else hint == ""


@pytest.fixture
def calls(api: FakeApi) -> Iterator[Calls]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))) as transport:
        yield Calls(transport)


def test_an_agent_that_is_away(api: FakeApi, calls: Calls) -> None:
    seen = (datetime.now(UTC) - timedelta(minutes=4)).isoformat()
    api.on("GET", "/agents/web-7", {"name": "web-7", "state": "offline", "last_seen_at": seen})
    job = job_view(state="running", agent="web-7", on_disconnect={"lost_after": 600})
    words = agent_is_away(calls, job)
    assert words.startswith("its agent web-7 is offline, last seen 4m")
    lost = (datetime.fromisoformat(seen) + timedelta(minutes=10)).astimezone()
    assert words.endswith(f"the job is lost at {lost.isoformat(' ', 'seconds')}")
    assert agent_is_away(calls, {**job, "state": "succeeded"}) == ""
    assert "lost" not in agent_is_away(calls, {**job, "on_disconnect": {"lost_after": 1e400}})
    api.on("GET", "/agents/web-7", {"name": "web-7", "state": "online"})
    assert agent_is_away(calls, job) == ""
    api.on("GET", "/agents/web-7", problem(404, "not_found", "gone"))
    assert agent_is_away(calls, job) == ""


def test_show_and_run_say_it(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/agents/a", {"name": "a", "state": "offline"})
    api.on("GET", f"/jobs/{ID}", job_view(state="running", attempt=1, agent="a"))
    api.on("GET", f"/jobs/{ID}/timeline", {"items": []})
    assert ctl("job", "show", ID) == 0
    assert "its agent a is offline" in capsys.readouterr().out


def test_a_refusal_says_where_to_look(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/queues", problem(401, "invalid_token", "this token is unknown."))
    assert ctl("queue", "list") == 1
    said = "remotectl: this token is unknown; log in again: remotectl login\n"
    assert capsys.readouterr().err == said
