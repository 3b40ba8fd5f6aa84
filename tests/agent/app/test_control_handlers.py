"""What the running agent answers to its command line."""

from __future__ import annotations

import json

import pytest

from remote_agent.app.control_handlers import ControlHandlers
from remote_agent.connection.identity import Identity
from remote_agent.errors import AgentError
from remote_agent.journal.directory import ended_from
from remote_agent.journal.losses import lost
from remote_agent.session.attempt import FoundAttempt
from remote_agent.session.events import AttemptStarted, SpoolGrew
from remote_protocol.messages import DesiredMode, Phase, SetMode
from tests.support.driven import Driven
from tests.support.fake_server import TOKEN, new_key


@pytest.fixture
def driven(tmp_path):
    return Driven(tmp_path)


@pytest.fixture
def answers(driven):
    identity = Identity(server="https://here", name="fake", token=TOKEN)
    return ControlHandlers(
        driven.driver, lambda: identity, "somebody", lambda: "no route"
    ).handlers()


async def test_status_before_the_first_link(answers):
    document = await answers["status"]({})
    assert document["jobs_run_as"] == "somebody"
    assert document["link"] == "away, trying again" and document["capacity"] == {}
    assert (document["name"], document["server"]) == ("fake", "https://here")


async def test_status_with_an_attempt_is_json_without_the_token(driven, answers):
    driven.welcome()
    key = driven.take()
    driven.driver.handle(AttemptStarted(key, 42, 5.0))
    driven.driver.handle(SpoolGrew(key, 100))
    document = json.loads(json.dumps(await answers["status"]({})))
    assert TOKEN not in str(document)
    assert document["link"] == "online" and document["accepting"] is True
    assert document["capacity"] == {"default": 3, "big": 2}
    (attempt,) = document["attempts"]
    assert (attempt["job"], attempt["phase"], attempt["pid"]) == (key.job, "running", 42)
    assert (attempt["size"], attempt["acked"], document["spool_bytes"]) == (100, 0, 100)


async def test_pause_and_resume(driven, answers):
    answer = await answers["pause"]({"comment": "lunch"})
    assert answer == {"condition": "paused on the host: lunch"}
    assert await answers["resume"]({}) == {"condition": "taking jobs"}


async def test_resume_here_says_that_the_server_still_pauses(driven, answers):
    driven.welcome()
    driven.hear(SetMode(desired=DesiredMode(paused=True, comment="night")))
    await answers["pause"]({})
    assert await answers["resume"]({}) == {"condition": "paused: night"}


async def test_drain_with_a_deadline(driven, answers):
    await answers["drain"]({"deadline": 60})
    assert driven.desired.draining and driven.desired.local.drain_deadline == 60.0
    with pytest.raises(AgentError, match="number of seconds"):
        await answers["drain"]({"deadline": "soon"})


async def test_a_request_that_cannot_be_kept_changes_nothing(driven, answers, monkeypatch):
    def full(local):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(driven.desired, "set_local", full)
    with pytest.raises(AgentError, match="No space left"):
        await answers["pause"]({})
    assert driven.desired.condition().accepting


async def test_status_with_an_attempt_whose_directory_was_damaged(driven, answers):
    driven.welcome()
    key = new_key()
    ended = ended_from(key, lost("the shim died", 0, 0, None))
    driven.session.adopt(FoundAttempt(key, None, Phase.ENDED, 0, ended=ended))
    (attempt,) = json.loads(json.dumps(await answers["status"]({})))["attempts"]
    assert (attempt["job"], attempt["phase"], attempt["name"]) == (key.job, "ended", None)
