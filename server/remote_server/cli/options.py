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

from remote_server.config import Config, default_data_dir, load

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
    f"default: {default_data_dir()}]",
)
database_option = click.option(
    "--database",
    metavar="URL",
    help="SQLAlchemy URL.  [env: REMOTE_SERVER_DATABASE; default: SQLite in the data directory]",
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
    """The effective configuration. ConfigError names all faults."""
    return load(config_file, os.environ, flags)
