"""All endpoints of an agent: one address for each attempt, which a restart of the agent keeps."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from remote_agent.connection.endpoint import Endpoint
from remote_agent.relay.endpoints import BARE, RelayEndpoints
from remote_agent.relay.listener import Client
from remote_protocol.relay import VARIABLE
from tests.support.fake_server import new_key


def made(state_dir: Path) -> RelayEndpoints:
    return RelayEndpoints(state_dir, lambda: Endpoint("http://127.0.0.1:9"))


def port_of(given: dict[str, str]) -> int:
    return int(given[VARIABLE].split(":")[2].split("/")[0])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_each_attempt_has_its_own(tmp_path: Path) -> None:
    endpoints, one, two = made(tmp_path), new_key(), new_key()
    first, second = endpoints.open(one), endpoints.open(two)
    assert first == endpoints.open(one)
    assert port_of(first) != port_of(second) and first[BARE] != second[BARE]
    assert first[VARIABLE] == f"http://127.0.0.1:{port_of(first)}/{first[BARE]}/"
    assert len(first[BARE]) == 40
    endpoints.close(one)
    await asyncio.sleep(0)
    assert not listens(port_of(first)) and listens(port_of(second))
    assert sorted(path.name for path in (tmp_path / "relays").iterdir()) == [".key", str(two)]
    endpoints.leave()


async def test_answers_are_sent_at_once(tmp_path: Path) -> None:
    endpoints, key = made(tmp_path), new_key()
    given = endpoints.open(key)
    seen: list[object] = []

    async def look(client: Client, *_: object) -> bool:
        wire = client.writer.get_extra_info("socket")
        seen.append(wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return False

    endpoints._open[key]._forward = look
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(given))
    writer.write(f"GET /{given[BARE]}/a HTTP/1.1\r\n\r\n".encode())
    assert await reader.read() == b""
    assert seen and seen[0]
    writer.close()
    endpoints.close(key)


async def test_a_restart_has_the_same_address(tmp_path: Path) -> None:
    key = new_key()
    before = made(tmp_path)
    given = before.open(key)
    before.leave()
    await asyncio.sleep(0)
    after = made(tmp_path)
    after.sweep([key])
    after.reopen(key)
    assert listens(port_of(given))
    # Its start may be asked for once more.
    assert after.open(key) == given
    after.close(key)
    # One that nobody has started yet has no port to be opened again.
    after.reopen(key)
    assert not listens(port_of(given))


async def test_a_port_that_somebody_has_is_waited_for(tmp_path: Path) -> None:
    key = new_key()
    before = made(tmp_path)
    port = port_of(before.open(key))
    before.leave()
    await asyncio.sleep(0)
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", port))
    other.listen()
    after = made(tmp_path)
    after.reopen(key)
    after.turn()
    other.close()
    after.turn()
    assert listens(port)
    after.close(key)
    after.turn()


async def test_what_is_on_the_disk(tmp_path: Path) -> None:
    endpoints, key, gone = made(tmp_path), new_key(), new_key()
    given = endpoints.open(key)
    endpoints.open(gone)
    endpoints.leave()
    folder = tmp_path / "relays"
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        (".key", str(key), str(gone)), 0o600
    )
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not [path for path in folder.iterdir() if given[BARE].encode() in path.read_bytes()]
    after = made(tmp_path)
    after.sweep([key])
    assert sorted(os.listdir(folder)) == [".key", str(key)]
    # With another key there are other secrets: nobody can make one of an attempt's name.
    (folder / ".key").write_bytes(b"short")
    assert after.open(key)[BARE] != given[BARE]
    after.leave()


async def test_a_disk_that_refuses(tmp_path: Path) -> None:
    (tmp_path / "relays").write_text("no folder")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        made(tmp_path).open(new_key())
