"""Whom jobs run as, and that no two living attempts are the same user."""

from __future__ import annotations

import os

import pytest

from remote_agent.errors import ConfigError
from remote_agent.journal import users as module
from remote_agent.journal.users import NoUserFree, Users
from remote_agent.sections import JobsPart
from remote_protocol.attempt_id import AttemptId

KEYS = [AttemptId("J", number) for number in range(1, 9)]


def made(**jobs: object) -> Users:
    return Users(JobsPart.model_validate(jobs))


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """A host with all powers; the set are the users that have processes."""
    living: set[int] = set()
    monkeypatch.setattr(module, "missing_privileges", list)
    monkeypatch.setattr(module, "living_users", lambda: set(living))
    return living


def test_the_agents_own_user() -> None:
    users = made()
    assert users.take(KEYS[0]) is None and not users.separate and users.of(KEYS[0]) is None
    assert "own user" in users.words


def test_one_user_for_all() -> None:
    users = made(run_as="nobody")
    assert users.separate and users.words.startswith("nobody (uid ")
    one, other = users.take(KEYS[0]), users.take(KEYS[1])
    assert one is not None and one == other and one.name == "nobody" and one.uid != 0
    assert users.of(KEYS[0]) is None, "he is not only this job"


def test_numbers_come_back_as_late_as_possible(host: set[int]) -> None:
    users = made(user_range="80000-80003")
    assert [users.take(key).uid for key in KEYS[:2]] == [80000, 80001]  # type: ignore[union-attr]
    users.release(KEYS[0])
    assert users.take(KEYS[2]).uid == 80002  # type: ignore[union-attr]
    host.add(80003)
    assert users.take(KEYS[3]).uid == 80000  # type: ignore[union-attr]
    with pytest.raises(NoUserFree, match="all 4 users"):
        users.take(KEYS[4])
    host.clear()
    assert users.take(KEYS[4]).uid == 80003  # type: ignore[union-attr]
    assert users.of(KEYS[4]) == 80003


def test_users_are_known_again_after_a_restart() -> None:
    users = made(user_range="80000-80003")
    users.hold(KEYS[0], 80001)
    users.hold(KEYS[1], 90000)
    users.hold(KEYS[2], None)
    assert [users.take(key).uid for key in KEYS[3:6]] == [80002, 80003, 80000]  # type: ignore[union-attr]
    assert users.of(KEYS[1]) == 90000
    other = made()
    other.hold(KEYS[0], 80001)
    assert other.of(KEYS[0]) is None


def test_all_faults_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing_privileges", lambda: ["CAP_KILL"])
    with pytest.raises(ConfigError) as caught:
        made(run_as="nosuchuser", user_range=f"{os.getuid() + 1}-100000")
    faults = caught.value.faults
    assert len(faults) == 3
    assert "no user 'nosuchuser'" in faults[0] and "holds numbers of" in faults[1]
    assert "CAP_KILL" in faults[2] and "start it as root" in faults[2]
    with pytest.raises(ConfigError, match="jobs of root"):
        made(run_as="root")
