"""The server's configuration: parsed once from a TOML file, the environment and flags, frozen.

Later sources win: defaults, file, credentials of a service (certificate and key), environment
(`REMOTE_SERVER_LISTEN`, other sections `REMOTE_SERVER_AGENTS_OFFER_TTL`, relays
`REMOTE_SERVER_RELAY_NAME_URL`), flags. All faults are
named at once, each with the file and line, variable or flag that it comes from. May read the
configuration file and look for credentials, nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from remote_protocol.configuration import Layers
from remote_protocol.extensions import BrokenExtension, settings_of
from remote_protocol.ids import Name
from remote_protocol.limits import MAX_BATCH_BODY, MAX_CONTENT, MAX_JOB_BODY
from remote_protocol.quantities import Age, Duration, Size
from remote_server import (
    log_settings,
    oidc_settings,
    relay_settings,
    s3_settings,
    secret_settings,
)
from remote_server.errors import ServerError
from remote_server.log_settings import LogsPart
from remote_server.oidc_settings import OidcPart
from remote_server.relay_settings import RelayPart
from remote_server.s3_settings import S3Part
from remote_server.secret_settings import SecretsPart
from remote_server.setting_values import (
    DEFAULT_PORT,
    Address,
    ExpandedPath,
    Part,
    as_collector,
    as_database_url,
    as_networks,
    as_proxy,
    parse_address,
)

ENV_PREFIX: Final = "REMOTE_SERVER_"
_OF_SERVICES: Final = re.compile(
    r"\w+_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes sets in every container for each service, here for those whose name begins with
`remote-server`."""

CREDENTIALS: Final = {"tls_cert": "tls.crt", "tls_key": "tls.key"}
"""Names of the credentials by which a service gets its certificate and its key."""
_NO_CREDENTIAL: Final = len("-\n")


class ConfigError(ServerError):
    """The configuration cannot be used; `faults` holds one sentence for each fault."""

    exit_code = 2

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


def default_data_dir(root: bool = True) -> Path:
    """`/var/lib/remote-server` for root, else the user's data directory of the platform; with
    `root` false, what it is for other users."""
    if root and hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/remote-server")
    return platformdirs.user_data_path("remote-server", appauthor=False)


class ServerPart(Part):
    """`[server]`."""

    listen: Annotated[Address, BeforeValidator(parse_address)] = Address("127.0.0.1", DEFAULT_PORT)
    data_dir: ExpandedPath = Field(default_factory=default_data_dir)
    """Database, logs, first admin token."""
    database: Annotated[str, AfterValidator(as_database_url)] | None = None
    """`sqlite:////path` or `postgresql://USER@HOST/DATABASE`; null: SQLite in the data
    directory."""
    tls_cert: ExpandedPath | None = None
    """PEM file with the certificate and its chain; together with `tls_key`."""
    tls_key: ExpandedPath | None = None
    durability: Literal["full", "normal"] = "full"
    """`full`: what is acknowledged survives a power cut; `normal`: it survives a crash of the
    program, the last moments before a power cut may be repeated."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "human", "json"] = "auto"
    """`auto`: for people on a terminal, JSON otherwise."""
    compatible_with: Name | None = None
    """An extension whose variables count here, too, such as `datahub`."""
    open_metrics: bool = False
    """Serve `/metrics` without a token."""


class AgentsPart(Part):
    """`[agents]`: what the server dictates to its agents."""

    heartbeat_interval: Duration = Field(default=15.0, ge=0.1)
    """Seconds; stretched with the size of the fleet and staggered."""
    offer_ttl: Duration = Field(default=45.0, ge=0.1)
    """Seconds within which an offer must be accepted."""
    start_ttl: Duration = Field(default=60.0, ge=1.0)
    """Seconds within which an accepted job must be started, while no other job of that agent is.
    Then the agent is asked to end it, and a short time later the attempt is lost."""
    log_size: Size = Field(default=4 << 20, ge=0, le=1 << 30)
    """Newest bytes of each agent's own log that are kept here; 0: none, and none is sent."""
    log_retention: Duration = Field(default=30 * 86400.0, ge=60.0)
    """Seconds after its last line that an agent's log is kept."""


class JobsPart(Part):
    """`[jobs]`: what holds for all jobs."""

    after_restore: Literal["end", "run"] = "end"
    """What becomes of waiting jobs when an older copy of the database was restored. `end`: they
    end as lost, for they may have run since; `run`: they run, because you know that nothing has
    run since the copy was made."""


class ContentsPart(Part):
    """`[contents]`: files and bundles that jobs name by their SHA-256."""

    max_size: Size = Field(default=8 << 30, ge=0, le=MAX_CONTENT)
    """Bytes of one."""
    quota: Size = Field(default=32 << 30, ge=0)
    """Bytes of all that one token has sent."""
    max_total: Size = Field(default=64 << 30, ge=0)
    """Bytes of all: beyond, those that no unfinished job names are deleted, the one that was needed
    longest ago first."""
    retention: Duration = Field(default=7 * 86400.0, ge=60.0)
    """Seconds for which one is kept that no unfinished job names."""
    upload_ttl: Duration = Field(default=86400.0, ge=60.0)
    """Seconds after which one is given up that is on its way, and of which nothing has come."""


class RetentionPart(Part):
    """`[retention]`: how long the server keeps what is over."""

    jobs: Duration | None = Field(default=None, ge=1.0)
    """Seconds that ended jobs are kept, with timeline and logs, where their queue does not say
    otherwise; null: for ever."""
    audit: Age = Field(default=400 * 86400.0, ge=86400.0)
    """Seconds that entries of the audit are kept."""


class SessionsPart(Part):
    """`[sessions]`: how long a browser stays signed in."""

    idle_timeout: Duration = Field(default=12 * 3600.0, ge=120.0)
    """Seconds without a request after which one must sign in again."""
    max_age: Duration = Field(default=7 * 86400.0, ge=120.0)
    """Seconds after which one must, in any case."""


class WebhooksPart(Part):
    """`[webhooks]`: how events are told to other programs."""

    allowed_networks: Annotated[tuple[str, ...], BeforeValidator(as_networks)] = ()
    """Networks that messages may go to beside the public internet, such as `10.1.0.0/16`."""
    proxy: Annotated[str, AfterValidator(as_proxy)] | None = None
    """`http://HOST:PORT`: all messages go through it, and it says what may be reached."""
    ca_file: ExpandedPath | None = None
    """Certificates of the CAs that receivers' certificates are checked with; null: the system's."""
    key_file: ExpandedPath | None = None
    """What secrets are made from, where servers stand by for each other; null: `webhooks.key` in
    the data directory."""
    timeout: Duration = Field(default=15.0, ge=0.1, le=120.0)
    """Seconds that one attempt may take."""
    max_pending: int = Field(default=10_000, ge=1, le=1_000_000)
    """Messages of one webhook that may wait; what comes then is dropped, and counted."""
    retention: Duration = Field(default=7 * 86400.0, ge=60.0)
    """Seconds that messages are kept after they were delivered or given up; the newest 10,000 of
    each webhook at the most."""
    disable_after: Duration = Field(default=5 * 86400.0, ge=1.0)
    """Seconds of failures, without a success, after which a webhook is disabled."""
    offline_after: Duration = Field(default=60.0, ge=1.0)
    """Seconds without a link after which an agent is told to be offline."""


class TelemetryPart(Part):
    """`[telemetry]`: where metrics and traces are sent, besides what `/metrics` answers."""

    statsd: Annotated[Address, BeforeValidator(parse_address)] | None = None
    """`HOST:PORT` of a StatsD that reads labels; UDP."""
    otlp: Annotated[str, AfterValidator(as_collector)] | None = None
    """URL of an OpenTelemetry collector, for example http://127.0.0.1:4318; needs the packages of
    `remote-server[otlp]`."""
    interval: Duration = Field(default=10.0, ge=1.0)
    """Seconds between two sendings of all metrics."""


class LimitsPart(Part):
    """`[limits]`: upper bounds of what clients may send and hold open."""

    max_job_body: Size = Field(default=MAX_JOB_BODY, ge=1024, le=MAX_JOB_BODY)
    max_batch_body: Size = Field(default=MAX_BATCH_BODY, ge=1024, le=MAX_BATCH_BODY)
    max_job_log: Size = Field(default=1 << 30, ge=4096)
    """Bytes of a job's own output that are kept: head and tail, also when the job asks for more.
    Short lines take several times as much on the disk, for each gets a time."""
    max_job_input: Size = Field(default=1 << 30, ge=0)
    """Bytes of the input of one job."""
    max_artifacts: Size = Field(default=1 << 30, ge=0)
    """Bytes of the artifacts of one attempt."""
    artifact_ttl: Duration = Field(default=86400.0, ge=10.0)
    """Seconds after which an artifact is given up of which nothing has come."""
    input_ttl: Duration = Field(default=600.0, ge=1.0)
    """Seconds after which a job is cancelled whose input has not ended, and of which nobody has
    sent anything, or said that it goes on."""
    min_free_disk: Size = Field(default=1 << 30, ge=0)
    """Bytes of the data directory's disk that are left free, a twentieth of it at most: below it
    neither logs nor inputs nor jobs are taken until there is room again."""
    max_followers: int = Field(default=1000, ge=1)
    """Logs and events that are being read at the same time."""
    max_followers_each: int = Field(default=250, ge=1)
    """The same, with one token."""
    max_connections: int = Field(default=20_000, ge=64)
    """Connections at the same time, agents' links among them; also bounded by the number of files
    that the system lets the server open."""
    max_body_memory: Size = Field(default=256 << 20, ge=16 << 20)
    """Bytes of bodies that are being received at the same time; a quarter of it with one token."""
    write_timeout: Duration = Field(default=60.0, ge=1.0)
    """Seconds that a client may leave unread what it is sent, before its connection is closed."""
    stop_grace: Duration = 5.0
    """Seconds that requests in flight get when the server stops."""


class Config(Part):
    """All of it."""

    server: ServerPart = Field(default_factory=ServerPart)
    agents: AgentsPart = Field(default_factory=AgentsPart)
    jobs: JobsPart = Field(default_factory=JobsPart)
    limits: LimitsPart = Field(default_factory=LimitsPart)
    contents: ContentsPart = Field(default_factory=ContentsPart)
    logs: LogsPart = Field(default_factory=LogsPart)
    oidc: OidcPart = Field(default_factory=OidcPart)
    relay: dict[Name, RelayPart] = Field(default_factory=dict, max_length=100)
    """By their names, which jobs ask for."""
    retention: RetentionPart = Field(default_factory=RetentionPart)
    s3: S3Part = Field(default_factory=S3Part)
    secrets: SecretsPart = Field(default_factory=SecretsPart)
    sessions: SessionsPart = Field(default_factory=SessionsPart)
    webhooks: WebhooksPart = Field(default_factory=WebhooksPart)
    telemetry: TelemetryPart = Field(default_factory=TelemetryPart)

    @property
    def database_url(self) -> str:
        """The URL of the database."""
        return self.server.database or f"sqlite:///{self.server.data_dir / 'server.db'}"


_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "server": ServerPart,
    "agents": AgentsPart,
    "jobs": JobsPart,
    "limits": LimitsPart,
    "contents": ContentsPart,
    "logs": LogsPart,
    "oidc": OidcPart,
    "retention": RetentionPart,
    "s3": S3Part,
    "secrets": SecretsPart,
    "sessions": SessionsPart,
    "webhooks": WebhooksPart,
    "telemetry": TelemetryPart,
}


_PASSWORD: Final = re.compile(r"://[^/@]*:[^/@]+@|[?&]password=")


def env_name(section: str, key: str) -> str:
    """The variable that sets one key."""
    middle = "" if section == "server" else f"{section}_"
    return f"{ENV_PREFIX}{middle}{key}".upper()


def unknown_variables(environ: Mapping[str, str], others: Collection[str]) -> list[str]:
    """A sentence for each variable that looks like the server's, but is neither a setting nor one
    of `others`, nor one that Kubernetes sets for a service."""
    known = {env_name(name, key) for name, part in _SECTIONS.items() for key in part.model_fields}
    known.update(others, relay_settings.known_variables(ENV_PREFIX, environ))
    # Without what all of them begin with, which would make any two alike.
    endings = [name.removeprefix(ENV_PREFIX) for name in known]
    said = []
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in known and not _OF_SERVICES.fullmatch(name):
            close = get_close_matches(name[len(ENV_PREFIX) :], endings, n=1)
            said.append(
                f"the variable {name} is not known and does nothing"
                + (f"; did you mean {ENV_PREFIX}{close[0]}?" if close else "")
            )
    return said


def load(
    file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Config:
    """The effective configuration.

    `flags` maps keys of `[server]` to values; None means not given. ConfigError names all
    faults at once. Of unknown variables `unknown_variables` tells.
    """
    layers = Layers({**_SECTIONS, "relay": RelayPart})
    if file is not None:
        _read(layers, file)
        oidc_settings.refuse_secret(layers)
        secret_settings.refuse_key(layers)
    _adopt_settings(layers, environ)
    _read_credentials(layers, environ)
    for section, part in _SECTIONS.items():
        for key in part.model_fields:
            name = env_name(section, key)
            if environ.get(name):
                layers.set(section, key, environ[name], name)
    relay_settings.take_variables(layers, ENV_PREFIX, environ)
    for key, value in (flags or {}).items():
        if value is not None:
            layers.set("server", key, value, f"--{key.replace('_', '-')}")
        if key == "database" and _PASSWORD.search(str(value)):
            layers.fault(
                ("server", key),
                "has a password, and every user of this host can read the arguments of programs; "
                "give it by REMOTE_SERVER_DATABASE, PGPASSWORD or PGPASSFILE",
            )
    server = layers.values.get("server")
    if isinstance(server, dict):
        for one, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
            if server.get(one) and not server.get(other):
                layers.fault(
                    ("server", one), f"needs {other} too: TLS takes a certificate and its key"
                )
    config = layers.validate(Config)
    if config is not None:
        oidc_settings.check(layers, config.oidc)
        s3_settings.check(layers, config.s3)
        log_settings.check(layers, config.logs)
    if layers.faults or config is None:
        raise ConfigError(layers.faults)
    return config


def _adopt_settings(layers: Layers, environ: Mapping[str, str]) -> None:
    """Take what another system's variables say, where somebody wants that."""
    section = layers.values.get("server")
    named = section.get("compatible_with") if isinstance(section, dict) else None
    if not (named := environ.get(env_name("server", "compatible_with")) or named):
        return
    try:
        for given in settings_of(str(named), "server", environ):
            layers.adopt(*given, f"compatible_with = {named}")
    except BrokenExtension as error:
        layers.fault(("server", "compatible_with"), str(error))


def _read_credentials(layers: Layers, environ: Mapping[str, str]) -> None:
    """Take certificate and key from a service's credentials (systemd.exec(5)), where they are. What
    the unit gives for one whose file is missing is `-`."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for key, name in CREDENTIALS.items() if folder else ():
        path = Path(folder or "", name)
        if path.is_file() and path.stat().st_size > _NO_CREDENTIAL:
            layers.set("server", key, str(path), f"credential {name}")


def _read(layers: Layers, file: Path) -> None:
    try:
        layers.read(file.read_text(encoding="utf-8"), str(file))
    except UnicodeDecodeError:
        layers.faults.append(f"{file}: not a text file in UTF-8; write the configuration as TOML")
    except OSError as error:
        layers.faults.append(
            f"{file}: cannot be read ({error.strerror}); check the path given by --config"
        )
