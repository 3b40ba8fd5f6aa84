"""What the tests of sent metrics share."""

from __future__ import annotations

from remote_protocol.metrics import Family, Sample, single

FAMILIES = [
    single("remote_agent_jobs_running", "gauge", "Jobs that run.", 3),
    Family("remote_agent_jobs_total", "counter", "Ended.", ("end_reason",), [Sample(("exit",), 7)]),
    single("process_cpu_seconds_total", "counter", "Time.", 0.5),
    single("remote_agent_spool_bytes", "gauge", "Bytes.", 1 << 40),
]
"""An agent's metrics, of each kind that it has."""
