"""`doctor`: print what keeps this host from running jobs."""

from __future__ import annotations

import argparse
import os

from remote_agent.cli.call import flags_of, load
from remote_agent.cli.variables import text_of
from remote_agent.doctor.examination import examine_host
from remote_agent.doctor.settings import GivenToken
from remote_protocol.report import as_json, as_table, exit_code


def doctor(options: argparse.Namespace) -> int:
    """Run all checks; exit code 1 when one of them failed."""
    findings, _ = examine_host(
        lambda: load(options, flags_of(options))[0], _given(options), os.environ
    )
    print(as_json(findings) if options.output == "json" else as_table(findings))
    return exit_code(findings)


def _given(options: argparse.Namespace) -> GivenToken:
    """The token that flags name, or else the environment."""
    if options.token or options.token_file:
        return GivenToken(options.token, options.token_file)
    file = text_of("--token-file")
    return GivenToken(None if file else text_of("--token"), file)
