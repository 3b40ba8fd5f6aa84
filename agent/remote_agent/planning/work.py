"""What the planner of a kind makes of a job: what its shim runs, and the files it needs. Pure.

What every job has (limits, environment, user, streams) is the start order's, whatever the kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from remote_agent.config import Config
from remote_agent.planning.engine import Engine
from remote_agent.planning.paths import JobPaths
from remote_protocol.contents import ContentRef
from remote_protocol.files import JobFile


class NotAllowed(ValueError):
    """The owner of this host does not allow what a job wants, or the host lacks what it needs; the
    text is a sentence. Another agent may run it."""


class WorkFile(NamedTuple):
    """A file that is written before the job can start."""

    path: str
    """Below the work directory, or below the job's own folder if `own`."""
    data: bytes
    """Nothing for a content."""
    mode: int
    own: bool = False
    """It is the agent's choice, in the job's own folder; else the user's, and may be at fault."""
    content: ContentRef | None = None
    """It is this content, which is put there when it has come."""


def work_file(file: JobFile) -> WorkFile:
    """A file that a job brings."""
    return WorkFile(file.path, file.data, file.mode, content=file.stored)


class Interpreter(NamedTuple):
    """A Python that has imported modules, and forks the jobs that want just these."""

    name: str
    """The same for all jobs that it may fork; names its socket."""
    python: str
    """The program, as the job's command names it."""
    modules: tuple[str, ...]
    variables: dict[str, str]
    """What the modules find in their environment beyond what this host's jobs inherit."""
    venv: str | None
    settings: dict[str, Any] | None = None
    """Those of the program `environment`, by which it enters the one that a job has prepared."""


class Work(NamedTuple):
    """What a shim has to run."""

    argv: list[str]
    files: tuple[WorkFile, ...] = ()
    workload: str = "process"
    """What runs it in the shim (`shim.workload`)."""
    options: dict[str, Any] = {}  # noqa: RUF012 - a field of a tuple, never changed
    """What only that workload understands."""
    payload: bytes = b""
    """What the job finds on its standard input first."""
    payload_secrets: tuple[str, ...] = ()
    """Secrets of the specification that are no variables: the payload begins with a line of JSON
    that has them."""
    secrets: tuple[str, ...] = ()
    """Variables whose values are handed to the shim, and never lie on a disk."""
    filter: str | None = None
    """What the output passes before it is kept (`shim.filters`)."""
    inherits: bool = True
    """Whether the job has the environment that all programs of this host have."""
    venv: str | None = None
    """Folder of the virtual environment that the job is in."""
    interpreter: Interpreter | None = None
    """What may fork it, warm; None: nothing does."""


Planner = Callable[[Any, JobPaths, Config, Engine | None], Work]
"""Plans a job of one kind, from its own specification, with its files at these paths, with the
agent's configuration, and the engine of this host's containers if there is one. NotAllowed when it
cannot run here."""
