"""Duplicated connections: the same identity connects once more while its agent is alive.

The newest session is the only one that is heard, and the older one is told so. A duplicate is
either a stranger with the agent's token, which says that it holds nothing, or a replay of the very
bytes that the agent said when its present connection began: upgrade, hello, acceptances, log, ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable

import aiohttp

from remote_agent.connection.identity import load_identity
from remote_client.errors import ClientError
from remote_protocol.errors import CloseCode
from remote_protocol.states import AgentState
from tests.chaos.stage import Agent, Missed, Stage
from tests.support.fake_agent import FakeAgent

_TIMEOUT = 45.0
"""Seconds: TCP may just be waiting to say again what a bad line has swallowed."""
_TOLD = "another agent connected with this agent's identity"
"""What an agent logs when it was fenced."""


def clone_agent(stage: Stage, dice: random.Random) -> str:
    """A stranger connects with an agent's token; then the agent comes back and throws it out."""
    agent = dice.choice(stage.agents)
    if not _online(stage, agent):
        raise Missed(f"clone of {agent.name}: it was offline")
    try:
        return asyncio.run(_impersonate(stage, agent, dice.uniform(0.0, 3.0)))
    except (OSError, aiohttp.ClientError, TimeoutError, AssertionError) as error:
        raise Missed(f"clone of {agent.name}: not let in ({error!r})") from error


async def _impersonate(stage: Stage, agent: Agent, seconds: float) -> str:
    identity = load_identity(agent.disk / "state")
    assert identity is not None
    before = _times_told(agent)
    url = stage.url.replace("http", "ws") + "/api/v1/agent/session"
    async with FakeAgent(url, identity.token) as clone:
        await clone.hello()
        if not await asyncio.to_thread(_soon, lambda: _times_told(agent) > before):
            stage.complain(f"{agent.name} was not told of its clone")
        await asyncio.sleep(seconds)
        agent.kill()
        agent.start()
        code = await _close_code(clone)
        if code != CloseCode.FENCED:
            stage.complain(f"{agent.name} returned, and its clone was closed with {code}")
    return f"clone of {agent.name} for {seconds:.1f} s"


async def _close_code(clone: FakeAgent) -> int | None:
    """Read until the server closes the link; None when it does not."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TIMEOUT):
            while (frame := await clone.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                continue
            closing = frame.type is aiohttp.WSMsgType.CLOSE
            return int(frame.data) if closing else clone.socket.close_code
    return None


def replay_connection(stage: Stage, dice: random.Random) -> str:
    """All that an agent said on its connection is said again on a second one."""
    agent, relay = dice.choice(stage.relayed)
    said = relay.said()
    if not said or not _online(stage, agent):
        raise Missed(f"replay of {agent.name}: it was offline")
    with contextlib.suppress(OSError), socket.create_connection(stage.address, 5) as replay:
        rest = memoryview(said)
        while rest:
            size = dice.randrange(1, 65536)
            replay.sendall(rest[:size])
            rest = rest[size:]
        replay.settimeout(dice.uniform(0.5, 3.0))
        with contextlib.suppress(TimeoutError):
            while replay.recv(65536):
                pass
    if dice.random() < 0.75:
        # Otherwise it comes back by itself, after the half minute or more that the fenced wait.
        agent.kill()
        agent.start()
    return f"replay of {len(said)} bytes of {agent.name}"


def _online(stage: Stage, agent: Agent) -> bool:
    with contextlib.suppress(ClientError):
        return stage.client.agent(agent.name).state is AgentState.ONLINE
    return False


def _times_told(agent: Agent) -> int:
    return agent.log.read_text("utf-8", "replace").count(_TOLD)


def _soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
