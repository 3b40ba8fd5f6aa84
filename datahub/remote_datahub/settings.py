"""Settings of agent and server, from the variables that users of DataHub's executor know.

`compatible_with = "datahub"` has them count. Reads the environment that it is given, and looks
whether the usual directory of secrets is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from remote_protocol.extensions import Given

POOL: Final = "DATAHUB_EXECUTOR_POOL_ID"
INGESTION: Final = "DATAHUB_EXECUTOR_INGESTION_MAX_WORKERS"
MONITORS: Final = "DATAHUB_EXECUTOR_MONITORS_MAX_WORKERS"
SECRETS: Final = "DATAHUB_EXECUTOR_FILE_SECRET_BASEDIR"
LONGEST_SECRET: Final = "DATAHUB_EXECUTOR_FILE_SECRET_MAXLEN"
LEVEL: Final = "LOG_LEVEL"
BUCKET: Final = "DATAHUB_CLOUD_LOG_BUCKET"
FOLDER: Final = "DATAHUB_CLOUD_LOG_PATH"
FOR_RECIPES: Final = ("DATAHUB_GMS_URL", "DATAHUB_GMS_TOKEN")
"""What recipes refer to, and DataHub's own command line reads; an agent itself does not."""
MOUNTED: Final = Path("/mnt/secrets")
USUAL_INGESTION: Final = 4
USUAL_METRICS: Final = "127.0.0.1:9087"
PROBES: Final = {
    "liveness_file": "/tmp/worker_liveness_heartbeat",
    "readiness_file": "/tmp/worker_readiness_heartbeat",
}
_LEVELS: Final = {"trace": "debug", "warn": "warning", "critical": "error", "fatal": "error"}


def settings(program: str, environ: Mapping[str, str]) -> list[Given]:
    """What a program takes from them. What they say wrongly is for its configuration to refuse."""
    return list(_of_server(environ) if program == "server" else _of_agent(environ))


def _of_server(environ: Mapping[str, str]) -> Iterator[Given]:
    if bucket := environ.get(BUCKET):
        folder = environ.get(FOLDER, "").strip("/")
        yield Given("logs", "copies", f"s3://{bucket}/{folder}".rstrip("/"), BUCKET)
    yield from _level("server", "log_level", environ)


def _of_agent(environ: Mapping[str, str]) -> Iterator[Given]:
    yield from _places(environ)
    yield Given("secrets", "env_allow", list(FOR_RECIPES), None)
    if folder := environ.get(SECRETS):
        yield Given("secrets", "dir", folder, SECRETS)
    elif MOUNTED.is_dir():
        yield Given("secrets", "dir", str(MOUNTED), None)
    if longest := environ.get(LONGEST_SECRET):
        yield Given("secrets", "max_size", longest, LONGEST_SECRET)
    yield from _level("log", "level", environ)
    yield Given("telemetry", "listen", USUAL_METRICS, None)
    for key, path in PROBES.items():
        yield Given("telemetry", key, path, None)


def _places(environ: Mapping[str, str]) -> Iterator[Given]:
    """A pool is a queue. Monitors have a queue of their own beside it, and so places of their
    own, where their number is given."""
    ingestion, monitors = environ.get(INGESTION), environ.get(MONITORS)
    pool = environ.get(POOL)
    if pool:
        others = [f"{pool}-monitors"] if monitors else []
        yield Given("agent", "queues", [pool, *others], POOL)
    capacity = f"default={ingestion or USUAL_INGESTION}"
    if pool and monitors:
        capacity += f",{pool}-monitors={monitors}"
    given = INGESTION if ingestion else MONITORS if pool and monitors else None
    yield Given("agent", "capacity", capacity, given)


def _level(section: str, key: str, environ: Mapping[str, str]) -> Iterator[Given]:
    if level := environ.get(LEVEL, "").strip().lower():
        yield Given(section, key, _LEVELS.get(level, level), LEVEL)
