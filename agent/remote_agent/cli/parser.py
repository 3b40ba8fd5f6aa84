"""The arguments of `remote-agent`: each flag with its environment twin, examples in each help."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from remote_agent.cli import commands, enrol, logs

_ENV: Final = "[env: REMOTE_AGENT_{}]"
_EPILOG: Final = """\
examples:
  remote-agent register --server https://jobs.example.com --token-file token --queue berlin
  remote-agent run
  remote-agent status
  remote-agent pause --comment 'disk replacement'

exit codes: 0 clean, 1 fatal, 2 configuration, 3 restarting for an update, 4 token refused
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="remote-agent",
        description="Runs jobs of a remote-server on this host, over one outbound connection.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    common = _common()
    commands_of = parser.add_subparsers(metavar="COMMAND", required=True)
    _register(commands_of, common)
    run = _command(commands_of, common, "run", "run in the foreground until stopped", commands.run)
    run.add_argument("--once", action="store_true", help="run one job, then exit")
    status = _command(commands_of, common, "status", "what the agent does now", commands.status)
    _output(status)
    pause = _command(commands_of, common, "pause", "take no new jobs, until resume", commands.pause)
    pause.add_argument("--comment", default="", help="why; shown wherever the agent is shown")
    _command(commands_of, common, "resume", "take jobs again", commands.resume)
    drain = _command(commands_of, common, "drain", "finish running jobs, then exit", commands.drain)
    drain.add_argument("--deadline", metavar="D", help="cancel what still runs then, e.g. 1h")
    _command(
        commands_of, common, "unregister", "leave the server and forget the token", enrol.unregister
    )
    log = _command(commands_of, common, "logs", "local copies of logs", logs.logs)
    log.add_argument("job", nargs="?", help="id of a job or its beginning; none: the agent's own")
    log.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    config = _command(commands_of, common, "config", "the effective configuration", commands.config)
    _output(config)
    _command(commands_of, common, "version", "print the version", commands.version)
    return parser


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=os.environ.get("REMOTE_AGENT_CONFIG") or None,
        help=f"configuration (TOML) {_ENV.format('CONFIG')}",
    )
    common.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help=f"identity, attempts and logs {_ENV.format('STATE_DIR')}",
    )
    return common


def _register(
    commands_of: argparse._SubParsersAction[argparse.ArgumentParser],
    common: argparse.ArgumentParser,
) -> None:
    parser = _command(commands_of, common, "register", "enrol at a server", enrol.register)
    parser.epilog = (
        "examples:\n"
        "  remote-agent register --server https://jobs.example.com --token-file token\n"
        "  REMOTE_AGENT_TOKEN=rrt_… remote-agent register --server http://10.0.0.5:8750 \\\n"
        "      --queue berlin --queue default --label gpu=true --capacity 8\n\n"
        "Running it again with the same settings changes nothing and exits 0."
    )
    add = parser.add_argument
    add("--server", metavar="URL", help=f"the server {_ENV.format('SERVER')}")
    add("--token", metavar="TOKEN", help=f"registration or agent token; others see it in ps: "
        f"better --token-file or {_ENV.format('TOKEN')}")  # fmt: skip
    add("--token-file", type=Path, metavar="F", help=f"file with it {_ENV.format('TOKEN_FILE')}")
    add("--name", metavar="N", help=f"unique name; default: host name {_ENV.format('NAME')}")
    add(
        "--queue",
        action="append",
        metavar="Q",
        help=f"queue to serve, repeatable; default: default {_ENV.format('QUEUES')}",
    )
    add(
        "--label",
        action="append",
        metavar="K=V",
        help=f"what jobs may ask for, repeatable {_ENV.format('LABELS')}",
    )
    add(
        "--capacity",
        metavar="N",
        help=f"jobs at a time, or default=4,monitors=10 by queue {_ENV.format('CAPACITY')}",
    )
    add("--replace", action="store_true", help="take the name over from another host")
    add("--ephemeral", action="store_true", help="leave the server again when the agent ends")
    add("--proxy", metavar="URL", help=f"http://user:password@host:port {_ENV.format('PROXY')}")
    add("--ca-file", metavar="F", help=f"certificates of a private CA {_ENV.format('CA_FILE')}")
    _output(parser)


def _command(
    commands_of: argparse._SubParsersAction[argparse.ArgumentParser],
    common: argparse.ArgumentParser,
    name: str,
    words: str,
    run: object,
) -> argparse.ArgumentParser:
    parser = commands_of.add_parser(
        name,
        parents=[common],
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
