"""The kinds of jobs that this agent can run: the one place where a kind is registered.

A new kind is a module with `plan` and `OWN_FILES`, as `command` is, and a line here. An extension
(`remote_protocol.extensions`) has a module with `plan`, which may also use the files of Python jobs
and `EXTENSION_FILE`; it is loaded with the first job of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from remote_agent.config import Config
from remote_agent.planning import command, container, python
from remote_agent.planning.engine import Engine
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import NotAllowed, Planner, Work
from remote_protocol import extensions
from remote_protocol.limits import MAX_KINDS
from remote_protocol.spec import JobSpec

PLANNERS: Final[Mapping[str, Planner]] = {
    "command": command.plan,
    "container": container.plan,
    "python": python.plan,
}
EXTENSION_FILE: Final = "extension.py"
"""The program that a job of an extension's kind may have in its own folder."""
OWN_FILES: Final = frozenset(
    (*command.OWN_FILES, *container.OWN_FILES, *python.OWN_FILES, EXTENSION_FILE)
)
"""Names of files that planners put into a job's own folder."""


def special(engine: Engine | None) -> list[str]:
    """The kinds that this agent runs and others may not, with this `engine` for containers."""
    # Listed, not loaded: an agent starts no later for what it may never be asked for.
    extra = sorted(extensions.names())
    return [*([] if engine is None else ["container"]), *extra][:MAX_KINDS]


def plan(spec: JobSpec, paths: JobPaths, config: Config, engine: Engine | None = None) -> Work:
    """What runs a job, with this `engine` for containers. ValueError for a kind that this agent
    does not know, and for a job that its host does not allow."""
    if spec.relay is not None and not {"*", spec.relay}.intersection(config.relay.allow):
        raise NotAllowed(
            f"this agent does not let jobs use the relay {spec.relay!r} ([relay] allow of its "
            "configuration)"
        )
    planner = PLANNERS.get(spec.kind) or _of_extension(spec.kind)
    return planner(spec, paths, config, engine)


def _of_extension(kind: str) -> Planner:
    try:
        extension = extensions.find(kind)
        if extension is not None and extension.planner is not None:
            planner: Planner = extensions.part(kind, extension.planner).plan
            return planner
    except extensions.BrokenExtension as error:
        raise NotAllowed(str(error)) from error
    raise ValueError(f"jobs of the kind {kind} need a newer agent; update this one")
