"""Whether a remote-server is reached and takes tasks: for `airflow remote check` and for the button
of a connection. Network only."""

from __future__ import annotations

from typing import NamedTuple

from remote_airflow.server import Refused, Server, Unavailable
from remote_airflow.settings import SettingsError


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
        agents = server.get("/agents")["items"]
    except (SettingsError, Unavailable, Refused) as error:
        return Finding(False, [*lines, str(error.args[0])])
    except (KeyError, TypeError):
        return Finding(False, [*lines, "what answers there is no remote-server; check its URL"])
    online = sum(agent["state"] == "online" for agent in agents)
    if not online:
        lines.append("no agent is online, so that tasks would wait; see: remotectl agent list")
        return Finding(False, lines)
    lines.append("1 agent is online" if online == 1 else f"{online} agents are online")
    return Finding(True, lines)
