"""All benchmarks, one after another. Usage: python benchmarks/run_all.py [--quick]"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_FULL = [
    ["dispatch"],
    ["steps"],
    ["databases"],
    ["output"],
    ["input"],
    ["idle"],
    ["swarm"],
    ["recovery"],
    ["prompt"],
    ["start"],
    ["pages"],
    ["dashboards"],
    ["masking"],
    ["warm"],
    ["features"],
]
_QUICK = [
    ["dispatch", "--rounds", "1", "--jobs", "500", "--latency", "50"],
    ["steps", "--jobs", "50"],
    ["databases", "--jobs", "200", "--rounds", "1", "--whole", "50", "--latency", "5"],
    ["output", "--megabytes", "100"],
    ["input", "--megabytes", "50", "--lines", "20"],
    ["idle", "--seconds", "10"],
    ["swarm", "--agents", "200", "--seconds", "10", "--offers", "50"],
    ["recovery", "--agents", "200", "--megabytes", "20"],
    ["prompt", "--rounds", "5"],
    ["start", "--rounds", "5"],
    ["pages", "--jobs", "20000", "--agents", "200", "--rounds", "10"],
    ["dashboards", "--rounds", "2", "--jobs", "200", "--latency", "20"],
    ["masking", "--rounds", "1", "--megabytes", "8"],
    ["warm", "--jobs", "6"],
    ["features", "--rounds", "1", "--jobs", "50"],
]


def main() -> int:
    """Run them; 1 when one of them failed."""
    failed = 0
    for name, *options in _QUICK if "--quick" in sys.argv[1:] else _FULL:
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        failed |= subprocess.run(command, cwd=_ROOT, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
