"""The words that every platform shares."""

from __future__ import annotations

import pytest

from remote_agent.processes.types import NOT_FOUND, SpawnFailed, not_found_cure


def test_a_failed_start_carries_its_exit_code() -> None:
    failure = SpawnFailed("program 'x' not found", NOT_FOUND)
    assert (str(failure), failure.exit_code) == ("program 'x' not found", 127)


@pytest.mark.parametrize(
    ("program", "cure"),
    [
        ("cd", "it is a part of shells, no program; for shell syntax use a shell"),
        ("cd /tmp && ls", "the command is one program with its arguments apart"),
        ("./report.sh", "send it with --file report.sh"),
        ("bin/report", "send it with --file bin/report"),
        ("absent", "no directory of the job's PATH"),
        ("/usr/bin/absent", ""),
    ],
)
def test_what_helps_when_a_program_is_not_found(program: str, cure: str) -> None:
    assert cure in not_found_cure(program) and bool(cure) == bool(not_found_cure(program))
