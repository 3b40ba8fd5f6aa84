"""Simulated idle agents in bulk, over the real protocol: what they cost, and offers through them.

Usage: python -m benchmarks.swarm [--agents 1000] [--seconds 30] [--offers 200]

Each agent registers, says hello, beats as often as the server dictates, and reports an offered job
as done at once, without running it. All of them live in this process, the server in one of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import statistics
import time
from hashlib import sha256

import aiohttp

from benchmarks.bed import Bed, bed, cpu_seconds, memory, quantile, table
from remote_agent import backoff
from remote_protocol import messages as m
from remote_protocol.api.registration import Registered, Registration
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.codec import decode_from_server, encode, messages_of
from remote_protocol.ids import make_ulid
from remote_protocol.limits import SUBPROTOCOL
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason


class Swarm:
    """Many simulated agents; `offered` holds when each offered job was seen (monotonic seconds)."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http
        self.offered: dict[str, float] = {}
        self.news = asyncio.Event()
        """Set at every offer."""
        self.online = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def enrol(self, count: int, token: str) -> None:
        """Register and connect `count` agents, some tens at a time."""
        gate = asyncio.Semaphore(32)

        async def one(number: int) -> None:
            async with gate:
                name = f"swarm-{number}"
                body = Registration(name=name, fingerprint=secrets.token_hex(8)).model_dump_json()
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
                path = f"{self.url}/api/v1/agent/register"
                async with self.http.post(path, data=body, headers=headers) as answer:
                    answer.raise_for_status()
                    own = Registered.model_validate_json(await answer.read()).token
                assert own is not None
                ready = asyncio.Event()
                self._tasks.append(asyncio.create_task(self._live(own, ready)))
                await asyncio.wait_for(ready.wait(), 60)

        await asyncio.gather(*(one(number) for number in range(count)))

    async def close(self) -> None:
        """Disconnect all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _live(self, token: str, ready: asyncio.Event) -> None:
        failures = 0
        while True:
            try:
                await self._link(token, ready)
                failures = 0
            except (aiohttp.ClientError, OSError):
                failures += 1
            await asyncio.sleep(backoff.delay(failures, random.random()))

    async def _link(self, token: str, ready: asyncio.Event) -> None:
        session = make_ulid(int(time.time() * 1000), secrets.token_bytes(10))
        async with self.http.ws_connect(
            f"{self.url}/api/v1/agent/session",
            headers={"Authorization": f"Bearer {token}"},
            protocols=[SUBPROTOCOL],
            max_msg_size=0,
        ) as socket:
            # As long as a real one, and none like another: the server keeps much of it.
            host = secrets.token_hex(8)
            platform = m.Platform(
                system="Linux", release="6.1.0", machine="x86_64", hostname=host, python="3.11.7"
            )
            hello = m.Hello(
                oldest=1,
                newest=1,
                session=session,
                agent_version="swarm",
                boot_id=secrets.token_hex(16),
                # The same each time, or it would count as a copy.
                installation=sha256(token.encode()).hexdigest()[:32],
                process=secrets.token_hex(16),
                platform=platform,
                settings=m.Settings(capacity={"default": 4}),
            )
            await socket.send_str(encode(hello))
            beating: asyncio.Task[None] | None = None
            welcomed = False
            interval = [15.0]
            try:
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        break
                    for text in messages_of(frame.data):
                        message = decode_from_server(text)
                        if isinstance(message, m.Welcome):
                            welcomed = True
                            self.online += 1
                            ready.set()
                            interval[0] = message.heartbeat_interval
                            beating = asyncio.create_task(_beat(socket, interval))
                        elif isinstance(message, m.Configure):
                            interval[0] = message.heartbeat_interval
                        elif isinstance(message, m.Offer):
                            self.offered[message.attempt.job] = time.monotonic()
                            self.news.set()
                            accept = m.Accept(attempt=message.attempt, serial=message.serial)
                            await socket.send_str(encode(accept))
                        elif isinstance(message, m.Confirm):
                            await self._finish(socket, message)
            finally:
                self.online -= welcomed
                if beating is not None:
                    beating.cancel()

    async def _finish(self, socket: aiohttp.ClientWebSocketResponse, confirm: m.Confirm) -> None:
        now = time.time()
        ended = m.Ended(
            attempt=confirm.attempt,
            exit_code=0,
            end_reason=EndReason.EXIT,
            size=0,
            checksum=0,
            started_at=now,
            ended_at=now,
        )
        await socket.send_str(encode(ended))


async def _beat(socket: aiohttp.ClientWebSocketResponse, interval: list[float]) -> None:
    """Heartbeats; the one entry of `interval` is what the server last dictated."""
    seq = 0
    while True:
        await asyncio.sleep(interval[0])
        seq += 1
        await socket.send_str(encode(m.Heartbeat(seq=seq)))


async def measure(
    place: Bed, count: int, seconds: float, offers: int
) -> list[tuple[str, str, str]]:
    """The rows of the table for one size of the swarm."""
    place.client.version()
    before = memory(place.server.pid)
    request = RegistrationTokenCreate(expires=3600, uses=None)
    token = place.client.create_registration_token(request).token
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        swarm = Swarm(place.url, http)
        begun = time.monotonic()
        await swarm.enrol(count, token)
        enrolled = time.monotonic() - begun
        await asyncio.sleep(2)
        after = memory(place.server.pid)
        spent = cpu_seconds(place.server.pid)
        await asyncio.sleep(seconds)
        spent = cpu_seconds(place.server.pid) - spent
        delays = []
        for _ in range(offers):
            asked = time.monotonic()
            job = await asyncio.to_thread(place.client.submit, CommandSpec(command=["true"]))
            while job.id not in swarm.offered:
                swarm.news.clear()
                await asyncio.wait_for(swarm.news.wait(), 30)
            delays.append((swarm.offered[job.id] - asked) * 1000)
        assert swarm.online == count, f"{swarm.online} of {count} agents are online"
        await swarm.close()
    return [
        ("registered and online, s", f"{enrolled:.1f}", ""),
        ("server memory an agent, KiB", f"{(after - before) * 1024 / count:.1f}", "≤ 25"),
        (f"server CPU over {seconds:g} s, %", f"{spent / seconds * 100:.2f}", "≤ 5 at 10,000"),
        (
            "submit → offer at the agent, ms: median, p95",
            f"{statistics.median(delays):.2f}, {quantile(delays, 0.95):.2f}",
            "≤ 3, ≤ 5",
        ),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--offers", type=int, default=200)
    options = parser.parse_args()
    for count in options.agents:
        with bed(with_agent=False) as place:
            rows = asyncio.run(measure(place, count, options.seconds, options.offers))
        table(f"{count} simulated idle agents", rows)


if __name__ == "__main__":
    main()
