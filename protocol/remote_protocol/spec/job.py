"""What all kinds of jobs have in common: where they run, within which limits, how they are retried.
Pure.

A kind is a subclass, in a module of its own: `class CommandSpec(JobSpec, kind="command")`. Whoever
validates a `JobSpec` gets an instance of the subclass that the field `kind` names.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, to_json

from remote_protocol.contents import ContentRef
from remote_protocol.defaults import empty_list
from remote_protocol.files import JobFile, check_together
from remote_protocol.ids import WITHOUT_NUL, IdempotencyKey, Labels, Name, without_nul
from remote_protocol.limits import (
    MAX_COMMAND_SIZE,
    MAX_ENV,
    MAX_FILES,
    MAX_NAME,
    MAX_PRIVATE_INPUT,
    MAX_REASONS,
)
from remote_protocol.program import check_environment, check_text
from remote_protocol.quantities import Duration, Span
from remote_protocol.secret_names import SecretNames, check_secrets
from remote_protocol.spec.kinds import DEFAULT_KIND, by_kind
from remote_protocol.states import EndReason
from remote_protocol.trace import TraceParent
from remote_protocol.units import MAX_SIZE, at_least, plain_size

DEFAULT_QUEUE: Final = "default"
"""The default queue of a new server; an admin may choose another one."""
DEFAULT_RETRY_ON: Final = (EndReason.LOST,)
_NO_RETRIES: Final = frozenset(DEFAULT_RETRY_ON)
"""What `retry_on` may hold beside a single attempt: it was not given."""
_LEAST_MEMORY: Final = 1024 * 1024
_LEAST_LOG: Final = 4096
Argument = Annotated[str, StringConstraints(max_length=MAX_COMMAND_SIZE - 1)]


def _check_private(given: object) -> object:
    if isinstance(given, str) and len(given.encode()) > MAX_PRIVATE_INPUT:
        raise ValueError(
            f"is longer than {plain_size(MAX_PRIVATE_INPUT)}; send what is larger as the job's "
            "input (stdin)"
        )
    if isinstance(given, str):
        return without_nul(given, "a private input")
    if not isinstance(given, bool):
        raise ValueError("is no text")
    return given


def _without_default(schema: dict[str, Any]) -> None:
    """A client that fills in defaults would name a queue that its user did not name."""
    schema.pop("default", None)


class OnReturn(StrEnum):
    """Which attempt stays when a lost one comes back after its replacement was queued."""

    KEEP_FIRST = "keep_first"
    KEEP_REPLACEMENT = "keep_replacement"


class _Part(BaseModel):  # noqa: PLW1641 - pydantic makes `__hash__`
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def __eq__(self, other: object) -> bool:
        # Each job that is written is compared with the defaults of its fields, which most have.
        return self is other or super().__eq__(other)


class OnDisconnect(_Part):
    """What happens to a job whose agent falls silent. All durations in seconds."""

    lost_after: Duration = 600.0
    """Server side: the attempt is lost when its agent was silent for so long."""
    stop_after: Span | None = None
    """Agent side, by its boot clock: end the job when the server was away for so long, three
    seconds at the least."""
    on_return: OnReturn = OnReturn.KEEP_REPLACEMENT


class JobSpec(_Part):
    """A job as submitted (`POST /api/v1/jobs`), of any kind. Only its subclasses are made."""

    kinds: ClassVar[dict[str, type[BaseModel]]] = {}
    """The registry: every kind and its model; that of an extension once it was met."""

    queue: Annotated[Name, Field(json_schema_extra=_without_default)] = DEFAULT_QUEUE
    """Where it waits. A submission that leaves it out gets the server's default queue."""
    agent: Name | None = None
    """Only this agent gets the job; it must serve the queue."""
    name: Annotated[str, StringConstraints(max_length=MAX_NAME), WITHOUT_NUL] | None = None
    kind: str = DEFAULT_KIND
    """How its work is described; the rest of its fields depend on it."""
    stdin: bool = False
    """Whether it has an input: bytes that are sent after it was submitted
    (`PATCH /api/v1/jobs/{id}/input`). Without, its standard input is empty."""
    private_input: Annotated[
        bool | Annotated[str, StringConstraints(max_length=MAX_PRIVATE_INPUT)],
        Field(repr=False),
        BeforeValidator(_check_private),
    ] = False
    """Text that the job finds on its standard input, as a password: given with the submission, kept
    encrypted until the job has ended, and never shown. Wherever the job is shown it is `true`."""
    merge_output: bool = False
    """One pipe for standard output and standard error: their order is exactly as the job wrote,
    and all of it is recorded as standard output."""
    env: Annotated[
        dict[Annotated[str, StringConstraints(max_length=MAX_NAME)], Argument],
        Field(max_length=MAX_ENV),
        BeforeValidator(check_environment),
    ] = Field(default_factory=dict)
    secrets: SecretNames = Field(default_factory=empty_list)
    """Names of secrets, each a variable of the job's environment. The values come from the agent's
    host or from the server when it starts, and are in no specification."""
    secret_files: SecretNames = Field(default_factory=empty_list)
    """Those of `secrets` that come as a file in memory, for the job's user only: `NAME_FILE`
    has its path, and there is no variable `NAME`."""
    relay: Name | None = None
    """A relay of the server (`[relay.NAME]`): the job finds the address of a program that only the
    server reaches in REMOTE_RELAY_URL, which variables of `env` can use as `${REMOTE_RELAY_URL}`.
    """
    mask: bool = False
    """Whether the job can add values that are masked at run time, by the file that REMOTE_MASK
    names; jobs with secrets can anyway."""
    files: list[JobFile] = Field(default_factory=empty_list, max_length=MAX_FILES)
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
    annotations: Labels = Field(default_factory=dict)
    """What others know of the job, to find it by; neither server nor agent makes anything of it."""
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
    traceparent: TraceParent | None = None
    """The trace and span that the job continues (W3C Trace Context); it begins one of its own
    without."""
    idempotency_key: IdempotencyKey | None = None

    @field_validator("cwd", mode="before")
    @classmethod
    def _directory(cls, text: object) -> object:
        if isinstance(text, str):
            check_text(text, "it")
        return text

    @field_validator("files")
    @classmethod
    def _files(cls, files: list[JobFile]) -> list[JobFile]:
        check_together(files)
        return files

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        # One for all of it: every job that is read pays for each.
        if self.max_attempts == 1 and not _NO_RETRIES.issuperset(self.retry_on):
            raise ValueError("retry_on does nothing with max_attempts 1; give max_attempts above 1")
        if self.secrets or self.secret_files:
            check_secrets(self.secrets, self.secret_files, self.env)
        if self.stdin and self.private_input is not False:
            raise ValueError(
                "a job has one input: give private_input with its submission, or send it (stdin)"
            )
        return self

    @property
    def has_input(self) -> bool:
        """Whether it was given something on its standard input, which nobody can read back."""
        return self.stdin or self.private_input is not False

    @property
    def names_queue(self) -> bool:
        """Whether its submitter said where it waits. Only of a job that is being submitted: what is
        stored leaves out the queue `default`."""
        return "queue" in self.model_fields_set

    @property
    def contents(self) -> list[ContentRef]:
        """The contents that it names, each once, in the order in which agents ask for them by
        number."""
        if not self.files:
            return []
        found = [file.stored for file in self.files]
        return list(dict.fromkeys(ref for ref in found if ref is not None))

    @property
    def short_json(self) -> str:
        """JSON without the fields that have their defaults; the same job when it is validated."""
        # As model_dump_json does, without its frame of Python and its eighteen arguments.
        text = self.__pydantic_serializer__.to_json(self, exclude_defaults=True).decode()
        if self.kind == DEFAULT_KIND:
            return text
        return f'{{"kind":"{self.kind}"{"," if len(text) > 2 else ""}{text[1:]}'

    @property
    def given_json(self) -> bytes:
        """JSON of the fields that were given; the same job when it is validated.

        For who writes each job down: pydantic looks at every field to leave out what is unset. So
        no field here has a serializer of its own; parts may."""
        values = self.__dict__
        given = {name: values[name] for name in self.__pydantic_fields_set__}
        return to_json({**given, "kind": self.kind})

    @property
    def submission(self) -> str:
        """JSON to submit it with: the short one, and the queue if it names one."""
        if not self.names_queue or self.queue != DEFAULT_QUEUE:
            return self.short_json
        text = self.short_json[1:]
        return f'{{"queue":"{DEFAULT_QUEUE}"{"" if text == "}" else ","}{text}'

    def __init_subclass__(cls, kind: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if kind is not None:
            JobSpec.kinds[kind] = cls

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return by_kind(cls, cls.kinds) if cls is JobSpec else handler(source)
