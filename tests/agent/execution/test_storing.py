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
from remote_agent.session.events import OfferFailed, OfferStored
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


async def test_offers_that_come_at_once_are_accepted_by_one_write(
    durable: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is said to be stored before that is on the disk, whichever came first."""
    monkeypatch.setattr(storing, "SLOW", 30.0)
    happened: list[object] = []
    store = AttemptStore(durable)
    store.open(happened.append)
    force = durable.force

    def seen() -> None:
        happened.append("forced")
        force()

    monkeypatch.setattr(durable, "force", seen)
    first, second, third = (offer() for _ in range(3))
    assert (store.store(first), store.store(second)) == (None, None)
    assert happened == []
    await asyncio.sleep(0)
    assert happened == ["forced", OfferStored(first.attempt), OfferStored(second.attempt)]
    assert store.store(third) is None
    await asyncio.sleep(0)
    assert happened[3:] == ["forced", OfferStored(third.attempt)]
    slots = (durable.path(first.attempt).parent.parent / "accepted").read_text().split()
    assert [str(o.attempt) in slots for o in (first, second, third)] == [True] * 3


async def test_a_slow_disk_holds_up_nothing_but_acceptances(
    durable: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "SLOW", -1.0)
    happened: list[object] = []
    store = AttemptStore(durable)
    store.open(happened.append)
    offers = [offer() for _ in range(4)]
    stored = [OfferStored(one.attempt) for one in offers]
    store.store(offers[0])
    await asyncio.sleep(0)
    assert happened == stored[:1], "the first one shows how slow it is"
    begun, goes_on, force = threading.Event(), threading.Event(), durable.force

    def slow() -> None:
        begun.set()
        assert goes_on.wait(30)
        force()

    monkeypatch.setattr(durable, "force", slow)
    store.store(offers[1])
    assert await asyncio.to_thread(begun.wait, 30)
    store.store(offers[2])
    store.store(offers[3])
    for _ in range(10):
        await asyncio.sleep(0)
    assert happened == stored[:1], "the loop goes on, and nothing is said too early"
    monkeypatch.setattr(storing, "SLOW", 30.0)
    goes_on.set()
    async with asyncio.timeout(30):
        while len(happened) < 4:
            await asyncio.sleep(0)
    assert happened == stored


async def test_a_slow_disk_that_refuses(durable: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(storing, "SLOW", -1.0)
    answers: list[object] = []
    store = AttemptStore(durable)
    store.open(answers.append)
    wanted = [offer(), offer()]
    store.store(offer())
    await asyncio.sleep(0)
    monkeypatch.setattr(durable, "force", broken)
    for one in wanted:
        store.store(one)
    async with asyncio.timeout(30):
        while len(answers) < 3:
            await asyncio.sleep(0)
    assert [type(answer) for answer in answers] == [OfferStored, OfferFailed, OfferFailed]
    assert not any(durable.path(one.attempt).exists() for one in wanted)


async def test_a_disk_that_takes_no_acceptance_refuses_all_of_the_turn(
    durable: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    answers: list[object] = []
    store = AttemptStore(durable)
    store.open(answers.append)
    wanted = [offer(), offer()]
    with monkeypatch.context() as patch:
        patch.setattr("remote_agent.journal.acceptances.sync_data", full)
        for one in wanted:
            store.store(one)
        await asyncio.sleep(0)
    for one, answer in zip(wanted, answers, strict=True):
        assert isinstance(answer, OfferFailed)
        assert (answer.key, answer.reason) == (one.attempt, Refusal.DISK)
        assert "No space left" in answer.detail
        assert not durable.path(one.attempt).exists(), "nothing of it is left"
    assert store.store(wanted[0]) is None, "another offer of it is taken"
    await asyncio.sleep(0)
    assert answers[2:] == [OfferStored(wanted[0].attempt)]


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
