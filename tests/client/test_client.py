"""Both Python clients: the same methods, one server, tasks and threads."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import aclosing, closing

import pytest

from remote_client.client import AsyncClient, Client
from remote_client.errors import ApiError
from remote_protocol.api.jobs import JobView
from tests.support.fake_api import ID, TOKEN, FakeApi, cri_log, job_view


def test_another_client_for_another_thread(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/jobs/{ID}", job_view())
    with client.again() as other:
        assert other is not client
        assert other.job(ID).id == ID


def test_both_have_the_same_methods() -> None:
    names = {name for name in dir(Client) if not name.startswith("_")}
    assert names - {name for name in dir(AsyncClient) if not name.startswith("_")} == {"again"}
    for name in ("job", "follow_log", "create_queue"):
        assert getattr(Client, name) is getattr(AsyncClient, name)


async def test_tasks_share_a_client(api: FakeApi) -> None:
    api.on("GET", f"/jobs/{ID}", job_view())
    log = cri_log(("stdout", b"x" * 100_000 + b"\n"))
    api.on("GET", f"/jobs/{ID}/log", log)
    async with AsyncClient(api.url, TOKEN) as client:
        shown, bytes_of, missing = await asyncio.gather(
            client.job(ID), client.log(ID), client.agent("nobody"), return_exceptions=True
        )
    assert isinstance(shown, JobView) and shown.id == ID
    assert bytes_of == b"x" * 100_000 + b"\n"
    assert isinstance(missing, ApiError)


async def test_a_call_that_waits_stops_nobody_and_can_be_cancelled() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with closing(listener):
        async with AsyncClient(url, TOKEN) as client:
            waiting = asyncio.ensure_future(client.job(ID))
            await asyncio.sleep(0)
            wire, _ = await asyncio.to_thread(listener.accept)
            assert not waiting.done()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with wire:
                wire.settimeout(30)
                while wire.recv(65536):
                    pass


async def test_a_stream_that_is_left_early_closes_its_connection(api: FakeApi) -> None:
    log = cri_log(*[("stdout", b"x" * 1000 + b"\n")] * 1000)
    api.on("GET", f"/jobs/{ID}/log", log)
    async with AsyncClient(api.url, TOKEN) as client:
        async with aclosing(client.follow_log(ID)) as records:  # type: ignore[type-var] # has it
            async for record in records:
                assert record.data == b"x" * 1000 + b"\n"
                break
        assert client._transport._idle is None


def test_a_blocking_client_needs_no_event_loop(api: FakeApi) -> None:
    """Not even the module: it takes longer to load than a call takes."""
    program = (
        "import sys\n"
        "from remote_client.calls import Calls\n"
        "from remote_client.transport import Transport\n"
        f"print(Calls(Transport({api.url!r}, {TOKEN!r})).job({ID!r})['id'])\n"
        "print([name for name in ('asyncio', 'pydantic', 'ssl') if name in sys.modules])\n"
    )
    api.on("GET", f"/jobs/{ID}", job_view())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().split("\n")[:2] == [ID, "[]"]
