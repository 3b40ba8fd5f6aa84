"""One job's big output: MB/s to the server's file, CPU and peak memory, and the lag of a neighbour.

Usage: python -m benchmarks.output [--megabytes 1000]

A second job prints ten lines a second, each with its own time; a follower of its log notes how late
each line comes. Both run beside the flood.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from pathlib import Path

from benchmarks.bed import Bed, bed, cpu_seconds, descendants, memory, quantile, table, wait_until
from remote_client.client import Client
from remote_protocol import cri
from remote_protocol.spec import CommandSpec
from remote_protocol.states import JobState

_PIECE = 256 * 1024
# One write a line: the newline of an unbuffered print would be a record of its own.
_TALKER = """
import os, time
while True:
    os.write(1, b"%.6f\\n" % time.time())
    time.sleep(0.1)
"""


class Listener(threading.Thread):
    """Follows a job's log and notes the lag of each line, in milliseconds."""

    def __init__(self, client: Client, job: str) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.job = job
        self.lags: list[float] = []

    def run(self) -> None:
        """Read until the job has ended."""
        for record in self.client.follow_log(self.job):
            self.lags.append((time.time() - float(record.data)) * 1000)


def flood(place: Bed, source: Path, size: int) -> dict[str, float]:
    """Run `cat source` as a job beside a talking one; figures of it."""
    talker = place.client.submit(CommandSpec(command=[sys.executable, "-c", _TALKER]))
    listener = Listener(place.client.again(), talker.id)
    listener.start()
    wait_until(lambda: len(listener.lags) >= 10, "the talking job's lines")
    listener.lags.clear()
    server, agent = cpu_seconds(place.server.pid), cpu_seconds(place.agent_pid)
    begun = time.monotonic()
    job = place.client.submit(CommandSpec(command=["cat", str(source)]))
    shim_peak = 0.0
    while not (view := place.client.job(job.id)).state.terminal:
        for pid in descendants(place.agent_pid):
            try:
                shim_peak = max(shim_peak, memory(pid, "VmHWM"))
            except OSError:
                continue
        time.sleep(0.1)
    seconds = time.monotonic() - begun
    assert view.state is JobState.SUCCEEDED and view.attempts[-1].log_complete, view
    lags = list(listener.lags)
    place.client.cancel(talker.id)
    listener.join(20)
    got = sum(len(cri.decode(piece)) for piece in place.client.stored_log(job.id))
    assert got == size, (got, size)
    return {
        "rate": size / 1e6 / seconds,
        "server_cpu": cpu_seconds(place.server.pid) - server,
        "agent_cpu": cpu_seconds(place.agent_pid) - agent,
        "server_peak": memory(place.server.pid, "VmHWM"),
        "agent_peak": memory(place.agent_pid, "VmHWM"),
        "shim_peak": shim_peak,
        "lag_median": quantile(lags, 0.5),
        "lag_p95": quantile(lags, 0.95),
    }


def pipe_limit(source: Path, rounds: int = 3) -> float:
    """MB/s at best that asyncio reads from a pipe of `cat source` on this machine now: what no
    program in its place could be much faster than."""
    return max(asyncio.run(_through_a_pipe(source)) for _ in range(rounds))


async def _through_a_pipe(source: Path) -> float:
    begun = time.monotonic()
    cat = await asyncio.create_subprocess_exec(
        "cat", source, stdout=asyncio.subprocess.PIPE, limit=_PIECE
    )
    assert cat.stdout is not None
    size = 0
    while piece := await cat.stdout.read(_PIECE):
        size += len(piece)
    assert await cat.wait() == 0
    return size / 1e6 / (time.monotonic() - begun)


def main() -> None:
    """Measure lines and binary, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    options = parser.parse_args()
    size = options.megabytes * 1_000_000
    for kind in ("80-byte lines", "binary"):
        with bed(capacity=4) as place:
            source = place.root / "flood"
            block = (b"x" * 79 + b"\n") * 12_500 if kind != "binary" else None
            with source.open("wb") as file, open("/dev/urandom", "rb") as noise:
                for _ in range(options.megabytes):
                    file.write(block if block else noise.read(1_000_000))
            before = pipe_limit(source)
            found = flood(place, source, size)
            # It drifts while the flood runs: the middle of both counts.
            limit = (before + pipe_limit(source)) / 2
        table(
            f"Output of one job: {options.megabytes} MB, {kind}",
            [
                ("MB/s of job bytes, submit to end", f"{found['rate']:.0f}", "≥ 200"),
                (
                    "÷ what asyncio reads from a pipe in the same run, MB/s",
                    f"{found['rate'] / limit:.2f} of {limit:.0f}",
                    "200 MB/s where that is ≥ 500",
                ),
                (
                    "CPU s: server, agent",
                    f"{found['server_cpu']:.2f}, {found['agent_cpu']:.2f}",
                    "",
                ),
                (
                    "peak MiB: server, agent, shim",
                    ", ".join(f"{found[f'{who}_peak']:.0f}" for who in ("server", "agent", "shim")),
                    "≤ 100 each",
                ),
                (
                    "lag of the 10-lines-a-second job, ms: median, p95",
                    f"{found['lag_median']:.1f}, {found['lag_p95']:.1f}",
                    "≤ 10, ≤ 20",
                ),
            ],
        )


if __name__ == "__main__":
    main()
