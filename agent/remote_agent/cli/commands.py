"""`run`, and what speaks with the running agent: status, pause, resume, drain; and `config`."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path
from typing import Any, Final

from remote_agent import __version__
from remote_agent import config as configuration
from remote_agent.cli.call import flags_of, forget_token, load, read_token, start_anew, to_enrol
from remote_agent.config import Config
from remote_agent.connection.identity import Identity, load_identity
from remote_agent.errors import RESTART, AgentError, ConfigError
from remote_agent.local.control import NotRunning, ask
from remote_agent.local.health_files import fresh
from remote_agent.processes import interrupt_on_stop, is_init, keep_running
from remote_protocol.printable import printable
from remote_protocol.units import format_duration, format_size, parse_duration

VERSION: Final = f"remote-agent {__version__}"


def run(options: argparse.Namespace) -> int:
    """Run the agent until it is stopped."""
    if is_init():
        interrupt_on_stop()
    settings, _ = load(options, flags_of(options))
    idle_timeout = _idle_timeout(options.idle_timeout)
    known = load_identity(settings.state_dir)
    url = settings.server.url
    # Needed only once: the token of a host that is registered may be used up, or gone.
    foreign = known is None or url not in (None, known.server)
    if to_enrol(known, url, read_token(options) if foreign else None):
        # Imported only here: most starts are those of a host that is registered.
        from remote_agent.cli.enrol import register_first

        register_first(settings, options)
    forget_token()
    # Not before: the environment of process 1 can be read as long as its container lives.
    if is_init() and (code := keep_running()) is not None:
        return code
    gc.disable()  # until the agent has settled
    from remote_agent.app.shutdown import Lifetime
    from remote_agent.app.start import run as run_agent

    gc.freeze()  # What is loaded stays.
    while True:
        code = run_agent(
            settings,
            Lifetime(options.once, idle_timeout),
            reload=lambda: load(options, flags_of(options))[0],
            with_parent=options.with_parent,
        )
        if code != RESTART or sys.argv[1:2] == ["_service"]:
            return code  # the service manager of Windows starts it again
        try:
            start_anew()
        except OSError as error:
            why = (
                f"the agent's program cannot be started: {error.strerror}; the present one goes on"
            )
            print(f"remote-agent: {why}", file=sys.stderr, flush=True)
        settings = load(options, flags_of(options))[0]


def _idle_timeout(text: str | None) -> float | None:
    try:
        seconds = None if text is None else parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"--idle-timeout: {error}") from None
    if seconds is not None and seconds < 1:
        raise ConfigError("--idle-timeout: is 1s or longer; leave it out for none")
    return seconds


def status(options: argparse.Namespace) -> int:
    """What the agent does; exit code 1 when none runs."""
    settings, _ = load(options)
    if options.check is not None:
        return _check(settings, options.check, options.output)
    try:
        document = ask(settings.state_dir, {"do": "status"})
    except NotRunning as error:
        document = {"running": False, **_asleep(settings.state_dir)}
        if options.output == "json":
            print(json.dumps(document, indent=2))
        else:
            _print_status(document)
        print(f"remote-agent: {error}", file=sys.stderr)
        return 1
    if options.output == "json":
        print(json.dumps({"running": True, **document}, indent=2))
    else:
        _print_status(document)
    return 0


def _check(settings: Config, wanted: str, output: str | None) -> int:
    """For probes: whether the agent's event loop turns (`live`), or it is connected (`ready`)."""
    try:
        document = ask(settings.state_dir, {"do": "status"})
        good = wanted == "live" or document.get("link") == "online"
        words = f"the agent runs; its link: {document.get('link')}"
    except NotRunning as error:
        # A host that is not registered yet waits for its server, and says so by the file only.
        good = wanted == "live" and fresh(settings.telemetry.liveness_file)
        words = "the agent waits to be registered" if good else str(error)
    except AgentError as error:
        good, words = False, str(error)
    if output == "json":
        print(json.dumps({"check": wanted, "ok": good, "reason": words}, indent=2))
    else:
        print(printable(f"{wanted if good else f'not {wanted}'}: {words}"))
    return 0 if good else 1


def _asleep(state_dir: Path) -> dict[str, Any]:
    # Imported only here: an agent that runs answers for itself.
    from remote_agent.journal.folder import unsettled

    identity = load_identity(state_dir)
    running, undelivered = unsettled(state_dir)
    return {
        "registered": identity is not None,
        "name": identity.name if identity else None,
        "server": identity.server if identity else None,
        "state_dir": str(state_dir),
        "attempts": [_attempt(name, "running") for name in running]
        + [_attempt(name, "ended") for name in undelivered],
    }


def _attempt(name: str, phase: str) -> dict[str, Any]:
    job, _, number = name.partition(".")
    return {"job": job, "attempt": int(number) if number.isdecimal() else 0, "phase": phase}


def _print_status(document: dict[str, Any]) -> None:
    print(f"{'agent':<10} {'running' if document.get('running', True) else 'not running'}")
    if document.get("registered") is False:
        print(f"{'name':<10} not registered; remote-agent register --server URL")
    for name in ("name", "server", "link", "condition", "queues", "labels", "capacity", "version"):
        if document.get(name) not in (None, "", [], {}):
            print(f"{name:<10} {_words(document[name])}")
            if name == "link" and document.get("link_failure"):
                print(f"{'':<10} {_words(document['link_failure'])}")
    if "jobs_run_as" in document:
        print(f"{'jobs as':<10} {document['jobs_run_as']}")
    attempts = document.get("attempts", [])
    print(f"{'jobs':<10} {len(attempts) or 'none'}")
    for attempt in attempts:
        line = f"  {attempt['job']} attempt {attempt['attempt']} {attempt['phase']}"
        if "size" in attempt:
            size, acked = attempt["size"], attempt.get("acked", 0)
            unsent = f", {format_size(size - acked)} not sent" if size > acked else ""
            line += f", log {format_size(size)}{unsent}"
        print(line)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{key}={entry}" for key, entry in value.items()]
    return printable(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def pause(options: argparse.Namespace) -> int:
    """Take no new jobs; kept over restarts."""
    request = {"do": "pause", "comment": options.comment or ""}
    return _tell(options, request, "paused; running jobs go on")


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
    answer = ask(load(options)[0].state_dir, request)
    note = answer.get("note")
    print(f"{done}, but: {note}" if note else done)
    return 0


def config(options: argparse.Namespace) -> int:
    """Print what holds, secrets hidden, each value with its origin."""
    settings, origins = load(options)
    document = configuration.as_document(settings)
    named = {".".join(place): origin for place, origin in origins.items() if len(place) == 2}
    identity = load_identity(settings.state_dir)
    if identity is not None:
        _fill_in(document, named, identity)
    if options.output == "json":
        print(json.dumps({**document, "origins": named}, indent=2, ensure_ascii=False))
        return 0
    state_dir = json.dumps(document.pop("state_dir"), ensure_ascii=False)
    print(f"# identity, attempts and logs: {state_dir} (--state-dir or REMOTE_AGENT_STATE_DIR)")
    for section, values in document.items():
        print(f"\n[{section}]")
        for key, value in values.items():
            origin = named.get(f"{section}.{key}", "default")
            known = "" if value is not None else "# "
            print(f"{known}{key} = {'' if value is None else _toml(value)}  # {origin}")
    return 0


def _fill_in(document: dict[str, Any], origins: dict[str, str], identity: Identity) -> None:
    """What `register` has agreed holds where the configuration is silent."""
    agreed = {
        ("server", "url"): identity.server,
        ("server", "ca_file"): identity.ca_file,
        ("server", "proxy"): configuration.without_password(identity.proxy),
        ("agent", "name"): identity.name,
        **{("agent", key): value for key, value in identity.settings.items()},
    }
    for (section, key), value in agreed.items():
        if document[section].get(key) is None and value is not None:
            document[section][key] = value
            origins[f"{section}.{key}"] = "register"


def _toml(value: Any) -> str:
    if isinstance(value, float):  # all of them are durations
        text = format_duration(value)
        return json.dumps(text) if parse_duration(text) == value else f"{value:g}"
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(entry)}" for key, entry in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def version(options: argparse.Namespace) -> int:
    """Print the version."""
    print(VERSION)
    return 0
