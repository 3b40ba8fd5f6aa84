"""The control socket, for real: a server in this loop, a client in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from remote_agent.errors import AgentError
from remote_agent.local import control
from remote_agent.local.control import FILE, ControlServer, NotRunning, ask


async def echo(request: dict[str, Any]) -> dict[str, Any]:
    return {"heard": request}


async def refuse(request: dict[str, Any]) -> dict[str, Any]:
    raise AgentError("not today")


async def fail(request: dict[str, Any]) -> dict[str, Any]:
    raise KeyError("a defect")


@pytest.fixture
async def state_dir(tmp_path: Path):
    # Deeper than the 107 bytes that the path of a Unix socket may have.
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    server = ControlServer(deep, {"echo": echo, "refuse": refuse, "fail": fail})
    await server.start()
    yield deep
    await server.stop()


async def test_a_request_is_answered_by_its_handler(state_dir: Path) -> None:
    answer = await asyncio.to_thread(ask, state_dir, {"do": "echo", "x": 1})
    assert answer == {"heard": {"do": "echo", "x": 1}}
    assert (state_dir / FILE).stat().st_mode & 0o777 == 0o600


async def test_a_refusal_comes_back_as_the_same_sentence(state_dir: Path) -> None:
    with pytest.raises(AgentError, match="not today"):
        await asyncio.to_thread(ask, state_dir, {"do": "refuse"})


async def test_an_unknown_request_names_the_known_ones(state_dir: Path) -> None:
    with pytest.raises(AgentError, match="echo, fail, refuse"):
        await asyncio.to_thread(ask, state_dir, {"do": "dance"})


async def test_a_defect_is_answered_and_logged(state_dir: Path) -> None:
    with pytest.raises(AgentError, match="its log says why"):
        await asyncio.to_thread(ask, state_dir, {"do": "fail"})
    assert await asyncio.to_thread(ask, state_dir, {"do": "echo"})


async def test_garbage_is_answered_not_fatal(state_dir: Path) -> None:
    def shout(text: bytes) -> bytes:
        directory = os.open(state_dir, os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(f"/proc/self/fd/{directory}/{FILE}")
                # Who says too much is left before all of it was said.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    peer.sendall(text)
                    peer.shutdown(socket.SHUT_WR)
                    return peer.makefile("rb").read()
                return b""
        finally:
            os.close(directory)

    for text in (b"", b"{\n", b"[]\n", b'{"do": []}\n', b"\xff\n"):
        assert b'"ok": false' in await asyncio.to_thread(shout, text)
    assert await asyncio.to_thread(shout, b"x" * 200_000) == b""
    assert await asyncio.to_thread(ask, state_dir, {"do": "echo"})


async def test_the_socket_is_gone_after_the_end(tmp_path: Path) -> None:
    server = ControlServer(tmp_path, {})
    await server.start()
    await server.stop()
    await server.stop()
    assert not (tmp_path / FILE).exists()


async def test_a_dead_agents_socket_is_replaced(state_dir: Path) -> None:
    second = ControlServer(state_dir, {"echo": echo})
    await second.start()
    assert await asyncio.to_thread(ask, state_dir, {"do": "echo"})
    await second.stop()


def test_without_an_agent_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="remote-agent run"):
        ask(tmp_path, {"do": "status"})
    with pytest.raises(NotRunning, match="no agent runs on"):
        ask(tmp_path / "missing", {"do": "status"})


def test_who_answers_a_byte_at_a_time_is_not_heard_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_TIMEOUT", 0.5)
    monkeypatch.chdir(tmp_path)
    sent = bytearray()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(FILE)
        listener.listen()
        left = threading.Event()

        def dribble() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                while not left.wait(0.1) and len(sent) < 100:
                    peer.send(b" ")
                    sent.extend(b" ")

        thread = threading.Thread(target=dribble)
        thread.start()
        with pytest.raises(AgentError, match="does not answer"):
            ask(tmp_path, {"do": "status"})
        left.set()
        thread.join()
    assert len(sent) < 100
