"""The container engine of this host, as planners and shims use it: by its command line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from remote_agent.sections import ContainersPart

PASSED: Final = ("PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR")
"""What the engine's client has of the agent's environment, beside its own (`OWN`)."""
OWN: Final = ("DOCKER_", "CONTAINER_", "CONTAINERS_")
"""What names of variables begin with by which an engine's client is told where its engine is."""
INSTALLATION: Final = "remote.installation"
ATTEMPT: Final = "remote.attempt"
"""Labels of every container that a job has."""


class Engine(NamedTuple):
    """An engine that runs containers for jobs."""

    program: str
    """Path of its client."""
    environ: Mapping[str, str]
    """The client's whole environment."""
    installation: str
    """This installation of the agent: its containers carry it."""
    policy: ContainersPart
    separate: bool = False
    """Whether jobs run as other users than the agent."""


def client_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What an engine's client has of the agent's environment."""
    return {
        name: value for name, value in environ.items() if name in PASSED or name.startswith(OWN)
    }


def container_name(key: str) -> str:
    """The name of an attempt's container, which no other one ever has."""
    return f"remote-{key.replace('.', '-')}"


def key_of(name: str) -> str:
    """The attempt whose container has this name, or gives its files back; else no attempt's key."""
    job, _, number = name.removeprefix("remote-").removesuffix("-files").rpartition("-")
    return f"{job}.{number}"
