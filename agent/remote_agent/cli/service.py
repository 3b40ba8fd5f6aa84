"""`service`: the agent as a service of this host."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from remote_agent.cli.call import load, read_token
from remote_agent.connection.identity import load_identity
from remote_agent.errors import AgentError, ConfigError
from remote_agent.service.calling import one_line
from remote_agent.service.installing import Request, install
from remote_agent.service.online import DEADLINE, wait_until_online
from remote_agent.service.platform import own_program, service_manager
from remote_agent.service.port import ServicePort, ServiceState
from remote_protocol.units import parse_duration
from remote_protocol.urls import server_url


def service(options: argparse.Namespace) -> int:
    """Do what the verb says."""
    port = service_manager()
    verbs = {
        "install": _install,
        "start": _start,
        "stop": _stop,
        "restart": _restart,
        "status": _status,
        "uninstall": _uninstall,
    }
    return verbs[options.verb](port, options)


def _install(port: ServicePort, options: argparse.Namespace) -> int:
    request = Request(
        program=own_program(),
        user=options.user,
        profile=options.profile,
        server=None if options.server is None else _checked(options.server),
        token=read_token(options),
        password=_password(options),
        start=not options.no_start,
        deadline=_deadline(options),
    )
    done = install(port, request, load(options)[0].jobs.separate)
    for path in done.changed:
        print(f"wrote    {path}")
    what = "installed" if done.changed else "installed already"
    print(f"{what}: {request.program}, as {done.user}, profile {done.profile}")
    if done.restarted:
        print("restarted; its jobs run on")
    if done.status is not None:
        _print_online(done.status)
    return 0


def _password(options: argparse.Namespace) -> str | None:
    if options.password_file is None:
        return None
    try:
        return Path(options.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"--password-file: {options.password_file}: {why}") from None


def _deadline(options: argparse.Namespace) -> float:
    try:
        return parse_duration(options.deadline) if options.deadline else DEADLINE
    except ValueError as error:
        raise ConfigError(f"--deadline: {error}") from None


def _checked(url: str) -> str:
    try:
        return server_url(url)
    except ValueError as error:
        raise ConfigError(f"--server: {error}") from None


def _print_online(status: dict[str, object]) -> None:
    print("online  ", one_line(f"{status.get('name')} at {status.get('server')}"))


def _start(port: ServicePort, options: argparse.Namespace) -> int:
    _installed(port)
    port.start()
    return _wait(port, options)


def _restart(port: ServicePort, options: argparse.Namespace) -> int:
    _installed(port)
    port.restart()
    return _wait(port, options)


def _wait(port: ServicePort, options: argparse.Namespace) -> int:
    if deadline := _deadline(options):
        _print_online(wait_until_online(port, deadline))
    return 0


def _stop(port: ServicePort, options: argparse.Namespace) -> int:
    _installed(port)
    port.stop(jobs_too=options.now)
    print("stopped; its jobs were killed" if options.now else "stopped; its jobs run on")
    return 0


def _installed(port: ServicePort) -> ServiceState:
    state = port.state()
    if not state.installed:
        raise AgentError("the service is not installed: remote-agent service install")
    port.check()
    return state


def _status(port: ServicePort, options: argparse.Namespace) -> int:
    state = port.state()
    if options.output == "json":
        print(json.dumps(dataclasses.asdict(state), indent=2))
    elif not state.installed:
        print("the service is not installed: remote-agent service install")
    else:
        starts = "starts with the host" if state.enabled else "does not start with the host"
        print(f"{'service':<10} {state.active}, {starts}")
        for name in ("words", "user", "profile", "program", "pid", "restarts"):
            if value := getattr(state, name):
                print(f"{'agent' if name == 'words' else name:<10} {value}")
        if state.outdated:
            print(f"{'version':<10} it runs another one than this: remote-agent service restart")
    return 0 if state.active == "active" else 1


def _uninstall(port: ServicePort, options: argparse.Namespace) -> int:
    # Imported only here, like what leaves the server: the other verbs take half the time without.
    from remote_agent.service.uninstalling import uninstall

    for line in uninstall(port, lambda folder: _leave(folder, options), options.force).lines():
        print(line)
    return 0


def _leave(state_dir: Path, options: argparse.Namespace) -> str | None:
    """Leave the server; what is to be said when it cannot be told."""
    from remote_agent.app.bootstrap import way_to
    from remote_agent.connection.enrolment import unregister

    known = load_identity(state_dir)
    if known is None:
        return None
    try:
        unregister(way_to(known.server, load(options)[0], known), known.token)
    except AgentError as error:
        return (
            f"{known.server} was not told ({error}); it still lists this agent: "
            f"remotectl agent delete {known.name}"
        )
    return f"{known.name} has left {known.server}"
