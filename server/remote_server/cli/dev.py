"""`remote-server dev`: a server and one local agent, for trying things out.

The agent is the real program in a process of its own, enrolled with a registration token that
is made in this process. Starts processes; leaves none behind.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from asyncio.subprocess import Process
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import platformdirs

from remote_protocol.ids import TOKEN_ENTROPY, TokenKind, make_token
from remote_server.cli.login import Access, find_program, log_in, to_paste
from remote_server.cli.options import (
    config_option,
    configuration,
    listen_option,
    log_level_option,
    warn_of_unknown_variables,
)
from remote_server.cli.run import stop_signals
from remote_server.config import Config
from remote_server.errors import ServerError
from remote_server.logging_setup import setup_logging

if TYPE_CHECKING:
    from remote_server.app import Server

_NAME: Final = "local"
_ENROL_WITHIN: Final = 60.0
_STOP_WITHIN: Final = 20.0


class AgentMissing(ServerError):
    """The program remote-agent is not installed, or did not start."""


@click.command(epilog="\b\nExample:\n  remote-server dev --listen 127.0.0.1:0")
@config_option
@listen_option
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where server and agent keep everything.  [env: REMOTE_SERVER_DATA_DIR; default: "
    "a directory of the user's]",
)
@click.option(
    "--capacity",
    type=click.IntRange(1, 10_000),
    default=4,
    show_default=True,
    envvar="REMOTE_SERVER_DEV_CAPACITY",
    show_envvar=True,
    help="Jobs that the agent runs at a time.",
)
@click.option(
    "--login/--no-login",
    default=True,
    envvar="REMOTE_SERVER_DEV_LOGIN",
    show_envvar=True,
    show_default=True,
    help="Log remotectl in to this server, for this user.",
)
@log_level_option
def dev(config_file: Path | None, capacity: int, login: bool, **flags: object) -> None:
    """Run a server and one local agent until Ctrl-C."""
    if flags["data_dir"] is None and not os.environ.get("REMOTE_SERVER_DATA_DIR"):
        flags["data_dir"] = platformdirs.user_data_path("remote-server", appauthor=False) / "dev"
    if flags["log_level"] is None and not os.environ.get("REMOTE_SERVER_LOG_LEVEL"):
        flags["log_level"] = "warning"
    config = configuration(config_file, **flags)
    setup_logging(config.server.log_level, config.server.log_format)
    warn_of_unknown_variables()
    sys.exit(asyncio.run(_dev(config, capacity, login)))


async def _dev(config: Config, capacity: int, login: bool) -> int:
    from remote_server.app import Server
    from remote_server.hub.allocator import keep_freed_memory

    program = find_agent()
    keep_freed_memory()
    server = Server(config)
    # The terminal that goes away (SIGHUP) takes a playground with it.
    stopping = stop_signals(signal.SIGTERM, signal.SIGINT, *hangup())
    await server.start()
    try:
        agent = await _start_agent(server, program, capacity)
        try:
            await _say(server, login)
            return await _watch(server, agent, stopping)
        finally:
            await _end(agent)
    finally:
        await server.stop()


def find_agent() -> str:
    """The program remote-agent: beside this one, else on the PATH. AgentMissing."""
    found = find_program("remote-agent")
    if found is None:
        raise AgentMissing(
            "the program remote-agent was not found; install it beside remote-server: "
            "pip install remote-agent"
        )
    return found


async def _start_agent(server: Server, program: str, capacity: int) -> Process:
    from remote_server.web import digest

    token = make_token(TokenKind.REGISTRATION, os.urandom(TOKEN_ENTROPY))
    now = time.time()
    store = server.services.store
    made = await store.create_token(
        "registration", digest(token), "remote-server dev", now, uses=1, expires_at=now + 600
    )
    state = server.data.path / "agent"
    # Through the environment: an argument could be read by every user of the host.
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("REMOTE_AGENT_")},
        "REMOTE_AGENT_TOKEN": token,
        "REMOTE_AGENT_STATE_DIR": str(state),
        # Ctrl-C ends everything here: no jobs are left running for a next start.
        "REMOTE_AGENT_ON_STOP": "cancel",
        "NO_PROXY": "*",
    }
    if server.config.server.tls_cert:
        environment["REMOTE_AGENT_CA_FILE"] = str(server.config.server.tls_cert)
    enrol = await asyncio.create_subprocess_exec(
        program,
        *("register", "--server", server.url, "--name", _NAME, "--queue", "default"),
        *("--capacity", str(capacity), "--replace"),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_ENROL_WITHIN):
            said, _ = await enrol.communicate()
    except BaseException:
        await _end(enrol)
        raise
    await store.revoke(made.id)
    if enrol.returncode != 0:
        raise AgentMissing(
            f"the local agent could not be registered (exit code {enrol.returncode}): "
            f"{said.decode(errors='replace').strip()}"
        )
    del environment["REMOTE_AGENT_TOKEN"]
    # A session of its own: a Ctrl-C on the terminal reaches only this process, which then ends
    # the agent in an orderly way; two signals would make it leave at once. Stdin is a pipe that
    # nobody writes to: it ends when this process dies, however it dies, and the agent with it.
    return await asyncio.create_subprocess_exec(
        program,
        *("run", "--with-parent"),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


async def _say(server: Server, login: bool) -> None:
    """Where everything is, and the first line to paste."""
    data, token = server.data.path, server.data.read_admin_token()
    click.echo(f"server       {server.url}")
    if token is None:
        program = shlex.quote(find_program("remote-server") or "remote-server")
        made = f"{program} token create --role admin --name dev --data-dir {shlex.quote(str(data))}"
        click.echo(f"admin token  its file was removed; make another one: {made}")
    else:
        click.echo(f"admin token  {token}")
    click.echo(f"data         {data}\nagent        {_NAME}, queue default\n")
    if token is not None:
        access = Access(server.url, token, server.config.server.tls_cert)
        remotectl = find_program("remotectl")
        done = False
        if remotectl is None:
            click.echo("remotectl was not found; install it: pip install remote-client\n")
        elif login:
            done, words = await log_in(remotectl, access)
            click.echo(words if done else f"remotectl could not be logged in: {words}")
        click.echo(f"\nIn another terminal:\n{to_paste(remotectl, access, done)}")
    click.echo("Ctrl-C ends both.\n")
    sys.stdout.flush()


def hangup() -> list[signal.Signals]:
    """SIGHUP, where the system has it."""
    return [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []


async def _watch(server: Server, agent: Process, stopping: asyncio.Event) -> int:
    """Wait for the end of any of them; the exit code."""
    waits = {
        asyncio.ensure_future(stopping.wait()): "signal",
        asyncio.ensure_future(agent.wait()): "agent",
        asyncio.ensure_future(server.failed()): "server",
    }
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
    ended = {waits[task] for task in done}
    if "signal" in ended:
        return 0
    if "agent" in ended:
        click.echo(f"the agent ended with exit code {agent.returncode}", err=True)
    else:
        click.echo("the server broke; its log says more", err=True)
    return 1


async def _end(process: Process) -> None:
    """Ask a process to end, then make it."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
