"""Static checks of the running agent, as it tells itself: link, condition, places, environment.

Asks the control socket of the state directory, and systemd about the service.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from remote_agent import __version__
from remote_agent.errors import AgentError
from remote_agent.local.control import NotRunning, ask
from remote_agent.local.environment import Notable, decides_connection, notable
from remote_protocol.report import Check, Finding, Level

AGENT: Final = Check(
    "agent", Level.STATIC, ("agent_not_running", "agent_outdated", "agent_silent", "not_registered")
)
LINK: Final = Check("link", Level.STATIC, ("link_down", "no_agent_runs"))
CONDITION: Final = Check(
    "condition",
    Level.STATIC,
    ("agent_blocked", "agent_draining", "agent_paused", "no_agent_runs"),
)
CAPACITY: Final = Check("capacity", Level.STATIC, ("no_agent_runs", "not_assigned"))
ENVIRONMENT: Final = Check("environment", Level.STATIC, ("environment_differs", "no_agent_runs"))
SERVICE: Final = Check(
    "service",
    Level.STATIC,
    ("no_service", "service_failed", "service_inactive", "service_restarting"),
)
Status = dict[str, Any]
_UNIT: Final = "remote-agent.service"
_BOOTED: Final = Path("/run/systemd/system")
"""Exists where systemd is the init (sd_booted(3))."""
_PROPERTIES: Final = "LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState"
_TIMEOUT: Final = 10.0


def agent(state_dir: Path, registered: bool) -> tuple[Finding, Status | None]:
    """Whether an agent works on this state directory, and its status."""
    try:
        status = ask(state_dir, {"do": "status"})
    except NotRunning as error:
        if not registered:
            return AGENT.skipped("not_registered", "not registered yet, and no agent runs"), None
        return (
            AGENT.failed(
                "agent_not_running",
                f"no agent runs on {state_dir}",
                str(error),
                "remote-agent run, or start its service: remote-agent service start; "
                "remote-agent logs says why the last one ended",
            ),
            None,
        )
    except AgentError as error:
        return (
            AGENT.failed(
                "agent_silent",
                f"the agent on {state_dir} does not answer",
                str(error),
                "run doctor as the agent's user; if it hangs, restart it: jobs run on meanwhile",
            ),
            None,
        )
    running = status.get("version")
    if running != __version__:
        return (
            AGENT.failed(
                "agent_outdated",
                f"the running agent is version {running}, this program is {__version__}",
                "it was not restarted after an update, or doctor is of another installation",
                "restart the agent: jobs run on meanwhile",
            ),
            status,
        )
    return AGENT.passed(f"process {status.get('pid')}, version {running}"), status


def checks_of(status: Status | None, environ: Mapping[str, str], state_dir: Path) -> list[Finding]:
    """What a running agent says of itself; all skipped when there is none."""
    if status is None:
        checks = (LINK, CONDITION, CAPACITY, ENVIRONMENT)
        return [check.skipped("no_agent_runs", "no agent runs") for check in checks]
    return [
        link(status),
        condition(status),
        capacity(status),
        environment(_environment_of(state_dir), notable(environ)),
    ]


def link(status: Status) -> Finding:
    """Whether it is connected to its server."""
    server = status.get("server")
    if status.get("connected_seconds") is not None:
        return LINK.passed(f"online at {server} for {status['connected_seconds']:.0f} s")
    return LINK.failed(
        "link_down",
        f"the agent is not connected to {server}",
        str(status.get("link_failure") or "it has not said why yet"),
        "see the live checks below; the agent tries again by itself, and running jobs go on",
    )


def condition(status: Status) -> Finding:
    """Whether it takes jobs, and who or what keeps it from it."""
    words = str(status.get("condition", ""))
    if status.get("accepting"):
        return CONDITION.passed(words or "taking jobs")
    if status.get("draining"):
        code, cure = "agent_draining", "remote-agent resume, or remotectl agent resume NAME"
    elif status.get("paused"):
        code, cure = "agent_paused", "remote-agent resume, or remotectl agent resume NAME"
    else:
        code, cure = "agent_blocked", "mend what it says; it takes jobs again by itself"
    return CONDITION.failed(code, "the agent takes no jobs", words, cure)


def capacity(status: Status) -> Finding:
    """How many of its places are taken."""
    places = status.get("capacity") or {}
    if not places:
        return CAPACITY.skipped("not_assigned", "the server has not given it any places yet")
    busy, total = int(status.get("jobs", 0)), sum(places.values())
    full = "every place is taken: further jobs wait in their queues" if busy >= total else ""
    return CAPACITY.passed(f"{busy} of {total} places are taken", full)


def _environment_of(state_dir: Path) -> Notable | None:
    try:
        found = ask(state_dir, {"do": "environment"}).get("environment")
    except AgentError:
        return None
    return found if isinstance(found, dict) else None


def environment(agents: Notable | None, here: Notable) -> Finding:
    """Whether the agent was started with what this shell has."""
    if agents is None:
        return ENVIRONMENT.skipped("no_agent_runs", "the agent did not tell its environment")
    names = sorted(agents.keys() | here.keys())
    differ = [name for name in names if agents.get(name) != here.get(name)]
    lines = [f"{name}: agent {_shown(agents, name)}, here {_shown(here, name)}" for name in differ]
    deciding = [line for name, line in zip(differ, lines, strict=True) if decides_connection(name)]
    if deciding:
        return ENVIRONMENT.failed(
            "environment_differs",
            "the agent was started with other variables than this shell's, and they decide how "
            "the server is reached",
            "\n".join(deciding),
            "set them where the agent is started (Environment= of its service), then restart it; "
            "or set them here, so that the live checks go the agent's way",
        )
    if lines:
        return ENVIRONMENT.passed("differs only where it does not matter:\n" + "\n".join(lines))
    return ENVIRONMENT.passed("the agent's is like this shell's")


def _shown(known: Notable, name: str) -> str:
    return known[name][0] if name in known else "not set"


def service(booted: Path = _BOOTED, systemctl: str | None = None) -> Finding:
    """What systemd says about the agent's service."""
    program = systemctl or shutil.which("systemctl")
    if program is None or not booted.exists():
        return SERVICE.skipped("no_service", "systemd does not run this host")
    for scope in ((), ("--user",)):
        state = _unit(program, scope)
        if state.get("LoadState") == "loaded":
            return _service(state, user="--user" in scope)
    return SERVICE.skipped("no_service", f"systemd knows no {_UNIT}")


def _unit(program: str, scope: tuple[str, ...]) -> dict[str, str]:
    command = [program, *scope, "show", _UNIT, f"--property={_PROPERTIES}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, env=os.environ
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in pairs}


def _service(state: Mapping[str, str], user: bool) -> Finding:
    """`user`: it is one of the user's own, that `remote-agent service` does not know."""
    active, result = state.get("ActiveState", ""), state.get("Result", "")
    journal = "journalctl -u remote-agent" + (" --user" if user else "")
    start = "systemctl --user enable --now remote-agent" if user else "remote-agent service start"
    why = f"{state.get('SubState')}, result {result}, {state.get('NRestarts') or 0} restarts"
    if active == "active":
        return SERVICE.passed(f"{_UNIT} is active, {state.get('UnitFileState') or 'static'}")
    if active == "failed":
        cure = f"{journal} says why; then {start}"
        return SERVICE.failed("service_failed", f"{_UNIT} has failed", why, cure)
    if state.get("SubState") == "auto-restart":
        cure = f"{journal} says why it ends"
        return SERVICE.failed("service_restarting", f"{_UNIT} ends again and again", why, cure)
    return SERVICE.failed("service_inactive", f"{_UNIT} is {active or 'not active'}", why, start)
