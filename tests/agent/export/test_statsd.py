"""An agent's metrics reach a StatsD, also one that is found later."""

from __future__ import annotations

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from remote_agent.export.statsd import StatsdSender
from tests.support.agent_metrics import FAMILIES

EXPECTED = {
    b"remote_agent_jobs_running:3|g|#agent:a-1",
    b"remote_agent_jobs_total:7|c|#agent:a-1,end_reason:exit",
    b"process_cpu_seconds_total:0.5|c|#agent:a-1",
    b"remote_agent_spool_bytes:1099511627776|g|#agent:a-1",
}


async def first(receiver: socket.socket, sender: StatsdSender) -> set[bytes]:
    task = asyncio.create_task(sender.run())
    try:
        async with asyncio.timeout(60):
            return set((await asyncio.get_running_loop().sock_recv(receiver, 65536)).split(b"\n"))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_metrics_arrive() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        host, port = receiver.getsockname()
        sender = StatsdSender(f"{host}:{port}", "a-1", lambda: FAMILIES, 0.01)
        assert await first(receiver, sender) == EXPECTED


async def test_a_name_that_is_not_found_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        loop, known = asyncio.get_running_loop(), asyncio.Event()

        async def getaddrinfo(host: str, port: str, *, type: int) -> object:
            assert (host, port) == ("stats.example", "8125")
            if not known.is_set():
                raise OSError(2, "Name or service not known")
            return [(socket.AF_INET, type, 0, "", receiver.getsockname())]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        sender = StatsdSender("stats.example:8125", "a-1", lambda: FAMILIES, 0.01)
        with capture_logs() as logs:
            task = asyncio.create_task(sender.run())
            async with asyncio.timeout(60):
                while not logs:
                    await asyncio.sleep(0.01)
                known.set()
                while len(logs) < 2:
                    await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert set(receiver.recv(65536).split(b"\n")) == EXPECTED
    assert [entry["event"] for entry in logs] == [
        "metrics cannot be sent; trying again",
        "metrics are sent again",
    ]
    assert "Name or service not known" in logs[0]["reason"]
