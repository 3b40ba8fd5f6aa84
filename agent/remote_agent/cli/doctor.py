"""`doctor`: print what keeps this host from running jobs."""

from __future__ import annotations

import argparse
import os
from typing import Final

from remote_agent.cli.call import flags_of, load, named_token
from remote_agent.doctor.examination import examine_host, examine_server
from remote_agent.doctor.settings import GivenToken
from remote_agent.errors import ConfigError
from remote_protocol.report import as_json, as_table, exit_code
from remote_protocol.units import parse_duration

LONGEST_IDLE: Final = 840.0
"""Seconds: the server ends a probe after fifteen minutes."""


def doctor(options: argparse.Namespace) -> int:
    """Run all checks; exit code 1 when one of them failed."""
    idle = _idle(options)
    findings, known = examine_host(
        lambda: load(options, flags_of(options))[0], given_token(options), os.environ
    )
    findings += examine_server(known, idle)
    print(as_json(findings) if options.output == "json" else as_table(findings))
    return exit_code(findings)


def _idle(options: argparse.Namespace) -> float | None:
    """Seconds of silence to try. ConfigError when they are none, or too many."""
    if options.idle is None:
        return None
    try:
        idle = parse_duration(options.idle)
    except ValueError as error:
        raise ConfigError(f"--idle: {error}") from None
    if idle > LONGEST_IDLE:
        raise ConfigError(f"--idle: a probe is silent for {LONGEST_IDLE / 60:.0f}m at the most")
    return idle


def given_token(options: argparse.Namespace) -> GivenToken:
    """The token that flags name, or else the environment."""
    return GivenToken(*named_token(options))
