"""Ends that the server has not settled are forced to the disk, in threads, until that succeeds."""

from __future__ import annotations

from typing import cast

import pytest

from remote_agent.execution import end_syncs
from remote_agent.execution.end_syncs import EndSyncs
from remote_agent.journal import Journal
from remote_protocol.attempt_id import AttemptId
from tests.support.fake_server import new_key, until


class Disk:
    """In place of a journal: what is forced, and what the disk says to it."""

    def __init__(self) -> None:
        self.forced: list[AttemptId] = []
        self.faults: list[OSError] = []

    def sync(self, key: AttemptId) -> None:
        self.forced.append(key)
        if self.faults:
            raise self.faults.pop()


@pytest.fixture
def disk() -> Disk:
    return Disk()


def syncs_on(disk: Disk) -> EndSyncs:
    return EndSyncs(cast(Journal, disk))


async def test_an_end_that_the_server_does_not_settle_is_forced_once(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = syncs_on(disk)
    quick, slow = new_key(), new_key()
    syncs.seen(quick)
    syncs.settled(quick)
    syncs.seen(slow)
    syncs.tick()
    assert not syncs.busy, "the server has a second for it"
    monkeypatch.setattr(end_syncs, "SYNC_AFTER", 0.0)
    syncs.tick()
    syncs.tick()
    assert syncs.busy
    await until(lambda: not syncs.busy)
    syncs.tick()
    assert not syncs.busy
    assert disk.forced == [slow]


async def test_one_that_is_settled_while_others_are_forced_needs_nothing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end_syncs, "SYNC_AFTER", 0.0)
    syncs = syncs_on(disk)
    first, second = new_key(), new_key()
    syncs.seen(first)
    syncs.seen(second)
    syncs.tick()
    syncs.settled(second)
    await until(lambda: not syncs.busy)
    assert disk.forced == [first]


async def test_a_disk_that_cannot_sync_is_asked_again(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(end_syncs, "SYNC_AFTER", 0.0)
    disk.faults = [OSError(5, "Input/output error")]
    syncs = syncs_on(disk)
    key = new_key()
    syncs.seen(key)
    for _ in range(3):
        syncs.tick()
        await until(lambda: not syncs.busy)
    assert disk.forced == [key, key]
    said = capsys.readouterr().out
    assert "the end of an attempt cannot be forced to the disk; trying again" in said
    assert "Input/output error" in said
