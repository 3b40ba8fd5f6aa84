"""The kinds of jobs that this agent can run: the one place where a kind is registered.

A new kind is a module with `plan` and `OWN_FILES`, as `command` is, and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from remote_agent.config import Config
from remote_agent.planning import command, container, python
from remote_agent.planning.engine import Engine
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import Planner, Work
from remote_protocol.spec import JobSpec

PLANNERS: Final[Mapping[str, Planner]] = {
    "command": command.plan,
    "container": container.plan,
    "python": python.plan,
}
OWN_FILES: Final = frozenset((*command.OWN_FILES, *container.OWN_FILES, *python.OWN_FILES))
"""Names of files that planners put into a job's own folder."""


def plan(spec: JobSpec, paths: JobPaths, config: Config, engine: Engine | None = None) -> Work:
    """What runs a job, with this `engine` for containers. ValueError for a kind that this agent
    does not know, and for a job that its host does not allow."""
    planner = PLANNERS.get(spec.kind)
    if planner is None:
        raise ValueError(f"jobs of the kind {spec.kind} need a newer agent; update this one")
    return planner(spec, paths, config, engine)
