"""The agent's configuration: TOML file, environment, flags; parsed once, frozen, one slice a room.

Every key has a variable, `REMOTE_AGENT_<SECTION>_<KEY>`, and the common ones have a short form
too (`REMOTE_AGENT_SERVER`, `REMOTE_AGENT_NAME` …). Secrets may be in files of
their own (`REMOTE_AGENT_PROXY_FILE`). May read the configuration file, and those.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from remote_agent.errors import ConfigError
from remote_agent.secret_file import read_secret
from remote_agent.sections import (
    SECTIONS,
    AgentPart,
    ContainersPart,
    ContentsPart,
    JobsPart,
    LimitsPart,
    LogPart,
    LogsPart,
    Part,
    PythonPart,
    RelayPart,
    SecretsPart,
    ServerPart,
    TelemetryPart,
)
from remote_protocol.configuration import Layers, closest

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
    ("agent", "compatible_with"): ("REMOTE_AGENT_COMPATIBLE_WITH",),
    ("agent", "on_stop"): ("REMOTE_AGENT_ON_STOP",),
    ("agent", "stop_timeout"): ("REMOTE_AGENT_STOP_TIMEOUT",),
    ("agent", "work_dir"): ("REMOTE_AGENT_WORK_DIR",),
    ("agent", "durability"): ("REMOTE_AGENT_DURABILITY",),
    ("telemetry", "liveness_file"): ("REMOTE_AGENT_LIVENESS_FILE",),
    ("telemetry", "readiness_file"): ("REMOTE_AGENT_READINESS_FILE",),
}
SECRET: Final = frozenset((("server", "proxy"),))
"""Keys whose value may hold a password: each of their variables has a twin, with `_FILE` after its
name, that names a file with the value."""
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
    *("ONCE", "IDLE_TIMEOUT", "WITH_PARENT", "OUTPUT", "CHECK"),
    *("COMMENT", "DEADLINE", "FOLLOW", "FORCE", "IDLE"),
    *("USER", "PROFILE", "NO_START", "NOW"),
)
CALL_VARIABLES: Final = frozenset(ENV_PREFIX + name for name in _CALL)
"""Variables that belong to the call, not to the configuration."""
_LATER: Final = ("policy",)
_SERVICE_LINK: Final = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_UDP")
"""Kubernetes puts such variables into every container beside a service of a like name."""


class Config(Part):
    """All of it."""

    server: ServerPart = Field(default_factory=ServerPart)
    agent: AgentPart = Field(default_factory=AgentPart)
    logs: LogsPart = Field(default_factory=LogsPart)
    limits: LimitsPart = Field(default_factory=LimitsPart)
    jobs: JobsPart = Field(default_factory=JobsPart)
    python: PythonPart = Field(default_factory=PythonPart)
    contents: ContentsPart = Field(default_factory=ContentsPart)
    relay: RelayPart = Field(default_factory=RelayPart)
    secrets: SecretsPart = Field(default_factory=SecretsPart)
    containers: ContainersPart = Field(default_factory=ContainersPart)
    log: LogPart = Field(default_factory=LogPart)
    telemetry: TelemetryPart = Field(default_factory=TelemetryPart)
    state_dir: Path
    """Identity, attempts, spools, own log. Given by flag or environment, never by the file."""


def default_state_dir() -> Path:
    """`/var/lib/remote-agent` for root, else the user's data directory of the platform."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/remote-agent")
    from platformdirs import user_config_path, user_data_path

    path = user_data_path("remote-agent", appauthor=False)
    # macOS has one place for both: what goes with the agent is apart from what its user wrote.
    one = hasattr(os, "geteuid") and path == user_config_path("remote-agent", appauthor=False)
    return path / "state" if one else path


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


def file_names(section: str, key: str) -> tuple[str, ...]:
    """The variables that name a file with the value of a key; none for one that is no secret."""
    names = env_names(section, key) if (section, key) in SECRET else ()
    return tuple(f"{name}_FILE" for name in names)


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
    _adopt_settings(layers, environ)
    _read_environment(layers, environ)
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
            if close := closest(name, ["default", *config.agent.queues]):
                words = f"{name!r} is no queue of this agent; did you mean {close}?"
                layers.fault(("agent", "capacity"), words)
    if config is not None and config.jobs.run_as and config.jobs.user_range:
        layers.fault(("jobs", "user_range"), "give run_as or user_range, not both")
    if config is not None and config.server.client_key and not config.server.client_cert:
        layers.fault(("server", "client_key"), "is of no use without client_cert")
    if layers.faults or config is None:
        raise ConfigError(*layers.faults)
    return config, layers.origins


def _adopt_settings(layers: Layers, environ: Mapping[str, str]) -> None:
    """Take what another system's variables say, where somebody wants that."""
    names = env_names("agent", "compatible_with")
    section = layers.values.get("agent")
    named = section.get("compatible_with") if isinstance(section, dict) else None
    if not (named := next(filter(None, map(environ.get, names)), named)):
        return
    from remote_protocol.extensions import BrokenExtension, settings_of

    try:
        for given in settings_of(str(named), "agent", environ):
            layers.adopt(*given, f"compatible_with = {named}")
    except BrokenExtension as error:
        layers.fault(("agent", "compatible_with"), str(error))


def _read_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    for section, part in SECTIONS.items():
        for key in part.model_fields:
            given = [name for name in env_names(section, key) if environ.get(name)]
            files = [name for name in file_names(section, key) if environ.get(name)]
            if given and files:
                layers.faults.append(
                    f"{given[0]} and {files[0]} are both set; leave one of them out"
                )
            elif given:
                layers.set(section, key, environ[given[0]], given[0])
            elif files:
                try:
                    layers.set(section, key, read_secret(environ[files[0]]), files[0])
                except ValueError as error:
                    layers.faults.append(
                        f"{files[0]}: the file {environ[files[0]]} cannot be read: {error}"
                    )


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    known = set(CALL_VARIABLES)
    for section, part in SECTIONS.items():
        for key in part.model_fields:
            known.update(env_names(section, key), file_names(section, key))
    faults = []
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or name in known or name.endswith(_SERVICE_LINK):
            continue
        if close := closest(name, known, 0.9):
            faults.append(f"{name}: unknown variable; did you mean {close}?")
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
