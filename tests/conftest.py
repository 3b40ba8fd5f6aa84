"""What holds for all tests: Ctrl-C as a terminal would give it; databases end with the run;
no test stops a process of the run's own group; what takes long is run first."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.order import long_first

# A shell starts what it puts into the background with Ctrl-C ignored, and children inherit that
# through exec (signal(7)): tests that press Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says what else the machine does, not whether it is right. On a CI
# service Hypothesis sees to that itself.
if "CI" not in os.environ:
    settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("here")

# Names of failed tests on the last lines.
_MOST_NAMED = 12

# Programs are tried as users have them: what they could not print is in a buffer at their end.
os.environ.pop("PYTHONUNBUFFERED", None)


def _forbid_stops_in_our_group(event: str, arguments: tuple[object, ...]) -> None:
    """Raise for SIGSTOP to a process of the group of this run.

    A run whose parent is the machine's init, as a CI service's may be, is an orphaned process
    group: when one of its orphans ends while another member is stopped, the kernel sends SIGHUP
    to all of it (exit(3), "orphaned process group"), and the whole run is gone.
    """
    if event != "os.kill" or arguments[1] != getattr(signal, "SIGSTOP", None):
        return
    with suppress(ProcessLookupError):
        if os.getpgid(int(str(arguments[0]))) == os.getpgrp():
            raise AssertionError("start what a test stops with start_new_session=True")


sys.addaudithook(_forbid_stops_in_our_group)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The URL of a fresh database of the kind that the run is about."""
    from tests.support.databases import new_database

    return new_database(tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let several workers begin with what takes long."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    order = long_first([item.nodeid.partition("::")[0] for item in items], workers)
    items[:] = [items[index] for index in order]


def pytest_sessionfinish() -> None:
    """End the PostgreSQL server of this process, if some test needed one."""
    databases = sys.modules.get("tests.support.databases")
    if databases is not None:
        databases.stop()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Name what failed on the last lines: of a long output, a CI service may keep only the end."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and "PYTEST_XDIST_WORKER" not in os.environ:
        failed = [*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())]
        for one in failed[:_MOST_NAMED]:
            print(f"{one.outcome}: {one.nodeid}")
