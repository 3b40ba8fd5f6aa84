"""What a user asks for: the specification of a job and its policies. Pure.

One model serves the HTTP body, the stored row and the offer to an agent, so that nothing is
translated and nothing can get lost on the way. Limits are part of the type.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from remote_protocol.ids import LabelKey, LabelValue, Name
from remote_protocol.limits import (
    MAX_ARGUMENTS,
    MAX_COMMAND_SIZE,
    MAX_ENV_SIZE,
    MAX_FILES,
    MAX_FILES_SIZE,
    MAX_LABELS,
    MAX_NAME,
    MAX_SCRIPT_SIZE,
)
from remote_protocol.states import EndReason
from remote_protocol.units import Duration, Size

DEFAULT_QUEUE: Final = "default"
DEFAULT_RETRY_ON: Final = (EndReason.LOST,)
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_RESERVED_ENV: Final = re.compile(r"REMOTE_(JOB_ID|ATTEMPT|QUEUE|AGENT|WORK_DIR|OUTPUTS|ARTIFACTS)")


class JobKind(StrEnum):
    """How a job's work is described."""

    COMMAND = "command"


class OnReturn(StrEnum):
    """Which attempt stays when a lost one comes back after its replacement was queued."""

    KEEP_FIRST = "keep_first"
    KEEP_REPLACEMENT = "keep_replacement"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OnDisconnect(_Part):
    """What happens to a job whose agent falls silent (B09). All durations in seconds."""

    lost_after: Duration = 600.0
    """Server side: the attempt is lost when its agent was silent for so long."""
    stop_after: Duration | None = None
    """Agent side, by its boot clock: end the job when the server was away for so long, three
    seconds at the least."""
    on_return: OnReturn = OnReturn.KEEP_REPLACEMENT


class JobFile(_Part):
    """A small file that is put into the work directory before the job starts."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """Relative to the work directory; it cannot leave it."""
    content: str
    """Base64 (RFC 4648 §4) of the bytes."""
    mode: int = Field(default=0o600, ge=0o400, le=0o777)

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        parts = path.replace("\\", "/").split("/")
        if path[0] in "/\\" or ".." in parts or ":" in parts[0] or "\0" in path:
            raise ValueError("a file's path is relative and stays inside the work directory")
        return path

    @field_validator("content")
    @classmethod
    def _base64(cls, content: str) -> str:
        try:
            b64decode(content, validate=True)
        except (Base64Error, ValueError) as error:
            raise ValueError("a file's content is not valid base64") from error
        return content

    @property
    def data(self) -> bytes:
        """The decoded bytes."""
        return b64decode(self.content)


class JobSpec(_Part):
    """A job as submitted (`POST /api/v1/jobs`)."""

    queue: Name = DEFAULT_QUEUE
    name: Annotated[str, StringConstraints(max_length=MAX_NAME)] | None = None
    kind: JobKind = JobKind.COMMAND
    command: list[str] = Field(default_factory=list, max_length=MAX_ARGUMENTS)
    """Program and arguments; no shell is involved unless `shell` is set."""
    shell: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """Interpreter for `script`, or for `command` joined by spaces as ssh does."""
    script: Annotated[str, StringConstraints(max_length=MAX_SCRIPT_SIZE)] | None = None
    env: dict[str, str] = Field(default_factory=dict)
    secrets: list[Name] = Field(default_factory=list, max_length=64)
    files: list[JobFile] = Field(default_factory=list, max_length=MAX_FILES)
    cwd: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """Working directory on the agent's host; default is the attempt's own work directory."""
    timeout: Duration | None = None
    """Seconds from the start of the process; then interrupt, grace period, kill."""
    grace_period: Duration = 10.0
    """Seconds between the polite signal and the forced kill."""
    stop_signal: Literal["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] = "SIGTERM"
    memory_limit: Size | None = Field(default=None, ge=1024 * 1024)
    """Resident memory of the whole process tree, in bytes."""
    weight: float | None = Field(default=None, gt=0, le=1)
    """Share of the agent's capacity; default 1 / capacity; 1.0 runs alone."""
    cpu_weight: int | None = Field(default=None, ge=1, le=10_000)
    """As cgroup v2 `cpu.weight` (default there 100); turned into nice where no cgroup is had."""
    io_weight: int | None = Field(default=None, ge=1, le=10_000)
    priority: int = Field(default=0, ge=-1000, le=1000)
    """Higher goes first; within one priority, the older one."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=MAX_LABELS)
    """Labels that the agent must have."""
    max_attempts: int = Field(default=1, ge=1, le=100)
    retry_on: list[EndReason] = Field(default_factory=lambda: list(DEFAULT_RETRY_ON))
    """End reasons after which another attempt is made while `max_attempts` allows."""
    retry_backoff: Duration = 1.0
    """Seconds before the second attempt; doubled for each further one, at most ten minutes."""
    expires_in: Duration | None = None
    """Seconds that the job may wait before it starts; then it ends as `expired`."""
    on_disconnect: OnDisconnect = OnDisconnect()
    keep_processes: bool = False
    """Leave background processes of the job alive when its main process exits."""
    max_log: Size | None = Field(default=None, ge=4096)
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

    @field_validator("command")
    @classmethod
    def _arguments(cls, command: list[str]) -> list[str]:
        if any("\0" in argument for argument in command):
            raise ValueError("an argument cannot contain a NUL character")
        if any(len(argument.encode()) >= MAX_COMMAND_SIZE for argument in command):
            raise ValueError(f"an argument is longer than {MAX_COMMAND_SIZE} bytes; use a file")
        return command

    @field_validator("env")
    @classmethod
    def _environment(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not _ENV_NAME.fullmatch(name) or "\0" in value:
                raise ValueError(f"{name!r} is not a usable environment variable")
            if _RESERVED_ENV.fullmatch(name):
                raise ValueError(f"{name} is set by the agent and cannot be given")
        if sum(len(name) + len(value.encode()) for name, value in env.items()) > MAX_ENV_SIZE:
            raise ValueError(f"the environment is larger than {MAX_ENV_SIZE} bytes")
        return env

    @field_validator("files")
    @classmethod
    def _files(cls, files: list[JobFile]) -> list[JobFile]:
        if sum(len(file.content) * 3 // 4 for file in files) > MAX_FILES_SIZE:
            raise ValueError(f"the files are larger than {MAX_FILES_SIZE} bytes together")
        return files

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        if self.script is not None and self.command:
            raise ValueError("give a command or a script, not both")
        if self.script is not None and self.shell is None:
            raise ValueError("a script needs a shell, for example bash")
        if self.script is None and not (self.command and self.command[0]):
            raise ValueError("give a command, for example ['echo', 'hi'], or a shell and a script")
        return self

    @property
    def script_text(self) -> str | None:
        """What the shell has to run; None when the command is executed directly."""
        if self.shell is None:
            return None
        return self.script if self.script is not None else " ".join(self.command)
