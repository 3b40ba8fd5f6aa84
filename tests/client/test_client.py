"""The Python client against a real HTTP server: what each call says."""

from __future__ import annotations

import pytest

from remote_client.client import Client
from remote_client.errors import ApiError, ClientError
from remote_protocol.api.agents import AgentChange
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.ids import Role
from remote_protocol.spec import CommandSpec
from remote_protocol.states import JobState
from tests.support.fake_api import ID, NOW, TOKEN, Answer, FakeApi, job_view


def test_submit_sends_what_was_asked_and_a_key(api: FakeApi, client: Client) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    job = client.submit(CommandSpec(command=["echo", "hi"], timeout=5))
    assert (job.id, job.state) == (ID, JobState.QUEUED)
    said = api.calls[0]
    assert said.body == {"command": ["echo", "hi"], "timeout": 5.0}
    assert said.headers["Idempotency-Key"]
    assert said.headers["Authorization"] == f"Bearer {TOKEN}"


def test_names_are_one_segment_of_the_path(api: FakeApi, client: Client) -> None:
    with pytest.raises(ApiError):
        client.agent("../tokens?x=1")
    assert api.calls[0].path == "/agents/..%2Ftokens%3Fx%3D1"
    assert api.calls[0].query == {}


def test_wait_until_the_end_or_the_timeout(api: FakeApi, client: Client) -> None:
    path = f"/jobs/{ID}"
    api.on("GET", path, job_view(), job_view(state="running"), job_view(state="succeeded"))
    assert client.wait(ID).state is JobState.SUCCEEDED
    api.on("GET", path, job_view(state="running"))
    with pytest.raises(ClientError, match="still running"):
        client.wait(ID, timeout=0)


def test_events(api: FakeApi, client: Client) -> None:
    line = (
        '{"seq": %d, "job": "' + ID + f'", "at": "{NOW}", "what": "queued", "state": "queued"}}\n'
    )
    end = '{"event": "end", "after": 11}\n'
    # The first answer was cut, and ended by a proxy in good order.
    cut = (line % 7 + "\n" + line % 9)[:-20]
    api.on("GET", "/events", cut.encode(), (line % 9 + line % 11 + end).encode())
    assert [event.seq for event in client.events(after=5, follow=False)] == [7, 9, 11]
    assert [said.query for said in api.calls] == [{"after": "5"}, {"after": "7"}]


def test_changes_send_only_what_is_set(api: FakeApi, client: Client) -> None:
    view = {
        "name": "a", "state": "online", "queues": ["q"], "capacity": {"default": 2},
        "registered_at": NOW,
    }  # fmt: skip
    api.on("PATCH", "/agents/a", view)
    client.change_agent("a", AgentChange(queues=["q"]))
    assert api.calls[0].body == {"queues": ["q"]}
    api.on("POST", "/agents/a/drain", view)
    client.drain_agent("a", 30)
    assert api.calls[1].body == {"deadline": 30}


def test_tokens(api: FakeApi, client: Client) -> None:
    view = {"id": ID, "kind": "api", "name": "ci", "created_at": NOW, "token": "rpt_x"}
    api.on("POST", "/tokens", Answer(view, 201))
    assert client.create_token("ci", Role.OPERATOR, expires=60).token == "rpt_x"
    assert api.calls[0].body == {"name": "ci", "role": "operator", "agent": None, "expires": 60}
    api.on("POST", "/registration-tokens", Answer({**view, "kind": "registration"}, 201))
    client.create_registration_token(RegistrationTokenCreate(queues=["q"], uses=2, expires=None))
    assert api.calls[1].body == {
        "any_queue": False,
        "labels": {},
        "queues": ["q"],
        "allow_replace": False,
        "uses": 2,
        "expires": None,
    }
    api.on("DELETE", f"/registration-tokens/{ID}", Answer(None, 204))
    client.revoke_token(ID, "registration-tokens")


def test_another_client_for_another_thread(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/jobs/{ID}", job_view())
    with client.again() as other:
        assert other is not client
        assert other.job(ID).id == ID
