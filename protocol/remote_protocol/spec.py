"""What a user asks for: the specification of a job and its policies. Pure.

One model serves the HTTP body, the stored row and the offer to an agent, so that nothing is
translated and nothing can get lost on the way. Limits are part of the type.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from remote_protocol.files import JobFile, check_together
from remote_protocol.ids import Labels, Name
from remote_protocol.limits import (
    MAX_ARGUMENTS,
    MAX_COMMAND_SIZE,
    MAX_ENV,
    MAX_FILES,
    MAX_NAME,
    MAX_REASONS,
    MAX_SCRIPT_SIZE,
)
from remote_protocol.program import (
    check_command,
    check_environment,
    check_fits,
    check_text,
)
from remote_protocol.quantities import Duration, Span
from remote_protocol.states import EndReason
from remote_protocol.units import MAX_SIZE, at_least, plain_size

__all__ = ["DEFAULT_QUEUE", "JobFile", "JobKind", "JobSpec", "OnDisconnect", "OnReturn"]

DEFAULT_QUEUE: Final = "default"
DEFAULT_RETRY_ON: Final = (EndReason.LOST,)
_NO_RETRIES: Final = frozenset(DEFAULT_RETRY_ON)
"""What `retry_on` may hold beside a single attempt: it was not given."""
_LEAST_MEMORY: Final = 1024 * 1024
_LEAST_LOG: Final = 4096
Argument = Annotated[str, StringConstraints(max_length=MAX_COMMAND_SIZE - 1)]


class JobKind(StrEnum):
    """How a job's work is described."""

    COMMAND = "command"


class OnReturn(StrEnum):
    """Which attempt stays when a lost one comes back after its replacement was queued."""

    KEEP_FIRST = "keep_first"
    KEEP_REPLACEMENT = "keep_replacement"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class OnDisconnect(_Part):
    """What happens to a job whose agent falls silent (B09). All durations in seconds."""

    lost_after: Duration = 600.0
    """Server side: the attempt is lost when its agent was silent for so long."""
    stop_after: Span | None = None
    """Agent side, by its boot clock: end the job when the server was away for so long, three
    seconds at the least."""
    on_return: OnReturn = OnReturn.KEEP_REPLACEMENT


class JobSpec(_Part):
    """A job as submitted (`POST /api/v1/jobs`)."""

    queue: Name = DEFAULT_QUEUE
    agent: Name | None = None
    """Only this agent gets the job; it must serve the queue."""
    name: Annotated[str, StringConstraints(max_length=MAX_NAME)] | None = None
    kind: JobKind = JobKind.COMMAND
    command: Annotated[
        list[Argument], Field(max_length=MAX_ARGUMENTS), BeforeValidator(check_command)
    ] = Field(default_factory=list)
    """Program and arguments; no shell is involved unless `shell` is set."""
    shell: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """Interpreter for `script`, or for `command` joined by spaces as ssh does."""
    script: Annotated[str, StringConstraints(max_length=MAX_SCRIPT_SIZE)] | None = None
    args: Annotated[
        list[Argument], Field(max_length=MAX_ARGUMENTS), BeforeValidator(check_command)
    ] = Field(default_factory=list)
    """Arguments of `script`."""
    stdin: bool = False
    """Whether it has an input: bytes that are sent after it was submitted
    (`PATCH /api/v1/jobs/{id}/input`). Without, its standard input is empty."""
    merge_output: bool = False
    """One pipe for standard output and standard error: their order is exactly as the job wrote,
    and all of it is recorded as standard output."""
    env: Annotated[
        dict[Annotated[str, StringConstraints(max_length=MAX_NAME)], Argument],
        Field(max_length=MAX_ENV),
        BeforeValidator(check_environment),
    ] = Field(default_factory=dict)
    secrets: list[Name] = Field(default_factory=list, max_length=64)
    files: list[JobFile] = Field(default_factory=list, max_length=MAX_FILES)
    cwd: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """Working directory on the agent's host; default is the attempt's own work directory."""
    timeout: Span | None = None
    """Seconds from the start of the process; then interrupt, grace period, kill."""
    grace_period: Duration = 10.0
    """Seconds between the polite signal and the forced kill."""
    stop_signal: Literal["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] = "SIGTERM"
    memory_limit: (
        Annotated[
            int, Field(ge=_LEAST_MEMORY, le=MAX_SIZE), BeforeValidator(at_least(_LEAST_MEMORY))
        ]
        | None
    ) = None
    """Resident memory of the whole process tree, in bytes."""
    weight: float | None = Field(default=None, gt=0, le=1)
    """Share of the agent's capacity; default 1 / capacity; 1.0 runs alone."""
    cpu_weight: int | None = Field(default=None, ge=1, le=10_000)
    """As cgroup v2 `cpu.weight` (default there 100); turned into nice where no cgroup is had."""
    io_weight: int | None = Field(default=None, ge=1, le=10_000)
    priority: int = Field(default=0, ge=-1000, le=1000)
    """Higher goes first; within one priority, the older one."""
    labels: Labels = Field(default_factory=dict)
    """Labels that the agent must have."""
    max_attempts: int = Field(default=1, ge=1, le=100)
    retry_on: list[EndReason] = Field(
        default_factory=lambda: list(DEFAULT_RETRY_ON), max_length=MAX_REASONS
    )
    """End reasons after which another attempt is made while `max_attempts` allows."""
    retry_backoff: Duration = 1.0
    """Seconds before the second attempt; doubled for each further one, at most ten minutes."""
    expires_in: Span | None = None
    """Seconds that the job may wait before it starts; then it ends as `expired`."""
    on_disconnect: OnDisconnect = OnDisconnect()
    keep_processes: bool = False
    """Leave background processes of the job alive when its main process exits."""
    max_log: (
        Annotated[int, Field(ge=_LEAST_LOG, le=MAX_SIZE), BeforeValidator(at_least(_LEAST_LOG))]
        | None
    ) = None
    """Cap of the log in bytes of the job's output: head and tail are kept beyond it."""
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None

    @field_validator("kind", mode="before")
    @classmethod
    def _known_kind(cls, kind: object) -> object:
        if kind in ("python", "container"):
            raise ValueError(f"jobs of kind {kind!r} are not supported by this version")
        return kind

    @field_validator("secrets")
    @classmethod
    def _no_secrets_yet(cls, secrets: list[str]) -> list[str]:
        if secrets:
            # Running without them would be worse than not running.
            raise ValueError("secrets are not supported by this version")
        return secrets

    @field_validator("shell", "script", "cwd", mode="before")
    @classmethod
    def _text(cls, text: object) -> object:
        if isinstance(text, str):
            check_text(text, "it")
        return text

    @field_validator("files")
    @classmethod
    def _files(cls, files: list[JobFile]) -> list[JobFile]:
        check_together(files)
        return files

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        if self.script is not None and self.command:
            raise ValueError("give a command or a script, not both")
        if self.script is not None and self.shell is None:
            raise ValueError("a script needs a shell, for example bash")
        if self.args and self.script is None:
            raise ValueError("args are those of a script; those of a command follow it there")
        if self.script is None and not (self.command and self.command[0]):
            raise ValueError("give a command, for example ['echo', 'hi'], or a shell and a script")
        if self.max_attempts == 1 and not _NO_RETRIES.issuperset(self.retry_on):
            raise ValueError("retry_on does nothing with max_attempts 1; give max_attempts above 1")
        # A shell's words are joined in a file, and not given as arguments.
        check_fits(self.args if self.shell else self.command, self.env)
        if self.shell and sum(map(len, self.command)) + len(self.command) > MAX_SCRIPT_SIZE:
            raise ValueError(f"the shell's text is longer than {plain_size(MAX_SCRIPT_SIZE)}")
        return self

    @property
    def script_text(self) -> str | None:
        """What the shell has to run; None when the command is executed directly."""
        if self.shell is None:
            return None
        return self.script if self.script is not None else " ".join(self.command)
