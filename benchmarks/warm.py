"""Warm interpreters: what a job with a large import costs, started or forked.

Usage: python -m benchmarks.warm [--jobs 24] [--slots 2] [--venv DIR] [--preload MODULE]…
                                 [--script FILE] [--input FILE] [--env K=V]…

Without options the modules are those of this checkout's server; with them, any environment's, and
a script of one's own, for example a task of Airflow. The same jobs are run by one agent in turn,
started and forked, a few at a time. From its process to its end by the job's own record; CPU by
the kernel's account of the job and all that it has started.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.bed import Bed, bed, descendants, table, wait_until
from remote_protocol.api.jobs import JobView
from remote_protocol.spec import JobSpec

MODULES: Final = ("sqlalchemy", "aiohttp.web", "alembic", "cryptography.x509")
_IMPORTS: Final = "import {modules}\nprint('there')\n"
_ROUNDS: Final = 3


def main() -> None:
    """Measure, and print the table."""
    options = _options()
    modules = options.preload or list(MODULES)
    script = options.script.read_text() if options.script else None
    fields: dict[str, Any] = {
        "kind": "python",
        "script": script or _IMPORTS.format(modules=", ".join(modules)),
        "environment": "bench",
        "env": dict(pair.split("=", 1) for pair in options.env),
    }
    if options.input:
        fields["private_input"] = options.input.read_text()
    os.environ["REMOTE_AGENT_PYTHON_ENVIRONMENTS"] = f"bench={options.venv}"
    warm = {**fields, "preload": modules, "preload_env": sorted(fields["env"])}
    started: list[JobView] = []
    forked: list[JobView] = []
    rates: dict[bool, list[float]] = {False: [], True: []}
    with bed(capacity=options.slots) as place:
        begun = time.monotonic()
        _run(place, [JobSpec.model_validate(warm)])
        first = time.monotonic() - begun
        _run(place, [JobSpec.model_validate(fields)])
        for _ in range(_ROUNDS):
            for which, views, spec in ((False, started, fields), (True, forked, warm)):
                specs = [JobSpec.model_validate(spec)] * (options.jobs // _ROUNDS)
                begun = time.monotonic()
                views += _run(place, specs)
                rates[which].append(len(specs) / (time.monotonic() - begun))
        size = _interpreter_memory(place)
    _print(options, modules, started, forked, rates, size, first)


def _print(
    options: argparse.Namespace,
    modules: Sequence[str],
    started: list[JobView],
    forked: list[JobView],
    rates: dict[bool, list[float]],
    size: float,
    first: float,
) -> None:
    lasts = [statistics.median(map(_lasted, views)) for views in (started, forked)]
    spent = [statistics.median(map(_spent, views)) for views in (started, forked)]
    rate = [statistics.median(rates[which]) for which in (False, True)]
    title = (
        f"Forked or started: {len(started)} jobs each, {options.slots} slots, {' '.join(modules)}"
    )
    table(
        title,
        [
            ("a job's process, started", f"{lasts[0] * 1000:.0f} ms", ""),
            ("a job's process, forked", f"{lasts[1] * 1000:.0f} ms", ""),
            ("started ÷ forked", f"{lasts[0] / lasts[1]:.1f}", "≥ 3"),
            ("CPU a job, started", f"{spent[0] * 1000:.0f} ms", ""),
            ("CPU a job, forked", f"{spent[1] * 1000:.0f} ms", ""),
            ("CPU: started ÷ forked", f"{spent[0] / spent[1]:.1f}", "≥ 3"),
            ("jobs/s, started", f"{rate[0]:.1f}", ""),
            ("jobs/s, forked", f"{rate[1]:.1f}", ""),
            ("the first one, with its interpreter's import", f"{first * 1000:.0f} ms", ""),
            ("the interpreter's memory (PSS)", f"{size / 1e6:.0f} MB", ""),
        ],
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--venv", type=Path, default=Path(sys.prefix))
    parser.add_argument("--preload", action="append", default=[])
    parser.add_argument("--script", type=Path)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--env", action="append", default=[])
    return parser.parse_args()


def _run(place: Bed, specs: list[JobSpec]) -> list[JobView]:
    """Submit them at once; their ends."""
    ids = [place.client.submit(spec).id for spec in specs]
    views = [place.client.wait(job, 300) for job in ids]
    for view in views:
        assert view.exit_code == 0, f"{view.end_detail}\n{place.client.log(view.id).decode()}"
    return views


def _lasted(view: JobView) -> float:
    assert view.usage is not None
    return view.usage.duration


def _spent(view: JobView) -> float:
    assert view.usage is not None
    return view.usage.cpu_user + view.usage.cpu_system


def _interpreter_memory(place: Bed) -> float:
    """What the agent's interpreter has, when no job shares it."""

    def found() -> list[float]:
        return [size for pid in descendants(place.agent_pid) if (size := _size(pid))]

    wait_until(lambda: len(found()) == 1, "one interpreter without jobs")
    return found()[0]


def _size(pid: int) -> float:
    try:
        if b"interpreter.py" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return 0.0
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024.0
    except OSError:
        return 0.0
    return 0.0


if __name__ == "__main__":
    main()
