"""Wishes to end a job: said to its shim, or carried out past it."""

from __future__ import annotations

import os

import pytest

from remote_agent.config import Config
from remote_agent.execution import stopping as module
from remote_agent.execution.stopping import RunningAttempt, Stopper, with_requested_reason
from remote_agent.journal import Journal
from remote_agent.journal.directory import ended_from
from remote_agent.journal.losses import lost
from remote_agent.planning.order import HostContext
from remote_agent.sections import AgentPart
from remote_protocol.messages import Offer
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason
from tests.agent.execution.test_runner import World, ticking
from tests.support.fake_server import new_key, until
from tests.support.shim_harness import gone

STOP: dict[str, object] = {"do": "stop", "reason": "cancelled", "detail": "enough"}


def test_what_has_not_begun_never_does(tmp_path):
    config = Config(state_dir=tmp_path, agent=AgentPart(durability="normal"))
    journal = Journal(config, HostContext("a", os.environ))
    key = new_key()
    journal.store(Offer(attempt=key, spec=CommandSpec(command=["true"])))
    watched = RunningAttempt(journal.directory(key), stop_request=STOP)
    ended = Stopper(journal).deliver(key, watched, 1.0)
    assert ended is not None and ended.end_detail == "enough; it had not started"


@pytest.mark.parametrize(("script", "grace", "code"), [("exit 3", 60.0, 3), ("", 0.5, 137)])
async def test_past_a_shim_that_cannot_be_told(tmp_path, monkeypatch, script, grace, code):
    monkeypatch.setattr(module, "UNHEARD_FOR", 0.2)
    async with ticking(World(tmp_path)) as world:
        trap = f"trap '{script}' TERM; rm -f ../control; while :; do sleep 0.05; done"
        key = world.run(trap, grace_period=grace)
        await until(lambda: world.started(key))
        await until(lambda: not (world.journal.path(key) / "control").exists())
        world.runner.stop(key, EndReason.CANCELLED, "enough")
        ended = await world.end_of(key)
        assert (ended.end_reason, ended.exit_code) == (EndReason.CANCELLED, code)
        assert ended.end_detail.startswith("enough; ")
        gone(world.started(key).pid)


def test_only_ends_by_force_get_another_reason():
    body = lost("killed by SIGKILL", 0, 0, None) | {"end_reason": "signal", "exit_code": 137}
    ended = ended_from(new_key(), body)
    assert with_requested_reason(ended, RunningAttempt("J.1")) is ended
    assert with_requested_reason(ended, RunningAttempt("J.1", stop_request=STOP)) is ended
    past_shim = RunningAttempt("J.1", stop_request=STOP, forced_at=1.0)
    forced = with_requested_reason(ended, past_shim)
    assert forced.end_reason is EndReason.CANCELLED
    assert forced.end_detail == "enough; killed by SIGKILL"
    memory = ended.model_copy(update={"end_reason": EndReason.MEMORY_LIMIT})
    assert with_requested_reason(memory, past_shim) is memory
