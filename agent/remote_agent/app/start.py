"""Starts an agent: its identity, state directory, lock and log first, then its event loop.

Takes the lock of the state directory, so that one agent at a time works on it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
from collections.abc import Callable
from typing import Final

import structlog

from remote_agent.app.agent import Agent, RunOptions
from remote_agent.app.shutdown import FOREVER, Lifetime
from remote_agent.config import Config
from remote_agent.connection.identity import Identity, load_identity
from remote_agent.errors import AgentError, ConfigError
from remote_agent.local.health_files import HealthFiles
from remote_agent.local.lock import exclusive
from remote_agent.local.logging_setup import set_up_logging
from remote_agent.local.notify import watchdog_interval
from remote_agent.local.state_dir import secure

log = structlog.get_logger("agent")

_ORPHAN_ENDS: Final = 30.0
"""Seconds that the orphan of an earlier parent may take to end its jobs and itself."""


def run(
    config: Config,
    lifetime: Lifetime = FOREVER,
    reload: Callable[[], Config] | None = None,
    with_parent: bool = False,
) -> int:
    """Run the agent until it is stopped; the exit code, RESTART when it is to start again.

    AgentError says why it cannot run.

    `with_parent`: it is stopped, too, when stdin ends, because whoever held it has died.
    """
    identity = load_identity(config.state_dir)
    if identity is None:
        raise ConfigError(
            f"this agent is not registered ({config.state_dir}): remote-agent register --server URL"
        )
    secure(config.state_dir, passable=config.jobs.separate)
    set_up_logging(config.state_dir, config.log.level, config.log.format)
    if watchdog_interval(os.environ):
        faulthandler.enable()  # systemd aborts an agent that hangs: its journal then says where
    # What the agent makes is its own; its jobs have the umask that it was started with.
    options = RunOptions(lifetime, with_parent, os.umask(0o077))
    timeout = _ORPHAN_ENDS if with_parent else 0.0
    # The loop that watches sockets: on Windows another one is the default, which cannot.
    loop = asyncio.SelectorEventLoop
    try:
        with exclusive(config.state_dir, timeout), asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(_run(config, identity, options, reload))
    finally:
        os.umask(options.umask)


async def _run(
    config: Config, identity: Identity, options: RunOptions, reload: Callable[[], Config] | None
) -> int:
    health = HealthFiles(config.telemetry)
    try:
        try:
            agent = Agent(config, identity, options, health, reload)
            await agent.open()
        except OSError as error:
            where = error.filename or config.state_dir
            raise AgentError(f"the agent cannot start: {where}: {error.strerror}") from error
        return await agent.run()
    except AgentError as error:
        log.error("the agent exits", reason=str(error), exit_code=error.exit_code)
        raise
    except Exception:
        # A defect of ours. Jobs run on; a fresh start reads everything from the disk.
        log.exception("the agent exits after an unexpected error; jobs run on", exit_code=1)
        return 1
    finally:
        health.remove()
