"""`debug bundle`: one file for whoever looks for a fault from afar."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from remote_agent.cli.call import flags_of, load
from remote_agent.cli.doctor import given_token
from remote_agent.config import ENV_PREFIX, Config, default_state_dir
from remote_agent.doctor.bundle import Subject, write
from remote_agent.doctor.examination import examine_host, examine_server
from remote_agent.errors import AgentError, ConfigError, os_words
from remote_protocol.units import format_size

_STEP: Final = 5.0
"""Seconds for each step of the live checks: a bundle is wanted where they fail."""


def debug(options: argparse.Namespace) -> int:
    """Write the bundle."""
    config: Config | None = None
    origins: dict[tuple[str, ...], str] = {}
    try:
        config, origins = load(options, flags_of(options))
        state_dir = config.state_dir
    except ConfigError:  # the report of doctor names the faults
        given = options.state_dir or os.environ.get(f"{ENV_PREFIX}STATE_DIR")
        state_dir = Path(given or default_state_dir()).expanduser().absolute()
    findings, known = examine_host(
        lambda: load(options, flags_of(options))[0], given_token(options), os.environ
    )
    findings += examine_server(known, None, _STEP)
    file = Path(options.file)
    try:
        names = write(file, Subject(state_dir, config, origins, findings, os.environ))
    except OSError as error:
        raise AgentError(f"the bundle cannot be written: {os_words(error, file)}") from None
    print(f"{file}: {format_size(file.stat().st_size)}, readable by you only")
    print(f"  {', '.join(names)}")
    print("tokens and passwords are left out; look through it before you give it away")
    return 0
