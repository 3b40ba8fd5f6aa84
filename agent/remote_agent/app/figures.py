"""The agent's metrics, read when somebody asks: nothing is counted for them but what is said here.
Looks at the driver and its session, changes nothing."""

from __future__ import annotations

import time

from remote_agent import __version__
from remote_agent.app.driver import SessionDriver
from remote_protocol.metrics import Family, Sample, single, text_of


def metrics_text(driver: SessionDriver) -> str:
    """All of them as Prometheus reads them."""
    return text_of(families(driver))


def families(driver: SessionDriver) -> list[Family]:
    """All of them."""
    session, assignment = driver.session, driver.assignment
    places = 0 if assignment is None else sum(assignment.capacity.values())
    ended = [Sample((reason,), count) for reason, count in sorted(session.end_counts.items())]
    taking = driver.desired.condition().accepting
    watch = driver.watch
    more = [] if watch is None else watch.families(session.running_specs)
    return [
        Family(
            "remote_agent_info",
            "gauge",
            "1, with the version.",
            ("version",),
            [Sample((__version__,), 1)],
        ),
        single(
            "remote_agent_jobs_running", "gauge", "Jobs that run or are about to.", session.running
        ),
        single(
            "remote_agent_capacity", "gauge", "Places for jobs, as the server last said.", places
        ),
        Family(
            "remote_agent_jobs_total",
            "counter",
            "Jobs that ended since the agent's start.",
            ("end_reason",),
            ended,
        ),
        single(
            "remote_agent_connected",
            "gauge",
            "1 while the server has welcomed the agent.",
            int(session.welcomed),
        ),
        single("remote_agent_accepting", "gauge", "1 while it takes jobs.", int(taking)),
        single(
            "remote_agent_reconnects_total",
            "counter",
            "Links to the server since the start, after the first.",
            max(0, driver.links - 1),
        ),
        single(
            "remote_agent_spool_bytes",
            "gauge",
            "Log bytes that the server has not acknowledged.",
            session.spool_bytes,
        ),
        single(
            "remote_agent_log_lag_bytes",
            "gauge",
            "The same, of the one job of which there are most.",
            session.log_lag_bytes,
        ),
        single(
            "process_cpu_seconds_total",
            "counter",
            "Processor time, without that of jobs.",
            round(time.process_time(), 3),
        ),
        *more,
    ]
