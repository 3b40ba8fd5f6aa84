"""Probes: what comes goes back, within bounds, whoever is at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSServerHandshakeError

from remote_protocol.errors import CloseCode
from remote_protocol.limits import MAX_PROBE_FRAME, SUBPROTOCOL
from remote_server.web.agents import probe
from remote_server.web.http.connections import EACH_PROBE, PeerKind
from tests.support.live_server import Live


def opened(live: Live, token: str) -> Any:
    """A probe's WebSocket."""
    return live.session.ws_connect(
        f"{live.url}/api/v1/agent/probe",
        headers={"Authorization": f"Bearer {token}"},
        protocols=(SUBPROTOCOL,),
        autoping=False,
        autoclose=True,
    )


async def closed(wire: ClientWebSocketResponse) -> int | None:
    """The code with which the server closes it."""
    while not wire.closed:
        await wire.receive(timeout=20)
    return wire.close_code


async def test_it_sends_back_what_comes_and_leaves_no_trace(live: Live) -> None:
    token = await live.register("a")
    async with opened(live, token) as wire:
        for text in ("hello", "", "é" * 60, "x" * MAX_PROBE_FRAME):
            await wire.send_str(text)
            assert await wire.receive_str(timeout=20) == text
        assert live.services.connections.counts()[PeerKind.LINK] == 1
        assert (await live.get("/agents/a")).body["state"] == "offline"
    async with live.connect(token):
        async with opened(live, token) as wire:
            await wire.send_str("beside the session")
            assert await wire.receive_str(timeout=20) == "beside the session"
        assert (await live.get("/agents/a")).body["state"] == "online"


async def test_a_host_may_probe_before_it_registers(live: Live) -> None:
    made = await live.post("/registration-tokens", {"uses": 1})
    async with opened(live, made.body["token"]) as wire:
        await wire.send_str("hello")
        assert await wire.receive_str(timeout=20) == "hello"
    found = await live.get("/agent/registration", token=made.body["token"])
    assert found.body["uses_left"] == 1
    with pytest.raises(WSServerHandshakeError) as caught:
        await opened(live, live.token)
    assert caught.value.status == 403


async def test_two_at_a_time_for_each_token(live: Live) -> None:
    first, second = await live.register("a"), await live.register("b")
    wires = [await opened(live, first) for _ in range(EACH_PROBE)]
    with pytest.raises(WSServerHandshakeError) as caught:
        await opened(live, first)
    assert caught.value.status == 503
    async with opened(live, second), live.connect(first):
        pass
    for wire in wires:
        await wire.close()
    async with asyncio.timeout(20):
        while live.services.connections.counts()[PeerKind.LINK]:
            await asyncio.sleep(0.01)
    async with opened(live, first):
        pass


async def test_what_is_too_large_or_of_another_kind_ends_it(live: Live) -> None:
    token = await live.register("a")
    async with opened(live, token) as wire:
        await wire.send_str("x" * (MAX_PROBE_FRAME + 1))
        assert await closed(wire) == 1009
    async with opened(live, token) as wire:
        await wire.send_bytes(b"x")
        assert await closed(wire) == 1003


@pytest.mark.parametrize("kind", ["texts", "pings"])
async def test_a_hundred_frames_are_the_most(live: Live, kind: str) -> None:
    async with opened(live, await live.register("a")) as wire:
        for _ in range(probe.MOST_FRAMES + 20):
            try:
                await (wire.send_str("x") if kind == "texts" else wire.ping(b"x"))
            except ConnectionError:
                break  # it has been closed already
        assert await closed(wire) == 1008


async def test_parts_of_a_message_without_an_end_are_bounded(live: Live) -> None:
    """They are not counted as frames, and may be empty."""
    parts = [b"\x01\x81\0\0\0\0x", *[b"\x00\x80\0\0\0\0"] * probe.MOST_BYTES]
    async with opened(live, await live.register("a")) as wire:
        raw = wire.get_extra_info("socket")
        assert len(parts[1]) * (len(parts) - 1) > probe.MOST_BYTES
        with (
            socket.socket(fileno=os.dup(raw.fileno())) as peer,
            contextlib.suppress(ConnectionError),
        ):
            await asyncio.get_running_loop().sock_sendall(peer, b"".join(parts))
        assert await closed(wire) == 1006
    async with asyncio.timeout(20):
        while live.services.connections.counts()[PeerKind.LINK]:
            await asyncio.sleep(0.01)


async def test_it_ends_with_its_time(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LONGEST", 0.05)
    async with opened(live, await live.register("a")) as wire:
        assert await closed(wire) == CloseCode.NORMAL


async def test_it_ends_with_its_token(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LOOK_EVERY", 0.02)
    async with opened(live, await live.register("a")) as wire:
        await live.ask("DELETE", "/agents/a")
        assert await closed(wire) == CloseCode.UNREGISTERED


async def test_it_ends_with_the_server(live: Live) -> None:
    async with opened(live, await live.register("a")) as wire:
        live.services.followers.close()
        assert await closed(wire) == CloseCode.GOING_AWAY
