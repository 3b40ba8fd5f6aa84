"""The server put together: store, logs, hub, dispatcher, sweeper, web. `Server(config)` runs it.

Opens the data directory and the listening socket.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from aiohttp import web

from remote_protocol.codec import make_server_ready
from remote_protocol.ids import TOKEN_ENTROPY, Role, TokenKind, make_token
from remote_server.addresses import is_loopback, local
from remote_server.composition import compose
from remote_server.config import Config
from remote_server.data_dir import DataDir, DataDirBusy
from remote_server.errors import ServerError
from remote_server.service_status import ServiceStatus
from remote_server.setting_values import Address
from remote_server.store import Store, Terms
from remote_server.store.opening import is_shared
from remote_server.tls import Certificate
from remote_server.watchdog import Watchdog
from remote_server.web import (
    Connection,
    Listener,
    Services,
    build,
    digest,
)

STAND_BY: Final = 0.3
"""Seconds between two looks of a server that stands by."""
_log = structlog.get_logger("remote_server")


class StartError(ServerError):
    """The server cannot start: a port that is in use, for example."""


class Server:
    """One server process. `start` and `stop` may each be called once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.data = DataDir(config.server.data_dir)
        self.address: Address = config.server.listen
        """Where it listens; after `start` with the port that the system chose."""
        self.services: Services
        self.certificate: Certificate | None = None
        self.watchdog = Watchdog()
        """Says what held the loop; `holds` are the last times that something did."""
        self._status = ServiceStatus(os.environ)
        self.standing_by = False
        """Another server was at work when this one was started: it waits, or has waited."""
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[BaseException] | None = None

    @property
    def url(self) -> str:
        """The address for clients on this host."""
        scheme = "https" if self.config.server.tls_cert else "http"
        return f"{scheme}://{local(self.address)}"

    async def start(self) -> None:
        """Make ready and listen. ServerError says what is in the way, and the cure."""
        self._failed = asyncio.get_running_loop().create_future()
        self.watchdog.start()
        self._status.start()
        try:
            await self._start()
        except BaseException:
            self.watchdog.stop()
            self._status.stop()
            raise
        _log.info("server listens", url=self.url, data_dir=str(self.data.path))
        self._status.report(f"listens on {self.url}")
        if self.certificate is None and not is_loopback(self.address):
            _log.warning(
                "plain HTTP beyond this host: who is on the way can read tokens and jobs. Give the "
                "server a certificate (--tls-cert, --tls-key), or let it listen on 127.0.0.1 with "
                "a proxy before it that adds TLS; agents and remotectl need --insecure otherwise",
                listen=str(self.address),
            )

    async def _start(self) -> None:
        cert, key = self.config.server.tls_cert, self.config.server.tls_key
        if cert is not None and key is not None:
            self.certificate = Certificate(cert, key)
        self.data.prepare()
        await self._lock_data_dir()
        try:
            store = await Store.open(self.config.database_url, self._terms())
            try:
                store.on_loss(self._lost)
                await self._begin_life(store)
                await self._first_admin(store)
                parts = compose(self.config, self.data, store)
                self.services = parts.services
                if problem := await parts.services.vault.check():
                    _log.warning("jobs do not get all of their secrets", why=problem)
                for name, work in parts.loops.items():
                    self._loop(name, work())
                make_server_ready()  # no agent and no job waits for it
                await self._listen(parts.services)
            except BaseException:
                await self._halt()
                await store.close()
                raise
        except BaseException:
            self.data.release()
            raise

    async def _lock_data_dir(self) -> None:
        """Where servers can stand by for each other, they may share a directory, too."""
        while True:
            try:
                self.data.lock()
                return
            except DataDirBusy as error:
                if not is_shared(self.config.database_url):
                    raise
                self._stand_by(str(error.args[0]).partition(";")[0])
            await asyncio.sleep(STAND_BY)

    def _terms(self) -> Terms:
        database = "another server works with the database"
        return Terms(self.config.server.durability, waits=lambda: self._stand_by(database))

    def _stand_by(self, why: str) -> None:
        if not self.standing_by:
            self.standing_by = True
            _log.info("stands by until the other server has ended", why=why)
            self._status.report(f"stands by: {why}")

    async def stop(self) -> None:
        """Tell agents and followers, answer what is in flight, close everything."""
        _log.info("server stops")
        self._status.stop()
        await self._halt()
        await self.services.inputs.close()
        self.services.logs.close()
        await self.services.store.close()
        self.data.release()
        self.watchdog.stop()

    async def failed(self) -> BaseException:
        """Return when one of the server's loops has ended, which it never should."""
        if self._failed is None:
            raise RuntimeError("the server was not started")
        return await asyncio.shield(self._failed)

    def _loop(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._loop_ended)
        self._tasks.append(task)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception() or RuntimeError(f"the {task.get_name()} ended")
        _log.error("a loop of the server ended", loop=task.get_name(), exc_info=error)
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(error)

    def _lost(self, error: Exception) -> None:
        """Another server is at work, or this one's memory is of another database."""
        _log.error("this server must end", cause=str(error))
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(error)

    async def _listen(self, services: Services) -> None:
        self._runner = web.AppRunner(
            build(services),
            handle_signals=False,
            shutdown_timeout=self.config.limits.stop_grace,
        )
        await self._runner.setup()
        manager, loop = self._runner.server, asyncio.get_running_loop()
        tls = None if self.certificate is None else self.certificate.context
        listener = Listener(
            lambda: Connection(services.connections, manager, loop), services.connections, tls
        )
        wanted = self.config.server.listen
        try:
            self.address = await listener.open(wanted)
        except OSError as error:
            raise StartError(_why(error, wanted)) from error
        self._listener = listener

    async def _halt(self) -> None:
        """Stop everything that runs; the store stays open."""
        services = getattr(self, "services", None)
        if services is not None:
            services.followers.close()
            await services.hub.close()
            if services.provider_sign_in is not None:
                await services.provider_sign_in.close()
        if self._listener is not None:
            await self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begin_life(self, store: Store) -> None:
        run = self.config.jobs.after_restore == "run"
        found = await store.begin_life(self.data.read_starts(), time.time(), run)
        if found.restored:
            _log.warning(
                "the database was restored from an older copy; what may have run since is not "
                "started again by itself (see [jobs] after_restore)",
                ended=found.ended,
                queued=found.queued,
                left_to_agents=found.left,
                offers_taken_back=found.withdrawn,
            )
        # After the commit: a crash in between must not look like a restoration.
        self.data.write_starts(found.starts)

    async def _first_admin(self, store: Store) -> None:
        """At the first start, make an admin token. Its file is written before its row, so that a
        crash in between leaves nothing but a token to be made valid at the next start."""
        if await store.tokens("api"):
            return
        text = self.data.read_admin_token()
        if text is None:
            text = make_token(TokenKind.API, os.urandom(TOKEN_ENTROPY))
            self.data.write_admin_token(text)
        await store.create_token("api", digest(text), "first-admin", time.time(), role=Role.ADMIN)
        _log.info("first admin token made", file=str(self.data.admin_token))


def _why(error: OSError, address: Address) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{address} is in use by another program; stop it, or listen elsewhere with "
            f"--listen {address.host}:0 (any free port)"
        )
    if error.errno == errno.EACCES:
        return (
            f"{address} needs rights that this user lacks; listen on a port above 1023 with "
            "--listen"
        )
    # From Python 3.13 on, asyncio skips such addresses and complains without a number at the end.
    nowhere = error.errno == errno.EADDRNOTAVAIL or "could not bind on any address" in str(error)
    if nowhere or isinstance(error, socket.gaierror):
        return f"{address} is no address of this host; see --listen"
    return f"{address} cannot be listened on: {error.strerror or error}"
