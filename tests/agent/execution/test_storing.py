"""Offers that become attempts on the disk, and the words for those that do not."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.execution import storing
from remote_agent.execution.storing import AttemptStore
from remote_agent.journal import Journal
from remote_agent.journal.directory import NumberUsed
from remote_agent.journal.users import NoUserFree
from remote_agent.planning.order import HostContext
from remote_agent.sections import AgentPart
from remote_agent.session.events import (
    AcceptanceDurable,
    AcceptanceFailed,
    OfferFailed,
    OfferStored,
)
from remote_protocol.messages import Offer, Refusal
from remote_protocol.spec import CommandSpec
from tests.support.fake_server import new_key


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    config = Config(state_dir=tmp_path, agent=AgentPart(durability="normal"))
    return Journal(config, HostContext("a", os.environ))


def offer() -> Offer:
    return Offer(attempt=new_key(), spec=CommandSpec(command=["true"]))


def test_an_attempt_is_on_the_disk(journal: Journal) -> None:
    wanted = offer()
    assert AttemptStore(journal).store(wanted) == OfferStored(wanted.attempt)
    assert journal.path(wanted.attempt).is_dir()


def test_the_first_offer_has_memory_for_frames_kept(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    monkeypatch.setattr(storing, "keep_freed_memory", kept.append)
    store = AttemptStore(journal)
    assert kept == [], "an idle agent needs none"
    for _ in range(2):
        store.store(offer())
    assert len(kept) == 1 and kept[0] > 256 * 1024, "asyncio reads so much at once"


@pytest.fixture
def durable(tmp_path: Path) -> Journal:
    return Journal(Config(state_dir=tmp_path), HostContext("a", os.environ))


class Watched:
    """A store, and what has happened to it in order: flushes, and what it has reported."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.journal = journal
        self.happened: list[object] = []
        self.fault: Exception | None = None
        """What the disk says to a flush."""
        self.store = AttemptStore(journal)
        self.store.open(self.happened.append)
        self._force = journal.force
        monkeypatch.setattr(journal, "force", self._flush)
        monkeypatch.setattr(storing, "SLOW", 30.0)

    def _flush(self) -> None:
        self.happened.append("forced")
        if self.fault is not None:
            raise self.fault
        self._force()

    def accept(self, *offers: Offer) -> None:
        """As the driver does with an offer."""
        for one in offers:
            assert self.store.store(one) == OfferStored(one.attempt)
            self.store.force(one.attempt)

    @property
    def slots(self) -> list[str]:
        """Attempts of which the host would know after it has restarted."""
        file = self.journal.path(new_key()).parent.parent / "accepted"
        return [line.split()[0] for line in file.read_text().splitlines() if line.strip()]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.happened) < count:
                await asyncio.sleep(0)


@pytest.fixture
def watched(durable: Journal, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(durable, monkeypatch)


def kept(*offers: Offer) -> list[AcceptanceDurable]:
    return [AcceptanceDurable(one.attempt) for one in offers]


async def test_what_is_accepted_in_a_turn_shares_a_flush(watched: Watched) -> None:
    first, second, third = (offer() for _ in range(3))
    watched.accept(first, second)
    assert watched.happened == []
    await asyncio.sleep(0)
    assert watched.happened == ["forced", *kept(first, second)]
    watched.accept(third)
    await asyncio.sleep(0)
    assert watched.happened[3:] == ["forced", *kept(third)]
    assert set(watched.slots) == {str(one.attempt) for one in (first, second, third)}


async def test_what_is_said_at_the_end_of_the_turn_goes_ahead_of_the_flush(
    watched: Watched,
) -> None:
    """The link writes then, and a flush holds the loop."""
    wanted = offer()
    watched.store.store(wanted)
    asyncio.get_running_loop().call_soon(watched.happened.append, "said")
    watched.store.force(wanted.attempt)
    await asyncio.sleep(0)
    assert watched.happened == ["said", "forced", *kept(wanted)]


def test_without_durability_nothing_is_forced(journal: Journal) -> None:
    happened: list[object] = []
    store = AttemptStore(journal)
    store.open(happened.append)
    wanted = offer()
    store.store(wanted)
    store.force(wanted.attempt)
    assert happened == kept(wanted)


async def test_what_is_given_up_before_its_flush_takes_no_place(watched: Watched) -> None:
    gone, held = offer(), offer()
    watched.accept(gone)
    watched.journal.settle(gone.attempt)
    await asyncio.sleep(0)
    assert watched.happened == [], "there is nothing to flush"
    watched.accept(gone, held)
    watched.journal.settle(gone.attempt)
    await asyncio.sleep(0)
    assert watched.happened == ["forced", *kept(held)]
    assert watched.slots == [str(held.attempt)]


class SlowDisk:
    """The next flush of a store, which is made in a thread, lasts until `go`."""

    def __init__(self, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self._flush = watched.journal.force
        monkeypatch.setattr(watched.journal, "force", self._wait)

    def _wait(self) -> None:
        self.begun.set()
        assert self.go.wait(30)
        self._flush()

    @staticmethod
    async def of(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
        """The first flush shows how slow it is."""
        monkeypatch.setattr(storing, "SLOW", -1.0)
        watched.accept(offer())
        await watched.until(2)
        watched.happened.clear()
        return SlowDisk(watched, monkeypatch)


async def test_a_slow_disk_holds_up_nothing_but_starts(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = await SlowDisk.of(watched, monkeypatch)
    first, second, third = (offer() for _ in range(3))
    watched.accept(first)
    assert await asyncio.to_thread(disk.begun.wait, 30)
    watched.accept(second)
    await asyncio.sleep(0)
    watched.accept(third)
    for _ in range(10):
        await asyncio.sleep(0)
    assert watched.happened == [], "the loop goes on, and nothing starts too early"
    monkeypatch.setattr(storing, "SLOW", 30.0)
    disk.go.set()
    await watched.until(5)
    assert watched.happened == ["forced", *kept(first), "forced", *kept(second, third)]


async def test_the_flush_of_a_former_life_of_an_attempt_does_not_count(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = await SlowDisk.of(watched, monkeypatch)
    wanted = offer()
    watched.accept(wanted)
    assert await asyncio.to_thread(disk.begun.wait, 30)
    watched.journal.settle(wanted.attempt)
    watched.accept(wanted)
    disk.go.set()
    await watched.until(3)
    assert watched.happened == ["forced", "forced", *kept(wanted)]


@pytest.mark.parametrize("slow", [False, True])
async def test_a_disk_that_does_not_keep_an_acceptance(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    if slow:
        (await SlowDisk.of(watched, monkeypatch)).go.set()
    watched.fault = OSError(5, "Input/output error")
    wanted = [offer(), offer()]
    watched.accept(*wanted)
    await watched.until(3)
    for one, failed in zip(wanted, watched.happened[1:], strict=True):
        assert isinstance(failed, AcceptanceFailed) and failed.key == one.attempt
        assert failed.detail == (
            "its agent's disk does not keep that it was accepted (the state directory:"
            " Input/output error): see to that disk, the agent takes no jobs before"
        )
        assert watched.journal.path(one.attempt).exists(), "its end is written there"


@pytest.mark.parametrize("slow", [False, True])
async def test_a_flush_that_fails_as_nobody_foresaw_is_heard_of(
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    slow: bool,
) -> None:
    """Else its attempts, and with a thread all later ones, would wait for ever."""
    if slow:
        (await SlowDisk.of(watched, monkeypatch)).go.set()
    watched.fault = ValueError("a bug")
    first, second = offer(), offer()
    watched.accept(first)
    await watched.until(2)
    failed = watched.happened[1]
    assert isinstance(failed, AcceptanceFailed) and failed.key == first.attempt
    assert "(the state directory: ValueError: a bug)" in failed.detail
    assert "a flush of the disk failed" in capsys.readouterr().out
    watched.fault = None
    watched.accept(second)
    await watched.until(4)
    assert watched.happened[2:] == ["forced", *kept(second)]


async def test_a_disk_that_has_no_room_for_an_acceptance(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("remote_agent.journal.acceptances.write_at", full)
    watched.accept(offer())
    await asyncio.sleep(0)
    (failed,) = watched.happened
    assert isinstance(failed, AcceptanceFailed) and "No space left" in failed.detail


async def test_what_a_former_agent_has_left_is_forced_before_anything_else(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may have been killed between what it said and its flush."""
    left = offer()
    watched.accept(left)
    later = Watched(Journal(Config(state_dir=tmp_path), HostContext("a", os.environ)), monkeypatch)
    assert [record.key for record in later.journal.scan()] == [left.attempt]
    later.store.take_up()
    assert later.happened == ["forced", *kept(left)]
    assert later.slots == [str(left.attempt)]
    none = Watched(Journal(Config(state_dir=tmp_path), HostContext("a", os.environ)), monkeypatch)
    none.store.take_up()
    assert none.happened == []


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (NumberUsed("it has run here"), Refusal.STALE, "it has run here"),
        (NoUserFree("all 3 users are taken"), Refusal.CAPACITY, "all 3 users"),
        (OSError(28, "No space left"), Refusal.DISK, "can be written to the disk: .*No space"),
        (ValueError("No closing quotation"), Refusal.POLICY, "cannot prepare the job: No closing"),
    ],
)
def test_why_it_is_not(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: Refusal, words: str
) -> None:
    def fail(offer: Offer) -> None:
        raise error

    monkeypatch.setattr(journal, "store", fail)
    wanted = offer()
    answer = AttemptStore(journal).store(wanted)
    assert isinstance(answer, OfferFailed)
    assert (answer.key, answer.reason) == (wanted.attempt, reason)
    with pytest.raises(ValueError, match=words):
        raise ValueError(answer.detail)


def test_a_folder_that_a_job_had_closed_is_opened_and_tried_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = journal.store
    mended: list[bool] = []

    def closed_until_mended(offer: Offer) -> None:
        if not mended:
            raise PermissionError(13, "Permission denied")
        store(offer)

    def mend() -> bool:
        mended.append(True)
        return True

    monkeypatch.setattr(journal, "store", closed_until_mended)
    monkeypatch.setattr(journal, "mend", mend)
    wanted = offer()
    assert AttemptStore(journal).store(wanted) == OfferStored(wanted.attempt)
