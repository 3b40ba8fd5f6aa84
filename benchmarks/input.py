"""One job's big input: MB/s from `remotectl` to the job, CPU and peak memory; latency of one line.

Usage: python -m benchmarks.input [--megabytes 500] [--lines 200]

The first job sums up what `remotectl run < file` and `cat file | remotectl run` send. The second
one echoes single lines that are sent one after the other, each after the former has come back.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bed import Bed, bed, cpu_seconds, memory, quantile, table
from remote_protocol.spec import CommandSpec

_CTL = Path(sys.executable).with_name("remotectl")


def flood(place: Bed, source: Path, piped: bool) -> dict[str, float]:
    """Send a file to a job that sums it up; figures of it."""
    size, wanted = source.stat().st_size, hashlib.file_digest(source.open("rb"), "sha256")
    env = {**os.environ, "REMOTE_URL": place.client.url, "REMOTE_TOKEN": place.token}
    server, agent = cpu_seconds(place.server.pid), cpu_seconds(place.agent_pid)
    begun = time.monotonic()
    with source.open("rb") as file:
        cat = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) if piped else None
        done = subprocess.run(
            [_CTL, "run", "--", "sha256sum"],
            stdin=file if cat is None else cat.stdout,
            stdout=subprocess.PIPE,
            env=env,
            check=True,
        )
        if cat is not None:
            cat.wait()
    seconds = time.monotonic() - begun
    assert done.stdout.split()[0].decode() == wanted.hexdigest(), "the job has read something else"
    return {
        "rate": size / 1e6 / seconds,
        "server_cpu": cpu_seconds(place.server.pid) - server,
        "agent_cpu": cpu_seconds(place.agent_pid) - agent,
        "server_peak": memory(place.server.pid, "VmHWM"),
        "agent_peak": memory(place.agent_pid, "VmHWM"),
    }


def echo(place: Bed, lines: int) -> list[float]:
    """Send lines to `cat`, one by one; milliseconds until each is back."""
    client = place.client
    job = client.submit(CommandSpec(command=["cat"], stdin=True)).id
    records = client.again().follow_log(job)
    offset, times = 0, []
    for number in range(lines):
        line = b"%d\n" % number
        begun = time.perf_counter()
        client.send_input(job, offset, line)
        assert next(records).data == line
        times.append((time.perf_counter() - begun) * 1000)
        offset += len(line)
    client.send_input(job, offset, b"", end=True)
    assert client.wait(job, 30).exit_code == 0
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--lines", type=int, default=200)
    options = parser.parse_args()
    with bed(capacity=4) as place:
        source = place.root / "input"
        with source.open("wb") as file, open("/dev/urandom", "rb") as noise:
            for _ in range(options.megabytes):
                file.write(noise.read(1_000_000))
        for piped in (False, True):
            found = flood(place, source, piped)
            table(
                f"Input of one job: {options.megabytes} MB, from a {'pipe' if piped else 'file'}",
                [
                    ("MB/s, start of remotectl to its end", f"{found['rate']:.0f}", "≥ 100"),
                    (
                        "CPU s: server, agent",
                        f"{found['server_cpu']:.2f}, {found['agent_cpu']:.2f}",
                        "",
                    ),
                    (
                        "peak MiB: server, agent",
                        f"{found['server_peak']:.0f}, {found['agent_peak']:.0f}",
                        "≤ 100 each",
                    ),
                ],
            )
        times = echo(place, options.lines)
        table(
            f"{options.lines} lines, sent to a job and back, one by one",
            [
                (
                    "ms: median, p95",
                    f"{quantile(times, 0.5):.1f}, {quantile(times, 0.95):.1f}",
                    "≤ 20, ≤ 50",
                )
            ],
        )


if __name__ == "__main__":
    main()
