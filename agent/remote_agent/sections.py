"""The sections of the agent's configuration: each key with its bounds and its default. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from remote_agent import backoff
from remote_agent.values import (
    UserRange,
    check_capacity,
    check_cgroup,
    check_engine,
    check_env_pattern,
    check_mounts,
    expand_path,
    loopback_address,
    otlp_url,
    package_index,
    parse_capacity,
    parse_environments,
    parse_labels,
    parse_umask,
    parse_user_range,
    proxy_url,
    split_list,
    statsd_address,
)
from remote_protocol.defaults import empty_list
from remote_protocol.ids import LabelKey, LabelValue, Name
from remote_protocol.limits import MAX_LABELS, MAX_SECRETS_SIZE
from remote_protocol.parts import Capacity, Settings
from remote_protocol.quantities import Duration, Size
from remote_protocol.urls import server_url

ExpandedPath = Annotated[Path, BeforeValidator(expand_path)]
Queues = Annotated[list[Name], BeforeValidator(split_list), Field(min_length=1, max_length=100)]
Labels = Annotated[
    dict[LabelKey, LabelValue], BeforeValidator(parse_labels), Field(max_length=MAX_LABELS)
]
PackageVersions = Annotated[
    dict[Name, Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+!_-]{0,63}$")]],
    BeforeValidator(parse_labels),
    Field(max_length=100),
]
Capacities = Annotated[Capacity, BeforeValidator(parse_capacity), AfterValidator(check_capacity)]


class Part(BaseModel):
    """One section, or all of them: frozen, unknown keys are faults."""

    # Built when `Config` is, as a part of it: each start of the agent waits for that.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ServerPart(Part):
    """`[server]`: where it is and how to reach it. Normally kept in the identity by `register`."""

    url: Annotated[str, AfterValidator(server_url)] | None = None
    ca_file: ExpandedPath | None = None
    proxy: Annotated[str, AfterValidator(proxy_url)] | None = None
    """`http://user:password@host:port`; null: HTTPS_PROXY, HTTP_PROXY and NO_PROXY decide."""
    client_cert: ExpandedPath | None = None
    client_key: ExpandedPath | None = None
    insecure: bool = False
    """Plain HTTP to other hosts is wanted."""
    max_reconnect_wait: Duration = Field(default=backoff.LONGEST, ge=1, le=3600)
    """Seconds between two tries to reach the server, at the most."""


class AgentPart(Part):
    """`[agent]`: what this host offers. What is left out, the server decides."""

    name: Name | None = None
    queues: Queues | None = None
    labels: Labels | None = None
    capacity: Capacities | None = None
    compatible_with: Name | None = None
    """An extension whose variables and names of metrics count here, too, such as `datahub`."""
    on_stop: Literal["leave", "drain", "cancel"] = "leave"
    """What SIGTERM means for running jobs."""
    stop_timeout: Duration | None = None
    """With `drain`: seconds after which jobs that still run then end as lost; null: never."""
    work_dir: ExpandedPath | None = None
    """Where jobs get their work directories; null: below the state directory."""
    durability: Literal["full", "normal"] = "full"

    @property
    def settings(self) -> Settings:
        """What a hello announces."""
        return Settings(queues=self.queues, labels=self.labels, capacity=self.capacity)


class LogsPart(Part):
    """`[logs]`: the local copies of jobs' logs."""

    segment_size: Size = Field(default=10_000_000, ge=64 * 1024)
    segments: int = Field(default=10, ge=1, le=10_000)
    """Newest segments of one attempt that are kept when the server has them."""
    retention: Duration = 7 * 86400.0
    max_total: Size = Field(default=5_000_000_000, ge=1_000_000)


class LimitsPart(Part):
    """`[limits]`: what no job may exceed here."""

    min_free_disk: Size = 1024**3
    """Below it the agent takes no jobs."""
    max_timeout: Duration | None = None
    max_job_log: Size | None = Field(default=None, ge=4096)
    max_artifacts: Size = Field(default=1 << 30, ge=0)
    """Bytes of the artifacts of one job; files beyond are left out, and named."""
    cgroup: Annotated[str, AfterValidator(check_cgroup)] = "auto"
    """`auto` (a delegated cgroup v2 when there is one), `off`, or the path of one."""


class JobsPart(Part):
    """`[jobs]`: whom jobs run as. Without, they run as the agent's user, and can reach it."""

    run_as: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    """Name or number of a user for all jobs."""
    user_range: Annotated[UserRange, BeforeValidator(parse_user_range)] | None = None
    """`FIRST-LAST`, numbers of users that nobody has: one for each running attempt."""
    umask: Annotated[int, BeforeValidator(parse_umask), Field(ge=0, le=0o777)] | None = None
    """Octal; null: the agent's own, as it was started with."""
    no_new_privileges: bool = True
    """Jobs of other users gain no privileges, by sudo or other set-user-id programs."""

    @property
    def separate(self) -> bool:
        """Whether jobs run as other users than the agent."""
        return self.run_as is not None or self.user_range is not None


class SecretsPart(Part):
    """`[secrets]`: what this host gives of the secrets that jobs name, before and after the
    server."""

    env_allow: Annotated[
        list[Annotated[str, AfterValidator(check_env_pattern)]],
        BeforeValidator(split_list),
        Field(max_length=100),
    ] = Field(default_factory=empty_list)
    """Names of variables of the agent that jobs may have; `*` stands for any characters."""
    dir: ExpandedPath | None = None
    """Each file in it is a secret by its name."""
    max_size: Size = Field(default=MAX_SECRETS_SIZE, ge=1, le=MAX_SECRETS_SIZE)
    """The most that a file in `dir` may have; a larger one is refused."""


class ContainersPart(Part):
    """`[containers]`: jobs that run in containers, by the engine of this host."""

    engine: Annotated[str, AfterValidator(check_engine)] = "auto"
    """`auto` (docker or podman when one of them is there), `off`, or the path of one's program."""
    mounts: Annotated[list[str], BeforeValidator(split_list), AfterValidator(check_mounts)] = []
    """Directories of this host that jobs may mount, these and none below them; read only with
    `:ro`."""
    networks: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]],
        BeforeValidator(split_list),
        Field(min_length=1, max_length=100),
    ] = ["default", "none"]
    """Networks that jobs may ask for; the first one is for those that do not."""
    pids: int = Field(default=4096, ge=1, le=1 << 22)
    """Processes and threads of one container at the most."""


class PythonPart(Part):
    """`[python]`: with what Python jobs run, and where their packages come from."""

    interpreter: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    """Program of jobs that name no version; null: `python3` in the PATH of jobs."""
    index_url: Annotated[str, AfterValidator(package_index)] | None = None
    """Index of packages (PEP 503); null: the one that the host's pip or uv is set to."""
    find_links: ExpandedPath | None = None
    """Folder with wheels, which are looked for beside the index."""
    netrc: ExpandedPath | None = None
    """File with the index's credentials (netrc(5)), which the users of jobs can read."""
    environments: Annotated[
        dict[Name, ExpandedPath], BeforeValidator(parse_environments), Field(max_length=100)
    ] = Field(default_factory=dict)
    """Virtual environments of this host that jobs may name: `{airflow = "/opt/airflow"}`."""
    warm: int = Field(default=4, ge=0, le=64)
    """Interpreters that are kept with the modules of jobs imported; 0: none is."""
    warm_memory: Size = Field(default=1 << 30, ge=1 << 20)
    """What one of them may take when its modules are imported; else its jobs start without."""
    offline: bool = False
    """Nothing but prepared environments and `find_links`."""
    cache_max: Size = Field(default=10_000_000_000, ge=1_000_000)
    """What prepared environments may take of the disk; the ones used last stay."""
    versions: PackageVersions = Field(default_factory=dict)
    """Versions of packages, where the kind of a job needs one and the job names no version."""


class ContentsPart(Part):
    """`[contents]`: files and bundles that jobs name by their SHA-256, as this host keeps them."""

    cache_max: Size = Field(default=10_000_000_000, ge=0)
    """What they may take of the disk when no job waits for them; the ones used last stay."""


class RelayPart(Part):
    """`[relay]`: relays of the server that jobs may have requests sent over from this host."""

    allow: Annotated[list[str], BeforeValidator(split_list), Field(max_length=100)] = ["*"]
    """Names of relays, `*` for all; with an empty list jobs that ask for one are refused."""


class LogPart(Part):
    """`[log]`: the agent's own log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"
    send: Literal["debug", "info", "warning", "error", "off"] = "info"
    """The least of it that is sent to the server."""


class TelemetryPart(Part):
    """`[telemetry]`: what shows others how the agent is. Null: nothing does."""

    listen: Annotated[str, AfterValidator(loopback_address)] | None = None
    """`127.0.0.1:9087`: where metrics are served, on this host only."""
    statsd: Annotated[str, AfterValidator(statsd_address)] | None = None
    """`HOST:PORT` of a StatsD that reads labels; metrics are sent there by UDP."""
    otlp: Annotated[str, AfterValidator(otlp_url)] | None = None
    """URL of an OpenTelemetry collector, for example http://127.0.0.1:4318."""
    interval: Duration = Field(default=10.0, ge=1.0)
    """Seconds between two sendings of all metrics."""
    liveness_file: ExpandedPath | None = None
    """Written anew every few seconds while the agent's event loop turns."""
    readiness_file: ExpandedPath | None = None
    """There, and as new, while the agent is connected to its server."""


SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "server": ServerPart,
    "agent": AgentPart,
    "logs": LogsPart,
    "limits": LimitsPart,
    "jobs": JobsPart,
    "secrets": SecretsPart,
    "containers": ContainersPart,
    "python": PythonPart,
    "contents": ContentsPart,
    "relay": RelayPart,
    "log": LogPart,
    "telemetry": TelemetryPart,
}
