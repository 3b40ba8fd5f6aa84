"""The agent as a whole: puts the parts together, runs them, and ends them in order.

Takes the lock of the state directory, so that one agent at a time works on it. Everything runs in
one event loop; what blocks is a write to the local disk, and never for long.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from remote_agent.app.bootstrap import check_users, endpoint_of, facts_of, job_group, settings_of
from remote_agent.app.control_handlers import Answers
from remote_agent.app.driver import Host, Organs
from remote_agent.app.shutdown import Leaving
from remote_agent.config import Config
from remote_agent.connection.identity import Identity, load_identity, remove_identity
from remote_agent.connection.link import Link
from remote_agent.connection.uploader import MOST_OPEN, Uploader
from remote_agent.errors import AgentError, ConfigError, os_words
from remote_agent.execution.runner import Runner
from remote_agent.journal import Journal
from remote_agent.journal.plan import Circumstances
from remote_agent.journal.users import Users
from remote_agent.local.control import ControlServer
from remote_agent.local.desired_state import WishBook
from remote_agent.local.janitor import Janitor
from remote_agent.local.lock import alone
from remote_agent.local.logging_setup import set_up_logging
from remote_agent.local.notify import notify
from remote_agent.local.state_dir import secure
from remote_agent.processes import (
    SCARCE,
    WATCHES_PIPES,
    ignored_signals,
    protect_from_oom,
    raise_descriptors,
    reload_signals,
    stop_signals,
    unblock_signals,
)
from remote_agent.session.machine import Session
from remote_agent.shim.contact import ContactNote
from remote_protocol.codec import make_ready

log = structlog.get_logger("agent")

TICK: Final = 1.0
SETTLED_AFTER: Final = 0.5
"""Seconds from the start: the first connection goes ahead of tidying up."""
STDIN: Final = 0
_FEW_FILES: Final = 64
"""Open files that the agent needs, whatever runs."""
_LEAST_SPOOLS: Final = 8
_SAY_AGAIN: Final = 60.0
"""Seconds until the same shortage is said again."""
_ORPHAN_ENDS: Final = 30.0
"""Seconds that the orphan of an earlier parent may take to end its jobs and itself."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What ends this run besides signals, and what it was started with."""

    once: bool = False
    """One job."""
    with_parent: bool = False
    """The end of stdin."""
    umask: int = 0o022
    """The one that the agent was started with."""


def run(
    config: Config,
    once: bool = False,
    reload: Callable[[], Config] | None = None,
    with_parent: bool = False,
) -> int:
    """Run the agent until it is stopped; the exit code. AgentError says why it cannot run.

    `with_parent`: it is stopped, too, when stdin ends, because whoever held it has died.
    """
    identity = load_identity(config.state_dir)
    if identity is None:
        raise ConfigError(
            f"this agent is not registered ({config.state_dir}): remote-agent register --server URL"
        )
    secure(config.state_dir, passable=config.jobs.separate)
    set_up_logging(config.state_dir, config.log.level, config.log.format)
    # What the agent makes is its own; its jobs have the umask that it was started with.
    purpose = Purpose(once, with_parent, os.umask(0o077))
    patience = _ORPHAN_ENDS if with_parent else 0.0
    # The loop that watches sockets: on Windows another one is the default, which cannot.
    loop = asyncio.SelectorEventLoop
    with alone(config.state_dir, patience), asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(_run(config, identity, purpose, reload))


async def _run(
    config: Config, identity: Identity, purpose: Purpose, reload: Callable[[], Config] | None
) -> int:
    try:
        try:
            agent = Agent(config, identity, purpose, reload)
            await agent.open()
        except OSError as error:
            where = error.filename or config.state_dir
            raise AgentError(f"the agent cannot start: {where}: {error.strerror}") from error
        return await agent.run()
    except AgentError as error:
        log.error("the agent ends", reason=str(error), exit_code=error.exit_code)
        raise
    except Exception:
        # A defect of ours. Jobs run on; a fresh start reads everything from the disk.
        log.exception("the agent ends on an unforeseen error; jobs run on", exit_code=1)
        return 1


class Agent:
    """All parts of one running agent."""

    def __init__(
        self,
        config: Config,
        identity: Identity,
        purpose: Purpose,
        reload: Callable[[], Config] | None = None,
    ) -> None:
        self._config = config
        self._identity = identity
        self._reload = reload
        self._purpose = purpose
        self._fatal: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._told = ""
        self._scarce_at = -_SAY_AGAIN
        self._nudge = asyncio.Event()
        self._contact = ContactNote(config.state_dir / "contact")
        # First of all: its faults are those of the configuration.
        users = Users(config.jobs)
        wishes = WishBook(config.state_dir)
        self.host = Host(Session(facts_of(config, identity)), wishes)
        group = job_group(config.limits.cgroup)
        circumstances = Circumstances(identity.name, os.environ, group, purpose.umask)
        self.journal = Journal(config, circumstances, users)
        check_users(users, self.journal.files)
        before, now = raise_descriptors()
        if now < _FEW_FILES:
            log.warning("the agent may open few files; raise LimitNOFILE= or ulimit -n", files=now)
        self.runner = Runner(config.state_dir, self.journal, self.host.handle, before)
        self.link = Link(endpoint_of(config, identity), self.host)
        self.uploader = Uploader(
            self.host.session,
            self.link,
            self.journal.spool,
            self.host.handle,
            config.logs.segments,
            config.logs.segment_size,
        )
        self.uploader.most_open = max(_LEAST_SPOOLS, min(MOST_OPEN, (now - _FEW_FILES) // 2))
        self.janitor = Janitor(config, self.journal, self._unsent, self._hinder, self.runner.hold)
        self.leaving = Leaving(self.host, self.runner.stop, config.agent.on_stop, purpose.once)
        self._control = ControlServer(
            config.state_dir, Answers(self.host, lambda: self._identity, users.words).handlers()
        )

    async def open(self) -> None:
        """Look at the disk, take up what runs. OSError, AgentError when the host refuses."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unforeseen)
        # The launcher starts up while the link does: both take some ten milliseconds.
        protect_from_oom()
        self.runner.open()
        journal = self.journal
        organs = Organs(self.link, self.runner, self.uploader, journal.ledger, journal.inputs)
        self.host.attach(organs)
        self.runner.reattach(self.host.session)
        if self.host.session.attempts:
            log.info("reattached", attempts=len(self.host.session.attempts))
        self.janitor.judge()
        self.host.on_change = self._changed
        self.host.on_taken = self.leaving.took
        self.host.on_contact = self._note_contact
        self.host.on_trouble = self.janitor.trouble
        await self._control.start()
        unblock_signals()
        for numbers, action in (
            (stop_signals(), self._stop),
            (reload_signals(), self._reread),
            (ignored_signals(), _ignore),
        ):
            for number in numbers:
                _on_signal(loop, number, action)
        if self._purpose.with_parent:
            if not WATCHES_PIPES:
                raise ConfigError("--with-parent is not supported on Windows; leave it out")
            try:
                loop.add_reader(STDIN, self._hear_parent)
            except PermissionError:
                raise ConfigError("--with-parent needs a pipe at stdin, held by a parent") from None

    async def run(self) -> int:
        """From the first connection to the last word to the server; the exit code."""
        tasks = [
            asyncio.create_task(self.link.run(), name="link"),
            asyncio.create_task(self.uploader.run(), name="uploader"),
            asyncio.create_task(self.janitor.run(), name="janitor"),
            asyncio.create_task(self._ticks(), name="ticks"),
        ]
        waiting: list[asyncio.Future[Any]] = [*tasks, self._fatal]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return self._fatal.result() if self._fatal.done() else await self._farewell()
        finally:
            notify(os.environ.get("NOTIFY_SOCKET"), STOPPING="1")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._control.stop()
            self.runner.close()

    async def _ticks(self) -> None:
        """The one timer of an idle agent; ends when it is time to leave."""
        asyncio.get_running_loop().call_later(SETTLED_AFTER, _settle)
        while not self.leaving.reason:
            self.host.tick()
            self.runner.tick()
            self.leaving.look()
            self._changed()
            await self._pause()

    async def _pause(self) -> None:
        # Not wait_for: before Python 3.12 it may swallow a cancellation that meets a nudge.
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK):
                await self._nudge.wait()
        self._nudge.clear()

    async def _farewell(self) -> int:
        reason = self.leaving.reason
        held = len(self.host.session.attempts)
        log.info("leaving", reason=reason, attempts=held)
        self.host.leave(reason)
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(self.link.finish()), self._fatal]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._fatal.done():
            return self._fatal.result()
        if not held:
            if reason == "drained":
                self.host.wishes.came_true()
            if self._identity.ephemeral:
                await self._unregister()
        return 0

    async def _unregister(self) -> None:
        # Imported only here: the models of the HTTP API take a tenth of the whole start.
        from remote_agent.connection.enrolment import Door, unregister

        endpoint = self.link.endpoint
        door = Door(
            endpoint.url,
            endpoint.proxy,
            endpoint.ca_file,
            endpoint.client_cert,
            endpoint.client_key,
        )
        try:
            await asyncio.to_thread(unregister, door, endpoint.token)
            remove_identity(self._config.state_dir)
        except AgentError as error:
            log.warning("the server could not be told to delete this agent", reason=str(error))

    def _unforeseen(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in SCARCE:
            self._scarcity(error)
        elif isinstance(error, Exception) and not self._fatal.done():
            self._fatal.set_exception(error)
        else:
            log.error("unforeseen", text=context.get("message"))

    def _scarcity(self, error: OSError) -> None:
        """Something could not be opened now; whoever wanted it tries again by itself."""
        now = time.monotonic()
        if now - self._scarce_at >= _SAY_AGAIN:
            self._scarce_at = now
            log.error("the host is short of something", reason=error.strerror)

    # Signals -----------------------------------------------------------------------------

    def _stop(self) -> None:
        if not self.leaving.signal() and not self._fatal.done():
            log.warning("stopping at once; jobs run on")
            self._fatal.set_result(1)
        self._nudge.set()

    def _hear_parent(self) -> None:
        """Stdin has something to read: its end means that the parent is gone."""
        if os.read(STDIN, 4096):
            return
        asyncio.get_running_loop().remove_reader(STDIN)
        if not self.leaving.signalled:
            log.warning("the process that started the agent is gone")
            self.leaving.signal(orphaned=True)
            self._nudge.set()

    def _reread(self) -> None:
        """SIGHUP: what can change while running does; the rest says that it needs a restart."""
        try:
            config = self._reload() if self._reload is not None else self._config
            identity = load_identity(config.state_dir) or self._identity
        except AgentError as error:
            log.error("the configuration stays as it is", reason=str(error))
            return
        if config.jobs != self._config.jobs:
            log.warning("[jobs] was changed; that holds from the next start of the agent on")
            config = config.model_copy(update={"jobs": self._config.jobs})
        set_up_logging(config.state_dir, config.log.level, config.log.format)
        self._config, self._identity = config, identity
        self.link.endpoint = endpoint_of(config, identity)
        self.janitor.adjust(config)
        self.journal.adjust(config)
        self.leaving.on_stop = config.agent.on_stop
        self.host.announce(settings_of(config, identity))
        log.info("the configuration was read again")

    # What others want to know -------------------------------------------------------------

    def _note_contact(self, at: float) -> None:
        try:
            self._contact.note(at)
        except OSError as error:
            reason = os_words(error, self._config.state_dir / "contact")
            log.warning("contact cannot be noted; jobs with stop_after end", reason=reason)

    def _unsent(self) -> int:
        return self.host.session.spool_bytes

    def _hinder(self, reason: str) -> None:
        if reason != self.host.wishes.hindrance:
            self.host.wishes.hindrance = reason
            self.host.reconsider()

    def _changed(self) -> None:
        condition = self.host.wishes.condition()
        link = "online" if self.host.connected_at is not None else "server away"
        held = len(self.host.session.attempts)
        text = f"{link}, {held} jobs" + ("" if condition.accepting else f", {condition.reason}")
        if text != self._told:
            ready = {"READY": "1"} if not self._told else {}
            self._told = text
            notify(os.environ.get("NOTIFY_SOCKET"), **ready, STATUS=text.replace("\n", " "))


def _settle() -> None:
    """Get ready for jobs. What start-up made stays: the collector, off until now, need not look at
    it again."""
    make_ready()
    gc.collect()
    gc.freeze()
    gc.enable()


def _ignore() -> None:
    log.info("a signal was ignored; TERM stops, HUP reads the configuration again")


def _on_signal(loop: asyncio.AbstractEventLoop, number: int, action: Callable[[], None]) -> None:
    try:
        loop.add_signal_handler(number, action)
    except NotImplementedError:
        # Windows: the handler runs when the loop wakes up, within a tick.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(action))
