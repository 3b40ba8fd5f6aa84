"""Jobs of the kind `container`: a command in a container of an image. Pure."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from remote_protocol.defaults import empty_list
from remote_protocol.limits import MAX_ARGUMENTS
from remote_protocol.program import check_command, check_fits
from remote_protocol.spec.job import Argument, JobSpec

MAX_MOUNTS: Final = 32
HOST_NETWORK: Final = "host"
"""The name by which engines give a container the network of their host."""
_PATH: Final = r"^/[^\x00-\x1f\x7f]*$"
_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
# Nothing of these begins like an option of the engine's command line.
Image = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$", max_length=512)
]
"""As the engine names it: `debian:12`, `registry.example.com/team/app@sha256:…`."""
ContainerUser = Annotated[str, StringConstraints(pattern=f"^{_NAME}(:{_NAME})?$", max_length=256)]
Network = Annotated[str, StringConstraints(pattern=f"^{_NAME}$", max_length=256)]
Place = Annotated[str, StringConstraints(pattern=_PATH, max_length=4096)]


class Mount(BaseModel):
    """A directory of the agent's host that the container sees."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    source: Place
    """One that `[containers] mounts` of the agent lists."""
    target: Place
    """Where it is in the container."""
    read_only: bool = False


class ContainerSpec(JobSpec, kind="container"):
    """A job that runs in a container of its own, which is removed at its end."""

    kind: Literal["container"] = "container"
    image: Image
    command: Annotated[
        list[Argument], Field(max_length=MAX_ARGUMENTS), BeforeValidator(check_command)
    ] = Field(default_factory=empty_list)
    """Arguments of the entry point, or the program where there is none; empty: as the image has
    it."""
    entrypoint: (
        Annotated[Argument, BeforeValidator(lambda text: check_command([text])[0])] | None
    ) = None
    """A program in place of the image's entry point."""
    pull: Literal["missing", "always", "never"] = "missing"
    """When the image is fetched from its registry."""
    mounts: list[Mount] = Field(default_factory=empty_list, max_length=MAX_MOUNTS)
    """Besides the job's own directories, which are always there, under the paths that they have
    on the host."""
    user: ContainerUser | None = None
    """`NAME`, `UID` or `UID:GID` in the container; default: the image's own."""
    network: Network | None = None
    """One that `[containers] networks` of the agent lists; default: the first of them."""
    init: bool = False
    """Run a small init as process 1, which forwards signals and reaps what is left."""

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        if self.keep_processes:
            raise ValueError("keep_processes does not go with a container: it is removed whole")
        if self.relay is not None and self.network != HOST_NETWORK:
            raise ValueError(
                "relay does not go with a container that has a network of its own: the relay is at "
                "the loopback address of the agent's host; say network: host too, which "
                "[containers] networks of the agent has to list"
            )
        check_fits([*self.command, self.entrypoint or ""], self.env)
        return self
