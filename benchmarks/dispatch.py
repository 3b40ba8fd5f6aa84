"""Submit → process started, one job after another, and throughput of `true` jobs.

Usage: python -m benchmarks.dispatch [--latency 200] [--jobs 2000] [--rounds 3]

The start is the agent's own wall-clock stamp of the spawn, the submit this program's: one machine,
one clock. CPU of shims and jobs is what the processes below the agent spent.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import time
from collections.abc import Callable, Iterator

from benchmarks.bed import Bed, bed, cpu_seconds, family_seconds, quantile, summary, table
from remote_protocol.api.jobs import JobView
from remote_protocol.spec import CommandSpec
from remote_protocol.states import JobState

TRUE = CommandSpec(command=["/usr/bin/true"])


def latency(place: Bed, count: int) -> list[float]:
    """Milliseconds from before the submit to the spawn, for `count` jobs one after another."""
    delays = []
    with submitting(place) as submit:
        for _ in range(count):
            before = time.time()
            job = submit(TRUE)
            ended = place.client.wait(job, 30)
            assert ended.state is JobState.SUCCEEDED, ended
            started = next(e for e in place.client.timeline(job) if e.what == "started")
            delays.append((started.at.timestamp() - before) * 1000)
    return delays


@contextlib.contextmanager
def submitting(place: Bed) -> Iterator[Callable[[CommandSpec], str]]:
    """Submits a job by a bare connection, and gives its id: what httpx needs to build a request is
    not the system's delay."""
    with contextlib.closing(
        http.client.HTTPConnection(place.url.removeprefix("http://"))
    ) as connection:
        headers = {"Authorization": f"Bearer {place.token}", "Content-Type": "application/json"}

        def submit(spec: CommandSpec) -> str:
            body = spec.model_dump_json(exclude_defaults=True)
            connection.request("POST", "/api/v1/jobs", body, headers)
            return JobView.model_validate_json(connection.getresponse().read()).id

        yield submit


def throughput(place: Bed, count: int) -> dict[str, float]:
    """Jobs a second and CPU milliseconds a job, by process, for `count` jobs in one batch."""
    before = _spent(place)
    begun = time.monotonic()
    ids = place.client.submit_batch([TRUE] * count)
    # The last one ends last but for a few that ran beside it: asking for it alone disturbs least.
    for identity in reversed(ids):
        while not place.client.job(identity).state.terminal:
            time.sleep(0.02)
        if identity == ids[-8]:
            break
    seconds = time.monotonic() - begun
    spent = {name: value - before[name] for name, value in _spent(place).items()}
    result = {name: value / count * 1000 for name, value in spent.items()}
    result["jobs/s"] = count / seconds
    return result


def _spent(place: Bed) -> dict[str, float]:
    return {
        "server": cpu_seconds(place.server.pid),
        "agent": cpu_seconds(place.agent_pid),
        "shims and jobs": family_seconds(place.agent_pid),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with bed(capacity=8) as place:
        latency(place, 20)
        rounds = [latency(place, options.latency) for _ in range(options.rounds)]
        loads = [throughput(place, options.jobs) for _ in range(options.rounds)]
    rows = [
        ("submit → started, median, ms", summary([quantile(r, 0.5) for r in rounds]), "≤ 3"),
        ("submit → started, p95, ms", summary([quantile(r, 0.95) for r in rounds]), "≤ 5"),
        ("jobs a second", summary([load["jobs/s"] for load in loads]), "≥ 450"),
    ]
    parts = ("server", "agent", "shims and jobs")
    work = [sum(load[name] for name in parts) for load in loads]
    rows.append(("CPU a job, ms", summary(work), "≤ 3.5"))
    rows += [(f"… of it {name}", summary([load[name] for load in loads]), "") for name in parts]
    table(f"Dispatch ({options.rounds} rounds: median, minimum–maximum)", rows)


if __name__ == "__main__":
    main()
