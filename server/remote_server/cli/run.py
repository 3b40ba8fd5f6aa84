"""`remote-server run`: one server in the foreground until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from remote_server.addresses import is_everywhere, reachable
from remote_server.cli.options import (
    configuration,
    listen_option,
    log_level_option,
    storage_options,
    warn_of_unknown_variables,
)
from remote_server.config import Config
from remote_server.core_dumps import forbid_core_dumps
from remote_server.errors import ServerError
from remote_server.logging_setup import setup_logging

if TYPE_CHECKING:
    from remote_server.app import Server


COLLECT: Final = (20_000, 10, 20)
"""Objects made, less those gone, between two looks at the youngest; looks before one at the older,
and of those before one at all."""


class Broken(ServerError):
    """A loop of the server ended; its cause is in the log."""


@click.command(
    epilog="\b\nExample:\n"
    "  remote-server run --listen 0.0.0.0:8750 --tls-cert cert.pem --tls-key key.pem"
)
@storage_options
@listen_option
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    help="Certificate chain (PEM).  [env: REMOTE_SERVER_TLS_CERT]",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    help="Its key (PEM).  [env: REMOTE_SERVER_TLS_KEY]",
)
@click.option(
    "--durability",
    type=click.Choice(["full", "normal"]),
    help="full: what was acknowledged survives a power cut.  [env: REMOTE_SERVER_DURABILITY; "
    "default: full]",
)
@log_level_option
def run(config_file: Path | None, **flags: object) -> None:
    """Run the server.

    The first start creates the database, the queue `default` and an admin token. SIGTERM and
    SIGINT end it after what is under way, a second one at once; SIGHUP reads configuration,
    certificate and key again.
    """
    config = configuration(config_file, **flags)
    setup_logging(config.server.log_level, config.server.log_format)
    warn_of_unknown_variables()
    asyncio.run(_run(config, lambda: configuration(config_file, **flags)))


async def _run(config: Config, read: Callable[[], Config]) -> None:
    # As in __main__: it would take a sixth of the start.
    gc.disable()
    from remote_server.app import Server  # its imports take longer than other commands in all
    from remote_server.cli.reload import Reload, on_signals
    from remote_server.hub.allocator import keep_freed_memory

    gc.freeze()
    gc.enable()
    keep_freed_memory()
    forbid_core_dumps()  # it holds the key of secrets
    server = Server(config)
    stopping = stop_signals()
    on_signals(Reload(server, read))
    if not await started(server, stopping):
        return
    spare_the_collector()
    try:
        say_where(server)
        await until(server, stopping)
    finally:
        await server.stop()


def spare_the_collector() -> None:
    """What start-up made stays: the collector of cyclic garbage need not look at it again. At the
    rest it looks less often: nearly all of what a job needs goes without it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


async def started(server: Server, stopping: asyncio.Event) -> bool:
    """Start a server, which may have to wait for the end of another one; whether it was started
    before a signal came."""
    starting = asyncio.ensure_future(server.start())
    wanted = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({starting, wanted}, return_when=asyncio.FIRST_COMPLETED)
    wanted.cancel()
    if not starting.done() and server.standing_by:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return False
    await starting
    return True


def say_where(server: Server) -> None:
    """Tell people the address and where the first admin token lies."""
    if is_everywhere(server.address):
        scheme = server.url.partition(":")[0]
        urls = ", ".join(f"{scheme}://{address}" for address in reachable(server.address))
        click.echo(f"remote-server listens on all addresses of this host: {urls}")
    else:
        click.echo(f"remote-server listens on {server.url}")
    if server.data.admin_token.exists():
        click.echo(f"the first admin token is in {server.data.admin_token}")


def stop_signals(
    *numbers: signal.Signals,
) -> asyncio.Event:
    """An event that one of the signals (SIGTERM, SIGINT) sets; a second one ends the process at
    once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)

    for number in numbers or (signal.SIGTERM, signal.SIGINT):
        # Windows has no signal handlers in the loop; Ctrl-C raises KeyboardInterrupt there.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop, number)
    return stopping


async def until(server: Server, stopping: asyncio.Event) -> None:
    """Wait for a signal. ServerError when one of the server's loops ends before."""
    wanted = asyncio.ensure_future(stopping.wait())
    failed = asyncio.ensure_future(server.failed())
    try:
        await asyncio.wait({wanted, failed}, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            raise Broken(f"the server broke: {failed.result()}; its log says more")
    finally:
        wanted.cancel()
        failed.cancel()
