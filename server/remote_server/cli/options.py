"""The options that several commands share, and the configuration made from them.

Flags win over the environment, which wins over the file; `config.load` knows the variables, so
that a fault can be blamed on its origin. Reads the environment and the configuration file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog

from remote_server.config import Config, default_data_dir, env_name, load, unknown_variables
from remote_server.errors import ServerError


class DatabaseMissing(ServerError):
    """The command needs a database, and there is none."""


_log = structlog.get_logger("remote_server.cli")
F = TypeVar("F", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="REMOTE_SERVER_CONFIG",
    show_envvar=True,
    help="Configuration file (TOML).",
)
listen_option = click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where to listen; port 0: any free one.  [env: REMOTE_SERVER_LISTEN; "
    "default: 127.0.0.1:8750]",
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Database, logs, first admin token.  [env: REMOTE_SERVER_DATA_DIR; "
    "default: /var/lib/remote-server for root, else "
    f"{default_data_dir(root=False)}]",
)
database_option = click.option(
    "--database",
    metavar="URL",
    help="sqlite:////PATH or postgresql://USER@HOST/DATABASE.  [env: REMOTE_SERVER_DATABASE; "
    "default: SQLite in the data directory]",
)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="[env: REMOTE_SERVER_LOG_LEVEL; default: info]",
)


def storage_options(command: F) -> F:
    """`--config`, `--data-dir`, `--database`."""
    return config_option(data_dir_option(database_option(command)))


def configuration(config_file: Path | None, **flags: object) -> Config:
    """The effective configuration. ConfigError names all faults.

    A key of secrets leaves the environment by it: no program that is started gets it.
    """
    try:
        return load(config_file, os.environ, flags)
    finally:
        os.environ.pop(env_name("secrets", "key"), None)


def require_database(config: Config) -> None:
    """DatabaseMissing where no server has made one: a misspelt directory must not get one that no
    server uses."""
    from remote_server.store.opening import missing_file

    path = missing_file(config.database_url)
    if path is not None:
        raise DatabaseMissing(
            f"there is no database {path}; name the data directory of the server with --data-dir, "
            "or start the server once (remote-server run) to make one"
        )


def warn_of_unknown_variables() -> None:
    """Say in the log which `REMOTE_SERVER_…` variables nobody reads: a misspelt one is no fault
    that may keep a server from starting, but it must not be silent either."""
    for said in unknown_variables(os.environ, _variables(click.get_current_context())):
        _log.warning(said)


def _variables(context: click.Context) -> set[str]:
    """The variables of all options of the program."""
    found: set[str] = set()
    commands: list[click.Command] = [context.find_root().command]
    while commands:
        command = commands.pop()
        if isinstance(command, click.Group):
            commands += command.commands.values()
        for parameter in command.params:
            names = parameter.envvar or ()
            found.update([names] if isinstance(names, str) else names)
    return found
