"""The asynchronous client with a real server: jobs at once, and a server that is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from remote_client.client import AsyncClient
from remote_client.errors import ApiError
from remote_protocol.spec import CommandSpec
from remote_protocol.states import JobState
from tests.support.stack import Stack

DEADLINE = 60


async def test_many_jobs_are_followed_at_once(shared: Stack) -> None:
    async def one(number: int) -> tuple[bytes, int | None]:
        job = await client.submit(CommandSpec(command=["echo", str(number)]))
        data = b"".join([record.data async for record in client.follow_log(job.id)])
        return data, (await client.wait(job.id)).exit_code

    async with AsyncClient(shared.url, shared.admin_token) as client, asyncio.timeout(DEADLINE):
        ended = await asyncio.gather(*(one(number) for number in range(12)))
    assert ended == [(b"%d\n" % number, 0) for number in range(12)]


async def test_a_job_is_cancelled_while_it_is_followed(shared: Stack) -> None:
    async with AsyncClient(shared.url, shared.admin_token) as client, asyncio.timeout(DEADLINE):
        job = await client.submit(CommandSpec(shell="sh", command=["echo up; exec sleep 600"]))
        async for record in client.follow_log(job.id):
            assert record.data == b"up\n"
            await client.cancel(job.id, "enough")
        assert (await client.wait(job.id)).state is JobState.CANCELLED
        try:
            await client.job("0" * 26)
        except ApiError as refused:
            assert refused.code == "not_found"


async def test_a_server_that_is_killed_costs_no_byte(stack: Stack, tmp_path: Path) -> None:
    stack.agent("alpha")
    go = tmp_path / "go"
    script = f'echo first; while [ ! -e "{go}" ]; do sleep 0.05; done; seq 1 2000'
    said: list[str] = []
    url, token = stack.url, stack.admin_token
    async with AsyncClient(url, token, notice=said.append) as client, asyncio.timeout(DEADLINE):
        job = await client.submit(CommandSpec(shell="sh", command=[script]))
        got = b""
        async for record in client.follow_log(job.id):
            if not got:
                await asyncio.to_thread(stack.server.kill)
                go.touch()
                await asyncio.to_thread(stack.start_server)
            got += record.data
        assert got == b"first\n" + b"".join(b"%d\n" % number for number in range(1, 2001))
        assert (await client.wait(job.id)).exit_code == 0
