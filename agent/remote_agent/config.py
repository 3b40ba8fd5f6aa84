"""The agent's configuration: TOML file, environment, flags; parsed once, frozen, one slice a room.

Every key has a variable, `REMOTE_AGENT_<SECTION>_<KEY>`, and the common ones have a short form
too (`REMOTE_AGENT_SERVER`, `REMOTE_AGENT_NAME` …). May read the configuration file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from remote_agent import backoff
from remote_agent.errors import ConfigError
from remote_agent.values import (
    UserRange,
    check_capacity,
    check_cgroup,
    expand_path,
    parse_capacity,
    parse_labels,
    parse_umask,
    parse_user_range,
    proxy_url,
    split_list,
)
from remote_protocol.configuration import Layers
from remote_protocol.ids import LabelKey, LabelValue, Name
from remote_protocol.limits import MAX_LABELS
from remote_protocol.messages import Capacity, Settings
from remote_protocol.quantities import Duration, Size
from remote_protocol.urls import server_url

ENV_PREFIX: Final = "REMOTE_AGENT_"
_SHORT: Final = {
    ("server", "url"): ("REMOTE_AGENT_SERVER", "REMOTE_AGENT_URL"),
    ("server", "proxy"): ("REMOTE_AGENT_PROXY",),
    ("server", "ca_file"): ("REMOTE_AGENT_CA_FILE",),
    ("server", "insecure"): ("REMOTE_AGENT_INSECURE", "REMOTE_INSECURE"),
    ("server", "client_cert"): ("REMOTE_AGENT_CLIENT_CERT",),
    ("server", "client_key"): ("REMOTE_AGENT_CLIENT_KEY",),
    ("agent", "name"): ("REMOTE_AGENT_NAME",),
    ("agent", "queues"): ("REMOTE_AGENT_QUEUES", "REMOTE_AGENT_QUEUE"),
    ("agent", "labels"): ("REMOTE_AGENT_LABELS", "REMOTE_AGENT_LABEL"),
    ("agent", "capacity"): ("REMOTE_AGENT_CAPACITY",),
    ("agent", "on_stop"): ("REMOTE_AGENT_ON_STOP",),
    ("agent", "work_dir"): ("REMOTE_AGENT_WORK_DIR",),
    ("agent", "durability"): ("REMOTE_AGENT_DURABILITY",),
}
FLAGS: Final = {
    ("server", "url"): "--server",
    ("server", "proxy"): "--proxy",
    ("server", "ca_file"): "--ca-file",
    ("server", "insecure"): "--insecure",
    ("agent", "name"): "--name",
    ("agent", "queues"): "--queue",
    ("agent", "labels"): "--label",
    ("agent", "capacity"): "--capacity",
}
"""The keys that have a flag."""
_CALL: Final = (
    *("CONFIG", "STATE_DIR", "PROGRAM_DIR", "TOKEN", "TOKEN_FILE", "REPLACE", "EPHEMERAL"),
    *("ONCE", "OUTPUT", "COMMENT", "DEADLINE", "FOLLOW", "FORCE", "IDLE"),
    *("USER", "PROFILE", "NO_START", "NOW"),
)
CALL_VARIABLES: Final = frozenset(ENV_PREFIX + name for name in _CALL)
"""Variables that belong to the call, not to the configuration."""
_LATER: Final = ("policy", "secrets", "telemetry")
_SERVICE_LINK: Final = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_UDP")
"""Kubernetes puts such variables into every container beside a service of a like name."""


ExpandedPath = Annotated[Path, BeforeValidator(expand_path)]
Queues = Annotated[list[Name], BeforeValidator(split_list), Field(min_length=1, max_length=100)]
Labels = Annotated[
    dict[LabelKey, LabelValue], BeforeValidator(parse_labels), Field(max_length=MAX_LABELS)
]
Capacities = Annotated[Capacity, BeforeValidator(parse_capacity), AfterValidator(check_capacity)]


class _Part(BaseModel):
    # Built when `Config` is, as a part of it: each start of the agent waits for that.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ServerPart(_Part):
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


class AgentPart(_Part):
    """`[agent]`: what this host offers. What is left out, the server decides."""

    name: Name | None = None
    queues: Queues | None = None
    labels: Labels | None = None
    capacity: Capacities | None = None
    on_stop: Literal["leave", "drain", "cancel"] = "leave"
    """What SIGTERM means for running jobs."""
    work_dir: ExpandedPath | None = None
    """Where jobs get their work directories; null: below the state directory."""
    durability: Literal["full", "normal"] = "full"

    @property
    def settings(self) -> Settings:
        """What a hello announces."""
        return Settings(queues=self.queues, labels=self.labels, capacity=self.capacity)


class LogsPart(_Part):
    """`[logs]`: the local copies of jobs' logs."""

    segment_size: Size = Field(default=10_000_000, ge=64 * 1024)
    segments: int = Field(default=10, ge=1, le=10_000)
    """Newest segments of one attempt that are kept when the server has them."""
    retention: Duration = 7 * 86400.0
    max_total: Size = Field(default=5_000_000_000, ge=1_000_000)


class LimitsPart(_Part):
    """`[limits]`: what no job may exceed here."""

    min_free_disk: Size = 1024**3
    """Below it the agent takes no jobs."""
    max_timeout: Duration | None = None
    max_job_log: Size | None = Field(default=None, ge=4096)
    cgroup: Annotated[str, AfterValidator(check_cgroup)] = "auto"
    """`auto` (a delegated cgroup v2 when there is one), `off`, or the path of one."""


class JobsPart(_Part):
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


class LogPart(_Part):
    """`[log]`: the agent's own log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"


class Config(_Part):
    """All of it."""

    server: ServerPart = Field(default_factory=ServerPart)
    agent: AgentPart = Field(default_factory=AgentPart)
    logs: LogsPart = Field(default_factory=LogsPart)
    limits: LimitsPart = Field(default_factory=LimitsPart)
    jobs: JobsPart = Field(default_factory=JobsPart)
    log: LogPart = Field(default_factory=LogPart)
    state_dir: Path
    """Identity, attempts, spools, own log. Given by flag or environment, never by the file."""


SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "server": ServerPart,
    "agent": AgentPart,
    "logs": LogsPart,
    "limits": LimitsPart,
    "jobs": JobsPart,
    "log": LogPart,
}


def default_state_dir() -> Path:
    """`/var/lib/remote-agent` for root, else the user's data directory of the platform."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/remote-agent")
    from platformdirs import user_data_path

    return user_data_path("remote-agent", appauthor=False)


def default_file() -> Path:
    """`/etc/remote-agent/agent.toml` for root, and for the service (systemd.exec(5):
    ConfigurationDirectory=), else in the user's configuration directory."""
    if folder := os.environ.get("CONFIGURATION_DIRECTORY"):
        return Path(folder.partition(":")[0]) / "agent.toml"
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/etc/remote-agent/agent.toml")
    from platformdirs import user_config_path

    return user_config_path("remote-agent", appauthor=False) / "agent.toml"


def env_names(section: str, key: str) -> tuple[str, ...]:
    """The variables that set one key; the first one that is set wins."""
    long = f"{ENV_PREFIX}{section}_{key}".upper()
    return (*(name for name in _SHORT.get((section, key), ()) if name != long), long)


def load(
    file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[tuple[str, str], object] | None = None,
    state_dir: Path | None = None,
) -> tuple[Config, dict[tuple[str, ...], str]]:
    """The effective configuration and the origin of each value that is no default.

    `file` None means the default file, if it exists. ConfigError names every fault at once.
    """
    layers = Layers(SECTIONS)
    text, name = _text(file)
    layers.read(text, name)
    for section, part in SECTIONS.items():
        for key in part.model_fields:
            for variable in env_names(section, key):
                if environ.get(variable):
                    layers.set(section, key, environ[variable], variable)
                    break
    for (section, key), value in (flags or {}).items():
        if value is not None:
            layers.set(section, key, value, FLAGS[section, key])
    for fault in _misspelt(environ):
        layers.faults.append(fault)
    for section in _LATER:
        if layers.values.pop(section, None) is not None:
            layers.fault((section,), "is not supported by this version; remove the section")
    directory = state_dir or Path(environ.get(f"{ENV_PREFIX}STATE_DIR") or default_state_dir())
    if "state_dir" in layers.values:
        layers.fault(("state_dir",), "is given by --state-dir or REMOTE_AGENT_STATE_DIR only")
    layers.values["state_dir"] = directory.expanduser().absolute()
    for section in SECTIONS:
        # So that a section that is left out is not built by itself.
        layers.values.setdefault(section, {})
    config = layers.validate(Config)
    if config is not None and config.agent.queues and config.agent.capacity:
        for name in config.agent.capacity.keys() - {"default", *config.agent.queues}:
            # Others may become queues of this agent on the server.
            if close := get_close_matches(name, ["default", *config.agent.queues], n=1):
                words = f"{name!r} is no queue of this agent; did you mean {close[0]}?"
                layers.fault(("agent", "capacity"), words)
    if config is not None and config.jobs.run_as and config.jobs.user_range:
        layers.fault(("jobs", "user_range"), "give run_as or user_range, not both")
    if config is not None and config.server.client_key and not config.server.client_cert:
        layers.fault(("server", "client_key"), "is of no use without client_cert")
    if layers.faults or config is None:
        raise ConfigError(*layers.faults)
    return config, layers.origins


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    known = set(CALL_VARIABLES)
    for section, part in SECTIONS.items():
        for key in part.model_fields:
            known.update(env_names(section, key))
    faults = []
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or name in known or name.endswith(_SERVICE_LINK):
            continue
        if close := get_close_matches(name, known, n=1, cutoff=0.9):
            faults.append(f"{name}: unknown variable; did you mean {close[0]}?")
    return faults


def as_document(config: Config) -> dict[str, Any]:
    """The configuration as JSON-able values, with the proxy's password hidden."""
    document: dict[str, Any] = json.loads(config.model_dump_json())
    users, umask = config.jobs.user_range, config.jobs.umask
    document["jobs"]["user_range"] = None if users is None else str(users)
    document["jobs"]["umask"] = None if umask is None else f"{umask:03o}"
    document["server"]["proxy"] = without_password(document["server"]["proxy"])
    return document


def without_password(url: str | None) -> str | None:
    """The URL with `***` in place of user and password."""
    if url is None or "@" not in url:
        return url
    scheme, _, rest = url.partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2]}"


def _text(file: Path | None) -> tuple[str, str]:
    path = file or default_file()
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except FileNotFoundError:
        if file is None:
            return "", str(path)
        raise ConfigError(f"{path}: does not exist; check the path given by --config") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no text in UTF-8; write the configuration as TOML") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
