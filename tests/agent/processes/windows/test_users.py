"""There are no other users for jobs on Windows, and that is said."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import pytest

from remote_agent.processes.windows import users


def test_no_job_runs_as_another_user() -> None:
    assert users.missing_privileges() == ["a system other than Windows"]
    for ask in (lambda: users.account("x"), lambda: users.unnamed_account(5)):
        with pytest.raises(KeyError):
            ask()
    with pytest.raises(OSError):
        users.switch_user(1, 1, [], True)
    assert users.living_users() == set() and users.kill_user(5) == 0
