"""Offers that become attempts on the disk, and the words for those that do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.config import Config
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
