"""Which program runs Python jobs."""

from __future__ import annotations

from remote_agent.processes.python import (
    PREPARES_ENVIRONMENTS,
    environment_programs,
    python_command,
)


def test_the_version_counts_more_than_the_configured_one() -> None:
    assert python_command(None, None) == ["python3"]
    assert python_command(None, "/opt/python") == ["/opt/python"]
    assert python_command("3.12", "/opt/python") == ["python3.12"]
    assert PREPARES_ENVIRONMENTS


def test_where_programs_of_an_environment_are() -> None:
    assert environment_programs("/opt/a") == "/opt/a/bin"
