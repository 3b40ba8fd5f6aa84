"""The features that `benchmarks.features` turns on, over the HTTP API of any version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, NamedTuple

from benchmarks.checkout import Checkout, Job
from benchmarks.visitors import Places, Visitors
from tests.support.ports import free_port

PLAIN: Final = "plain"
METRICS: Final = "metrics"
TRACES: Final = "traces"
COPIES: Final = "copies"
_TRUE: Final[Job] = {"command": ["/usr/bin/true"]}
_CONTENT: Final = b"a content of a job\n" * 50_000
_DIGEST: Final = hashlib.sha256(_CONTENT).hexdigest()
_ASLEEP: Final = "asleep"
State = Callable[[Checkout, Visitors], AbstractContextManager[None]]


def _nothing(checkout: Checkout, guests: Visitors) -> AbstractContextManager[None]:
    return nullcontext()


class Feature(NamedTuple):
    """One row."""

    what: str
    turned_on: State = _nothing
    job: Job = _TRUE
    """What is run with the feature."""
    without: Job = _TRUE
    """And without it."""
    used: bool = False
    """Whether the jobs use it."""
    pair: str = PLAIN
    """The pair of server and agent that has the setting."""
    told: bool = False
    """Whether something is sent to others after the end of each job."""


def settings(pair: str, places: Places) -> dict[str, str]:
    """The variables of a pair."""
    common = {"REMOTE_SERVER_WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8"}
    own: dict[str, dict[str, str]] = {
        METRICS: {
            "REMOTE_AGENT_TELEMETRY_LISTEN": f"127.0.0.1:{free_port()}",
            "REMOTE_SERVER_TELEMETRY_STATSD": places.statsd,
            "REMOTE_SERVER_TELEMETRY_INTERVAL": "1s",
        },
        TRACES: {"REMOTE_SERVER_TELEMETRY_OTLP": places.receiver},
        COPIES: {
            "REMOTE_SERVER_LOGS_COPIES": "s3://bucket/copies",
            "REMOTE_SERVER_S3_ENDPOINT": places.storage,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        },
    }
    return common | own.get(pair, {})


def prepare(checkout: Checkout) -> None:
    """What is there all the time, and stands in no job's way: an agent that never starts, for
    groups that wait, and a content."""
    checkout.register(_ASLEEP, "--label", f"{_ASLEEP}=yes")
    checkout.ask("PATCH", f"contents/{_DIGEST}?size={len(_CONTENT)}&offset=0", _CONTENT)


def _visited(visitor: str) -> State:
    def visiting(checkout: Checkout, guests: Visitors) -> AbstractContextManager[None]:
        listen = checkout.settings.get("REMOTE_AGENT_TELEMETRY_LISTEN")
        more = f"http://{listen}/metrics" if listen else ""
        return guests.visiting(visitor, checkout.url, checkout.token, more)

    return visiting


def _secrets(*names: str) -> State:
    @contextmanager
    def kept(checkout: Checkout, guests: Visitors) -> Iterator[None]:
        for name in names:
            body = {"value": f"a-value-of-{name}", "all_queues": True}
            checkout.ask("PUT", f"secrets/{name}", body)
        yield
        for name in names:
            checkout.ask("DELETE", f"secrets/{name}")

    return kept


def _webhook(state: str) -> State:
    @contextmanager
    def told(checkout: Checkout, guests: Visitors) -> Iterator[None]:
        url = guests.places.receiver
        rule: dict[str, Any] = {"events": ["job.ended"], "states": [state]}
        checkout.ask("POST", "webhooks", {"name": "hook", "url": url, **rule})
        yield
        checkout.ask("DELETE", "webhooks/hook")

    return told


@contextmanager
def _group(checkout: Checkout, guests: Visitors) -> Iterator[None]:
    body = {"spec": _TRUE, "select": {"labels": {_ASLEEP: "yes"}}, "max_parallel": 1}
    group = checkout.ask("POST", "groups", body)["id"]
    yield
    checkout.ask("POST", f"groups/{group}/cancel", {})


@contextmanager
def _queues(checkout: Checkout, guests: Visitors) -> Iterator[None]:
    """Twenty others, in each a job that waits for an agent."""
    names = [f"other-{number}" for number in range(20)]
    waiting = []
    for name in names:
        checkout.ask("POST", "queues", {"name": name})
        waiting.append(checkout.ask("POST", "jobs", {**_TRUE, "queue": name})["id"])
    yield
    for job in waiting:
        checkout.ask("POST", f"jobs/{job}/cancel", {})
    for name in names:
        checkout.ask("DELETE", f"queues/{name}")


def _shell(line: str) -> Job:
    return {"command": ["/bin/sh", "-c", line]}


_FILE: Final = {"path": "file", "content": "YQ=="}
_BY_DIGEST: Final = {"path": "file", "digest": _DIGEST, "size": len(_CONTENT)}
_BY_SHELL: Final = _shell("echo a=1 >/dev/null")
FEATURES: Final = (
    Feature("nothing, twice"),
    Feature("nothing, twice, once more"),
    Feature("a page of jobs is open", _visited("page")),
    Feature("the audit is followed", _visited("audit/stream")),
    Feature("the events of jobs are followed", _visited("events")),
    Feature("metrics of the server are read each second", _visited("scraper")),
    Feature(
        "metrics of server and agent are read, and sent to StatsD, each second",
        _visited("scraper"),
        pair=METRICS,
    ),
    Feature("the server has 20 secrets", _secrets(*(f"S{number}" for number in range(20)))),
    Feature("a webhook waits for failed jobs", _webhook("failed")),
    Feature("a group with a limit waits", _group),
    Feature("jobs wait in 20 other queues", _queues),
    Feature("a webhook is told of each", _webhook("succeeded"), used=True, told=True),
    Feature("its trace goes to a collector by OTLP", used=True, pair=TRACES, told=True),
    Feature("its log is copied into a bucket", used=True, pair=COPIES, told=True),
    Feature("a secret, masked", _secrets("ONE"), {**_TRUE, "secrets": ["ONE"]}, used=True),
    Feature("its own values masked (`mask`)", job={**_TRUE, "mask": True}, used=True),
    Feature("an output", job=_shell('echo a=1 >"$REMOTE_OUTPUTS"'), without=_BY_SHELL, used=True),
    Feature(
        "an artifact", job=_shell('echo a=1 >"$REMOTE_ARTIFACTS/a"'), without=_BY_SHELL, used=True
    ),
    Feature("a line of log", job=_shell("echo a=1"), without=_BY_SHELL, used=True),
    Feature("a small file", job={**_TRUE, "files": [_FILE]}, used=True),
    Feature("a content of 1 MB", job={**_TRUE, "files": [_BY_DIGEST]}, used=True),
    Feature(
        "a timeout, a memory limit, three attempts",
        job={**_TRUE, "timeout": 3600, "memory_limit": 1 << 30, "max_attempts": 3},
        used=True,
    ),
    Feature(
        "a name, an annotation, a variable",
        job={**_TRUE, "name": "a", "annotations": {"a": "b"}, "env": {"A": "b"}},
        used=True,
    ),
)
"""All rows; the first two turn nothing on."""
