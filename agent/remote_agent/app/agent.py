"""The agent as a whole: puts the parts together, runs them, and ends them in order.

Everything runs in one event loop; what blocks is a write to the local disk, and never for long.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from remote_agent.app.bootstrap import (
    check_users,
    endpoint_of,
    engine_of,
    facts_of,
    file_limits,
    job_group,
    settings_of,
    watch_of,
)
from remote_agent.app.contents import Contents
from remote_agent.app.control_handlers import ControlHandlers
from remote_agent.app.driver import SessionDriver
from remote_agent.app.ports import Ports
from remote_agent.app.relays import Relays
from remote_agent.app.shutdown import FOREVER, Lifetime, Shutdown
from remote_agent.app.signals import Signals
from remote_agent.config import Config
from remote_agent.connection.artifact_sender import ArtifactSender
from remote_agent.connection.identity import Identity, load_identity, remove_identity
from remote_agent.connection.link import Link
from remote_agent.connection.log_sender import LogSender
from remote_agent.connection.uploader import Uploader
from remote_agent.errors import RESTART, AgentError
from remote_agent.execution.runner import Runner
from remote_agent.execution.secret_start import SecretStart
from remote_agent.execution.storing import AttemptStore
from remote_agent.journal import Journal
from remote_agent.journal.secret_folders import prefix_in
from remote_agent.journal.users import Users
from remote_agent.local.control import ControlServer
from remote_agent.local.desired_state import DesiredState
from remote_agent.local.health_files import HealthFiles
from remote_agent.local.host_load import HostWatch
from remote_agent.local.janitor import Janitor
from remote_agent.local.log_reader import LogReader
from remote_agent.local.logging_setup import FILES, own_log, set_up_logging
from remote_agent.local.notify import ServiceStatus
from remote_agent.local.secret_sources import SecretSources
from remote_agent.planning.order import HostContext
from remote_agent.processes import (
    SCARCE,
    forbid_inspection,
    lower_descriptors,
    memory_folder,
    protect_from_oom,
)
from remote_agent.session.machine import Session
from remote_agent.shim.contact import ContactNote
from remote_protocol.codec import make_agent_ready
from remote_protocol.limits import WINDOW

if TYPE_CHECKING:
    from remote_agent.execution.content_start import ContentStart

log = structlog.get_logger("agent")

TICK: Final = 1.0
SETTLED_AFTER: Final = 0.5
"""Seconds from the start: the first connection goes ahead of tidying up."""
_REPEAT_AFTER: Final = 60.0
"""Seconds until the same shortage is logged again."""


class RunOptions(NamedTuple):
    """What ends this run besides signals, and what it was started with."""

    lifetime: Lifetime = FOREVER
    with_parent: bool = False
    """It ends with stdin."""
    umask: int = 0o022
    """The one that the agent was started with."""


class Agent:
    """All parts of one running agent. `reload` reads its configuration again."""

    def __init__(
        self,
        config: Config,
        identity: Identity,
        options: RunOptions,
        health: HealthFiles,
        reload: Callable[[], Config] | None = None,
    ) -> None:
        self._config = config
        self._identity = identity
        self._health = health
        self._read_config = reload
        self._fatal: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._shortage_at = -_REPEAT_AFTER
        self._nudge = asyncio.Event()
        # First of all: its faults are those of the configuration.
        users = Users(config.jobs)
        group = job_group(config.limits.cgroup)
        place = prefix_in(memory_folder(os.environ, users.separate), config.state_dir)
        engine = engine_of(config)
        host = HostContext(identity.name, os.environ, group, options.umask, place, engine)
        self._journal = journal = Journal(config, host, users)
        check_users(users, journal.files)
        if users.one is not None:
            journal.environments.prepare(users.one)
        self._files = files = file_limits()
        logs, state_dir = config.logs, config.state_dir
        self._session = session = Session(facts_of(config, identity, engine))
        self._desired = desired = DesiredState(state_dir)
        self._status = ServiceStatus(os.environ)
        self._link = link = Link(endpoint_of(config, identity))
        self._secrets = secrets = SecretSources(config.secrets, os.environ)
        hidden = secrets.variables() - host.inherited.keys()
        self._runner = runner = Runner(state_dir, journal, files.of_jobs, group, hidden)
        journal.on_interpreter = lambda key, wanted: runner.want_interpreter(
            key, wanted, self._config.python, host.inherited
        )
        self._uploader = Uploader(
            link, journal.spool, logs.segments, logs.segment_size, files.open_spools
        )
        self._janitor = Janitor(config, journal, session, desired.block, runner.pause_output)
        self._shutdown = Shutdown(session, desired, runner.stop, options.lifetime)
        self._shutdown.obey(config.agent)
        self._log_sender = LogSender(
            LogReader(own_log(state_dir), FILES - 1), link.send, config.log.send
        )
        self._artifacts = artifacts = ArtifactSender(
            journal.artifacts, link.send, link.write, self._uploader.wake
        )
        journal.artifacts.on_pending = artifacts.add
        self._uploader.afterwards = artifacts
        self._shutdown.unsent = lambda: artifacts.pending
        self._contents = contents = Contents(self._make_contents)
        self._relays = relays = Relays(state_dir, lambda: link.endpoint, session.attempts, runner)
        self._store = store = AttemptStore(journal)
        ports = Ports(
            link=link,
            store=store,
            runner=runner,
            secrets=SecretStart(runner, secrets, relays),
            uploader=self._uploader,
            inputs=journal.inputs,
            contact=ContactNote(state_dir / "contact"),
            disk=self._janitor,
            shutdown=self._shutdown,
            status=self._status,
            own_log=self._log_sender,
            artifacts=artifacts,
            contents=contents,
        )
        self._driver = SessionDriver(session, desired, ports)
        if config.agent.compatible_with is not None:
            self._driver.watch = watch_of(config.agent.compatible_with)
        handlers = ControlHandlers(
            self._driver, lambda: self._identity, users.words, lambda: link.failure
        )
        self._host_watch = HostWatch(config.agent.work_dir or state_dir, time.monotonic)
        self._control = ControlServer(state_dir, handlers.handlers())
        self._signals = Signals(self._stop, self._reload, options.with_parent)
        self._telemetry: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Look at the disk, take up what runs. OSError, AgentError when the host refuses."""
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        # The launcher starts up while the link does: both take some ten milliseconds.
        protect_from_oom()
        if self._config.secrets.env_allow:
            forbid_inspection()
        self._store.open(self._driver.handle)
        self._runner.open(self._driver.handle)
        left = self._runner.reattach()
        for found in left:
            self._session.adopt(found)
        self._store.take_up()
        self._relays.reattach(left)
        for key in sorted(self._journal.artifacts.pending):
            self._artifacts.add(key)
        if self._session.attempts:
            log.info("reattached", attempts=len(self._session.attempts))
        self._janitor.judge()
        self._driver.reconsider()
        await self._control.start()
        self._signals.listen()

    async def run(self) -> int:
        """From the first connection to the last message to the server; the exit code."""
        tasks = [
            asyncio.create_task(self._link.run(self._driver), name="link"),
            asyncio.create_task(self._uploader.run(self._driver), name="uploader"),
            asyncio.create_task(self._janitor.run(), name="janitor"),
            asyncio.create_task(self._ticks(), name="ticks"),
            asyncio.create_task(self._journal.containers.run(self._journal.lives)),
        ]
        waiting: list[asyncio.Future[Any]] = [*tasks, self._fatal]
        self._start_telemetry()
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return self._fatal.result() if self._fatal.done() else await self._leave()
        finally:
            if not self._shutdown.restart:  # else its service goes on
                self._status.stopping()
            self._stop_telemetry()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._artifacts.close()
            self._relays.leave()
            await self._control.stop()
            self._runner.close()

    async def _ticks(self) -> None:
        """The one timer of an idle agent; ends when it is time to exit."""
        asyncio.get_running_loop().call_later(SETTLED_AFTER, _after_start)
        while not self._shutdown.reason:
            # First: whether it is about to exit, the driver tells the server.
            self._shutdown.check()
            self._driver.tick()
            self._runner.tick()
            if (load := self._host_watch.turn()) is not None:
                self._driver.host_looked(load)
            self._artifacts.turn()
            self._contents.turn()
            self._relays.turn()
            self._log_sender.turn(busy=self._session.spool_bytes > WINDOW)
            now = time.monotonic()
            self._status.turn(now)
            self._health.turn(now, ready=self._driver.connected_at is not None)
            await self._pause()

    def _make_contents(self) -> ContentStart:
        """What the first job with contents needs; most agents never do."""
        from remote_agent.execution.content_start import ContentStart
        from remote_agent.journal.content_files import ContentFiles
        from remote_agent.local.content_cache import ContentCache

        config = self._config
        folder, reserve = config.state_dir / "contents", config.limits.min_free_disk
        cache = ContentCache(folder, config.contents.cache_max, reserve)
        files = ContentFiles(self._journal)
        return ContentStart(cache, files, self._link.send, self._runner)

    async def _pause(self) -> None:
        # Not wait_for: before Python 3.12 it may swallow a cancellation that meets a nudge.
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK):
                await self._nudge.wait()
        self._nudge.clear()

    def _start_telemetry(self) -> None:
        """Serve and send metrics as the configuration says. Modules are imported only here: most
        agents do neither."""
        wanted = self._config.telemetry
        if wanted.listen is not None:
            from remote_agent.app.figures import metrics_text
            from remote_agent.local.metrics_endpoint import MetricsEndpoint

            served = MetricsEndpoint(wanted.listen, lambda: metrics_text(self._driver))
            self._telemetry.append(asyncio.create_task(served.run(), name="metrics"))
        if wanted.statsd is not None or wanted.otlp is not None:
            from remote_agent.app.figures import families
            from remote_agent.export import start_exports

            name, ca_file = self._identity.name, self._link.endpoint.ca_file
            self._telemetry += start_exports(wanted, name, ca_file, lambda: families(self._driver))

    def _stop_telemetry(self) -> None:
        for task in self._telemetry:
            task.cancel()
        self._telemetry.clear()

    async def _leave(self) -> int:
        reason = self._shutdown.reason
        held = len(self._session.attempts)
        log.info("exiting", reason=reason, attempts=held)
        self._driver.say_goodbye(reason)
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(self._link.finish()), self._fatal]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._fatal.done():
            return self._fatal.result()
        if self._shutdown.restart:
            self._runner.hand_over()
            if self._files.of_jobs is not None:
                lower_descriptors(self._files.of_jobs)  # the next one raises it again
            return RESTART
        if not held:
            if reason == "drained":
                self._desired.end_local_drain()
            if self._identity.ephemeral:
                await self._unregister()
        return 0

    async def _unregister(self) -> None:
        # Imported only here: the models of the HTTP API take a tenth of the whole start.
        from remote_agent.connection.enrolment import unregister

        endpoint = self._link.endpoint
        try:
            await asyncio.to_thread(unregister, endpoint, endpoint.token)
            remove_identity(self._config.state_dir)
        except AgentError as error:
            log.warning("the server could not be told to delete this agent", reason=str(error))

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in SCARCE:
            self._report_shortage(error)
        elif isinstance(error, Exception) and not self._fatal.done():
            self._fatal.set_exception(error)
        else:
            log.error("unexpected error in the event loop", text=context.get("message"))

    def _report_shortage(self, error: OSError) -> None:
        """Something could not be opened now; whoever wanted it tries again by itself."""
        now = time.monotonic()
        if now - self._shortage_at >= _REPEAT_AFTER:
            self._shortage_at = now
            log.error("the host is short of something that the agent needs", reason=error.strerror)

    # Signals -----------------------------------------------------------------------------

    def _stop(self, orphaned: bool) -> None:
        """Somebody wants the agent to stop; the second time at once."""
        if orphaned and self._shutdown.signalled:
            return
        if orphaned:
            log.warning("the process that started the agent is gone")
        if self._shutdown.signal(orphaned):
            self._driver.reconsider()
        elif not self._fatal.done():
            log.warning("stopping at once; jobs run on")
            self._fatal.set_result(1)
        self._nudge.set()

    def _reload(self) -> None:
        """SIGHUP: what can change while running does; the rest says that it needs a restart."""
        try:
            config = self._read_config() if self._read_config is not None else self._config
            identity = load_identity(config.state_dir) or self._identity
        except AgentError as error:
            log.error("the configuration stays as it is", reason=str(error))
            return
        if config.jobs != self._config.jobs:
            log.warning("[jobs] was changed; that takes effect when the agent is restarted")
            config = config.model_copy(update={"jobs": self._config.jobs})
        if config.secrets.env_allow != self._config.secrets.env_allow:
            log.warning(
                "[secrets] env_allow was changed; that takes effect when the agent is restarted"
            )
            kept = {"env_allow": self._config.secrets.env_allow}
            config = config.model_copy(update={"secrets": config.secrets.model_copy(update=kept)})
        if config.containers != self._config.containers:
            log.warning("[containers] was changed; that takes effect when the agent is restarted")
            config = config.model_copy(update={"containers": self._config.containers})
        set_up_logging(config.state_dir, config.log.level, config.log.format)
        shown = config.telemetry != self._config.telemetry
        self._config, self._identity = config, identity
        self._secrets.settings = config.secrets
        self._link.endpoint = endpoint_of(config, identity)
        if shown:
            self._stop_telemetry()
            self._start_telemetry()
        self._log_sender.level = config.log.send
        self._health.move(config.telemetry)
        self._janitor.adjust(config)
        self._journal.adjust(config)
        self._shutdown.obey(config.agent)
        self._driver.announce(settings_of(config, identity))
        log.info("the configuration was read again")


def _after_start() -> None:
    """Get ready for jobs. What start-up made stays: the collector, off until now, need not look at
    it again."""
    make_agent_ready()
    gc.collect()
    gc.freeze()
    gc.enable()
