"""The server as a whole: first start, restart, what stands in the way, how it stops."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector

from remote_protocol.errors import CloseCode
from remote_server.app import Server, StartError
from remote_server.data_dir import DataDirBusy
from remote_server.errors import DatabaseUnusable, ServerError
from remote_server.tls import TlsError
from tests.support.live_server import config_for, running


async def test_the_first_start_makes_everything(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as live:
        file = tmp_path / "data" / "admin-token"
        assert file.read_text().strip() == live.token
        assert file.stat().st_mode & 0o777 == 0o600
        (queue,) = (await live.get("/queues")).body["items"]
        assert queue["name"] == "default"
        assert live.server.address.port != 0


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    async with running(config) as live:
        job = (await live.post("/jobs", {"command": ["true"]})).body["id"]
        token = live.token
    async with running(config) as live:
        assert live.token == token
        assert (await live.get(f"/jobs/{job}")).status == 200
        assert len((await live.get("/tokens")).body["items"]) == 1


async def test_a_removed_admin_token_is_not_made_again(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    async with running(config):
        (tmp_path / "data" / "admin-token").unlink()
    server = Server(config)
    await server.start()
    await server.stop()
    assert not (tmp_path / "data" / "admin-token").exists()


async def test_a_first_start_that_broke_off_is_completed(tmp_path: Path) -> None:
    """The file was written, its row was not."""
    config = config_for(tmp_path)
    async with running(config) as live:
        token = live.token
    for file in (tmp_path / "data").glob("server.db*"):
        file.unlink()
    async with running(config) as live:
        assert live.token == token
        assert (await live.get("/jobs")).status == 200


async def test_agents_are_told_when_the_server_stops(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as live:
        agent = await live.register()
        async with live.connect(agent) as link:
            stopping = asyncio.create_task(live.server.stop())
            assert await link.closed() == CloseCode.GOING_AWAY
            await stopping
        live.server.stop = _nothing  # type: ignore[method-assign]


async def _nothing() -> None:
    pass


async def test_a_port_in_use_is_named_with_a_cure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server = Server(config_for(tmp_path, listen=listen))
        with pytest.raises(StartError, match=rf"{listen} is in use.*--listen") as caught:
            await server.start()
        assert caught.value.exit_code == 1
    # Nothing is held any more.
    async with running(config_for(tmp_path)):
        pass


async def test_an_address_of_another_host(tmp_path: Path) -> None:
    server = Server(config_for(tmp_path, listen="192.0.2.1:0"))
    with pytest.raises(StartError, match="no address of this host"):
        await server.start()
    server = Server(config_for(tmp_path, listen="nowhere.invalid:0"))
    with pytest.raises(StartError, match="no address of this host"):
        await server.start()


async def test_two_servers_on_one_data_directory(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as live:
        with pytest.raises(DataDirBusy):
            await Server(config_for(tmp_path)).start()
        assert (await live.get("/queues")).status == 200


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)):
        pass
    file = tmp_path / "data" / "server.db"
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(DatabaseUnusable, match="newer remote-server") as caught:
        await Server(config_for(tmp_path)).start()
    assert caught.value.exit_code == 2


async def test_another_kind_of_database(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="'mysql' are not supported"):
        await Server(config_for(tmp_path, database="mysql://u@h/d")).start()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


async def test_it_speaks_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    server = Server(config_for(tmp_path, tls_cert=cert, tls_key=key))
    await server.start()
    try:
        assert server.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=cert)
        async with (
            ClientSession(connector=TCPConnector(ssl=trust)) as session,
            session.get(f"{server.url}/healthz") as response,
        ):
            assert response.status == 200
    finally:
        await server.stop()


async def test_unusable_tls_files(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    other = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(other)],
        check=True,
        capture_output=True,
    )
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no pem")
    for files, cause in (
        ((tmp_path / "none.pem", key), "certificate .* cannot be read"),
        ((cert, tmp_path / "none.pem"), "key .* cannot be read"),
        ((cert, other), "does not belong"),
        ((garbage, key), "not PEM files"),
    ):
        server = Server(config_for(tmp_path, tls_cert=files[0], tls_key=files[1]))
        with pytest.raises(TlsError, match=cause) as caught:
            await server.start()
        assert caught.value.exit_code == 2


async def test_a_broken_loop_is_noticed(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as live:
        live.server._loop("test", _broken())
        async with asyncio.timeout(20):
            error = await live.server.failed()
        assert isinstance(error, ZeroDivisionError)


async def _broken() -> None:
    raise ZeroDivisionError


async def test_the_address_for_clients(tmp_path: Path) -> None:
    server = Server(config_for(tmp_path, listen="0.0.0.0:8750"))
    assert server.url == "http://127.0.0.1:8750"
    server = Server(config_for(tmp_path, listen="[::]:8750"))
    assert server.url == "http://[::1]:8750"
