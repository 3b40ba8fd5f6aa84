"""Relays are loaded with the first job that asks for one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from remote_agent.app.relays import Relays
from remote_agent.connection.endpoint import Endpoint
from remote_agent.session.attempt import FoundAttempt
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase
from remote_protocol.relay import VARIABLE
from remote_protocol.spec import CommandSpec
from tests.support.fake_server import new_key


class FakeEnds:
    on_end: Callable[[AttemptId], None] | None = None


def relays(state_dir: Path, ends: FakeEnds, *held: AttemptId) -> Relays:
    return Relays(state_dir, lambda: Endpoint("http://127.0.0.1:9"), held, ends)


async def test_it_opens_closes_and_opens_again(tmp_path: Path) -> None:
    ends, key = FakeEnds(), new_key()
    first = relays(tmp_path, ends)
    first.turn()
    first.leave()
    first.reattach([FoundAttempt(key, CommandSpec(command=["true"]), Phase.RUNNING, 0)])
    assert ends.on_end is None and not (tmp_path / "relays").exists()
    given = first.open(key)
    first.leave()
    await asyncio.sleep(0)
    spec = CommandSpec(command=["true"], relay="api")
    again = relays(tmp_path, ends, key)
    again.reattach(
        [FoundAttempt(key, spec, Phase.RUNNING, 0), FoundAttempt(new_key(), None, Phase.ENDED, 0)]
    )
    again.turn()
    port = int(given[VARIABLE].split(":")[2].split("/")[0])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    assert ends.on_end is not None
    ends.on_end(key)
    assert not (tmp_path / "relays" / str(key)).exists()


def test_the_agent_does_not_load_it_at_its_start() -> None:
    code = (
        "import sys, remote_agent.app.agent; "
        "print([name for name in sys.modules if name.startswith('remote_agent.relay')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
