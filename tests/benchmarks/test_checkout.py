"""A pair of this very checkout: started, measured, stopped."""

from __future__ import annotations

from pathlib import Path

from benchmarks.checkout import running

ROOT = Path(__file__).resolve().parent.parent.parent


def test_it_is_measured_over_plain_http(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100_000)
    with running(ROOT) as checkout:
        pids = [process.pid for process in checkout._processes]
        found = checkout.jobs(10) | checkout.latency(1) | checkout.requests(2)
        found |= checkout.output(source, "lines")
    # The kernel counts these in hundredths of a second.
    assert found.pop("CPU a job, shims and jobs, ms") >= 0
    assert all(figure > 0 for figure in found.values()), found
    assert {"jobs a second", "CPU a job, server, ms", "lines, MB a second"} < found.keys()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
