"""An idle agent: memory, CPU over a while, start to online, and the size of its installation.

Usage: python -m benchmarks.idle [--seconds 60]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bed import bed, cpu_seconds, descendants, memory, start_agent, table

_ROOT = Path(__file__).resolve().parent.parent


def install_size() -> tuple[float, int]:
    """MB and number of packages of an environment that holds only the agent."""
    with tempfile.TemporaryDirectory() as place:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", place]
        pins = _ROOT / "requirements" / "dev.txt"
        names = ["websockets", "structlog", "platformdirs", "pydantic"]
        lines = pins.read_text()
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraint:
            constraint.write(_without_hashes(lines))
            constraint.flush()
            subprocess.run(
                [*pip, *names, "-c", constraint.name], check=True, stderr=subprocess.DEVNULL
            )
        subprocess.run(
            [*pip, "--no-deps", "--no-build-isolation", _ROOT / "protocol", _ROOT / "agent"],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        size = sum(f.stat().st_size for f in Path(place).rglob("*") if f.is_file())
        return size / 1e6, len(list(Path(place).glob("*.dist-info")))


def _without_hashes(text: str) -> str:
    kept = [line.split(" \\")[0] for line in text.splitlines() if line[:1].isalnum()]
    return "\n".join(kept) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with bed() as place:
        time.sleep(3)
        pids = [place.agent_pid, *descendants(place.agent_pid)]
        pss = {pid: memory(pid) for pid in pids}
        before = sum(cpu_seconds(pid) for pid in pids)
        time.sleep(options.seconds)
        spent = sum(cpu_seconds(pid) for pid in pids) - before
        starts = []
        for number in range(5):
            begun = time.monotonic()
            other = start_agent(place.root, place.client, place.url, 1, f"other{number}")
            whole = time.monotonic() - begun
            other.terminate()
            other.wait(15)
            begun = time.monotonic()
            other = subprocess.Popen(
                [
                    Path(sys.executable).parent / "remote-agent",
                    "run",
                    "--state-dir",
                    place.root / f"other{number}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while place.client.agent(f"other{number}").state != "online":
                time.sleep(0.005)
            starts.append(time.monotonic() - begun)
            other.terminate()
            other.wait(15)
            del whole
    megabytes, packages = install_size()
    starts.sort()
    table(
        "Idle agent",
        [
            (
                "memory, MiB PSS: agent + launcher and spare shims",
                f"{pss[pids[0]]:.1f} + {sum(pss.values()) - pss[pids[0]]:.1f}",
                "≤ 35",
            ),
            (f"CPU over {options.seconds:g} s, %", f"{spent / options.seconds * 100:.3f}", "≤ 0.1"),
            ("start to online, s, median of 5", f"{starts[2]:.2f}", "≤ 0.4"),
            ("installation, MB and packages", f"{megabytes:.1f}, {packages}", "≤ 15, ≤ 10"),
        ],
    )


if __name__ == "__main__":
    main()
