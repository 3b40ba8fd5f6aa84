"""Whether a remote-server is reached and takes tasks: for `airflow remote check` and for the button
of a connection. Network only."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from remote_airflow.server import Refused, Server, Unavailable
from remote_airflow.settings import Settings, SettingsError

_OWN_HOST: Final = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})
_NAMED: Final = 5
"""So many agents are named."""


class Finding(NamedTuple):
    """What a look has found."""

    good: bool
    lines: list[str]
    """Sentences; of a bad one the last says what is wrong, and the cure."""


def look(server: Server) -> Finding:
    """Ask for everything that a task needs. Raises nothing."""
    lines: list[str] = []
    try:
        version, caller = server.get("/version"), server.get("/whoami")
        lines.append(
            f"remote-server {version['version']}, token {caller['name']} ({caller['role']})"
        )
        if caller["role"] == "viewer":
            lines.append(
                "the token may only look; make one with: remotectl token create --role operator "
                "--name airflow"
            )
            return Finding(False, lines)
        agents, queues = server.get("/agents")["items"], server.get("/queues")["items"]
    except (SettingsError, Unavailable, Refused) as error:
        return Finding(False, [*lines, str(error.args[0])])
    except (KeyError, TypeError):
        return Finding(False, [*lines, "what answers there is no remote-server; check its URL"])
    online = sum(agent["state"] == "online" for agent in agents)
    if not online:
        lines.append("no agent is online, so that tasks would wait; see: remotectl agent list")
        return Finding(False, lines)
    lines += _other_versions(str(version["version"]), agents)
    served = {
        queue for agent in agents if agent["state"] == "online" for queue in agent.get("queues", ())
    }
    if lacking := sorted({queue["name"] for queue in queues} - served):
        lines.append(
            f"no agent that is online serves the queues {', '.join(lacking)}: their tasks would "
            "wait"
        )
    lines.append("1 agent is online" if online == 1 else f"{online} agents are online")
    return Finding(True, lines)


def where_tasks_report(settings: Settings) -> str:
    """Where tasks reach Airflow from their hosts, and what may be wrong with that."""
    if settings.relay:
        return f"tasks reach the Execution API by the relay {settings.relay!r}"
    said = f"tasks reach the Execution API at {settings.execution_api_url}"
    if urlsplit(settings.execution_api_url).hostname in _OWN_HOST:
        said += (
            ", which is the host that each of them runs on: where Airflow is elsewhere, set "
            "[remote] execution_api_url, or relay"
        )
    return said


def _other_versions(version: str, agents: list[Any]) -> list[str]:
    """Who runs another version than the server."""
    lines = []
    try:
        own = metadata.version("remote-airflow")
    except metadata.PackageNotFoundError:
        own = version
    if own != version:
        lines.append(
            f"this provider is {own}: have the provider of the server's version, and the server "
            "updated first"
        )
    others = [agent["name"] for agent in agents if agent.get("version") not in (None, "", version)]
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        lines.append(
            f"another version than the server's have the agents {', '.join(others[:_NAMED])}"
            f"{more}; see: remotectl agent list"
        )
    return lines
