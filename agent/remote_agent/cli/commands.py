"""`run`, and what speaks with the running agent: status, pause, resume, drain; and `config`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from remote_agent import __version__
from remote_agent import config as configuration
from remote_agent.control import NotRunning, ask
from remote_agent.errors import ConfigError
from remote_agent.identity import load_identity
from remote_protocol.units import format_size, parse_duration


def load(options: argparse.Namespace) -> configuration.Config:
    """The effective configuration for these options."""
    return configuration.load(options.config, os.environ, None, options.state_dir)[0]


def run(options: argparse.Namespace) -> int:
    """Run the agent until it is stopped."""
    from remote_agent.app import run as run_agent

    settings = load(options)
    if load_identity(settings.state_dir) is None:
        from remote_agent.cli.enrol import register_from_environment

        register_from_environment(options, settings)
    return run_agent(settings, once=options.once)


def status(options: argparse.Namespace) -> int:
    """What the agent does; exit code 1 when none runs."""
    settings = load(options)
    try:
        document = ask(settings.state_dir, {"do": "status"})
    except NotRunning as error:
        identity = load_identity(settings.state_dir)
        known = (
            f"registered as {identity.name} at {identity.server}" if identity else "not registered"
        )
        if options.output == "json":
            print(json.dumps({"running": False, "registered": identity is not None}))
        print(f"remote-agent: {error} ({known})", file=sys.stderr)
        return 1
    if options.output == "json":
        print(json.dumps({"running": True, **document}, indent=2))
    else:
        _print_status(document)
    return 0


def _print_status(document: dict[str, Any]) -> None:
    for name in ("name", "server", "link", "condition", "queues", "labels", "capacity", "version"):
        if document.get(name) not in (None, "", [], {}):
            print(f"{name:<10} {_words(document[name])}")
    attempts = document.get("attempts", [])
    print(f"{'jobs':<10} {len(attempts) or 'none'}")
    for attempt in attempts:
        size, acked = attempt.get("size", 0), attempt.get("acked", 0)
        behind = f", {format_size(size - acked)} not sent" if size > acked else ""
        print(
            f"  {attempt['job']} attempt {attempt['attempt']} {attempt['phase']}"
            f", log {format_size(size)}{behind}"
        )


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={entry}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def pause(options: argparse.Namespace) -> int:
    """Take no new jobs; kept over restarts."""
    return _tell(options, {"do": "pause", "comment": options.comment}, "paused; running jobs go on")


def resume(options: argparse.Namespace) -> int:
    """Take back pause and drain."""
    return _tell(options, {"do": "resume"}, "resumed")


def drain(options: argparse.Namespace) -> int:
    """Finish what runs, then exit."""
    try:
        deadline = parse_duration(options.deadline) if options.deadline else None
    except ValueError as error:
        raise ConfigError(f"--deadline: {error}") from None
    request = {"do": "drain", "deadline": deadline}
    return _tell(options, request, "draining; the agent exits when its jobs have ended")


def _tell(options: argparse.Namespace, request: dict[str, Any], done: str) -> int:
    ask(load(options).state_dir, request)
    print(done)
    return 0


def config(options: argparse.Namespace) -> int:
    """Print what holds, secrets hidden, with the origin of everything that is no default."""
    settings, origins = configuration.load(options.config, os.environ, None, options.state_dir)
    document = configuration.as_document(settings)
    if options.output == "json":
        print(json.dumps(document, indent=2))
        return 0
    print(f"state_dir = {json.dumps(document.pop('state_dir'))}")
    for section, values in document.items():
        print(f"\n[{section}]")
        for key, value in values.items():
            origin = origins.get((section, key))
            if value is not None:
                print(f"{key} = {json.dumps(value)}" + (f"  # {origin}" if origin else ""))
    return 0


def version(options: argparse.Namespace) -> int:
    """Print the version."""
    print(f"remote-agent {__version__}")
    return 0
