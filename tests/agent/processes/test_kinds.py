"""The words that every platform shares."""

from __future__ import annotations

from remote_agent.processes.kinds import NOT_FOUND, SpawnFailed


def test_a_failed_start_carries_its_exit_code() -> None:
    failure = SpawnFailed("program 'x' not found", NOT_FOUND)
    assert (str(failure), failure.exit_code) == ("program 'x' not found", 127)
