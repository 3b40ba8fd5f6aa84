"""How fast the system is whole again: after an agent's, a server's and a link's death.

Usage: python -m benchmarks.recovery [--agents 1000] [--megabytes 100]
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from benchmarks.bed import Bed, bed, start_agent, start_server, table, wait_until
from benchmarks.swarm import Swarm
from remote_client.errors import ClientError
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.spec import CommandSpec
from remote_protocol.states import AgentState, JobState
from tests.support.relay import Relay

_SLEEPER = CommandSpec(command=["sleep", "600"])


def reattach(place: Bed, jobs: int) -> float:
    """Seconds from starting a killed agent until it is online with all its jobs."""
    ids = [place.client.submit(_SLEEPER).id for _ in range(jobs)]
    wait_until(lambda: all(place.client.job(i).state is JobState.RUNNING for i in ids), "the jobs")
    assert place.agent is not None
    place.agent.send_signal(signal.SIGKILL)
    place.agent.wait()
    wait_until(lambda: place.client.agent("bench").state is AgentState.OFFLINE, "its absence")
    begun = time.monotonic()
    place.agent = subprocess.Popen(
        [Path(sys.executable).parent / "remote-agent", "run", "--state-dir", place.root / "bench"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: place.client.agent("bench").state is AgentState.ONLINE, "the agent", 60)
    seconds = time.monotonic() - begun
    assert all(place.client.job(i).state is JobState.RUNNING for i in ids)
    for identity in ids:
        place.client.cancel(identity)
    for identity in ids:
        assert place.client.wait(identity, 30).attempt == 1
    return seconds


async def come_back(place: Bed, agents: int) -> tuple[float, float]:
    """Seconds after a server's kill -9 until it answers, and until every agent is online again."""
    token = place.client.create_registration_token(RegistrationTokenCreate(uses=None)).token
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        swarm = Swarm(place.url, http)
        await swarm.enrol(agents, token)
        place.server.send_signal(signal.SIGKILL)
        await asyncio.to_thread(place.server.wait)
        begun = time.monotonic()
        place.server = start_server(place.root, place.url)
        await asyncio.to_thread(wait_until, lambda: _answers(place), "the server")
        answered = time.monotonic() - begun
        deadline = begun + 120
        while swarm.online < agents and time.monotonic() < deadline:
            swarm.news.clear()
            try:
                await asyncio.wait_for(swarm.news.wait(), 0.05)
            except TimeoutError:
                continue
        whole = time.monotonic() - begun
        assert swarm.online == agents, f"{swarm.online} of {agents} came back"
        await swarm.close()
    return answered, whole


def catch_up(place: Bed, megabytes: int) -> float:
    """Seconds from the healing of a link until a log spooled meanwhile is whole on the server."""
    relay = Relay(("127.0.0.1", int(place.url.rpartition(":")[2]))).start()
    url = f"http://127.0.0.1:{relay.port}"
    agent = start_agent(place.root, place.client, url, 1, "behind")
    place.client.drain_agent("bench")
    assert place.agent is not None
    place.agent.wait(30)
    marker = place.root / "go"
    script = f"while [ ! -e {marker} ]; do sleep 0.05; done; head -c {megabytes}000000 /dev/zero"
    job = place.client.submit(
        CommandSpec(shell="sh", script=f"{script} | tr '\\0' 'x' | fold -w 79")
    )
    wait_until(lambda: place.client.job(job.id).state is JobState.RUNNING, "the job")
    relay.refuse(True)
    relay.cut()
    marker.touch()
    attempt = place.root / "behind" / "attempts" / f"{job.id}.1" / "exit.json"
    wait_until(attempt.exists, "the end of the job on its host", 120)
    relay.refuse(False)
    wait_until(lambda: place.client.agent("behind").state is AgentState.ONLINE, "the link", 90)
    begun = time.monotonic()
    view = place.client.wait(job.id, 120)
    seconds = time.monotonic() - begun
    assert view.attempts[-1].log_complete and view.log_size > megabytes * 1_000_000
    agent.terminate()
    agent.wait(15)
    relay.stop()
    return seconds


def _answers(place: Bed) -> bool:
    try:
        return place.client.version().product == "remote-server"
    except ClientError:
        return False


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    with bed(capacity=8) as place:
        attached = reattach(place, 8)
        caught = catch_up(place, options.megabytes)
    with bed(with_agent=False) as place:
        answered, whole = asyncio.run(come_back(place, options.agents))
    table(
        "Recovery",
        [
            ("agent killed and started: online with its 8 jobs, s", f"{attached:.2f}", "≤ 1"),
            (f"link back: {options.megabytes} MB of spool delivered, s", f"{caught:.2f}", "≤ 2"),
            (
                f"server killed and started: it answers; {options.agents} agents online, s",
                f"{answered:.2f}; {whole:.2f}",
                "≤ 10",
            ),
        ],
    )


if __name__ == "__main__":
    main()
