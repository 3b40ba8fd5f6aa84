"""What is offered before its commit is compared with what the commit has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState
from remote_server.domain.model import Lease
from remote_server.early_offers import EarlyOffers, FoundPlaces, PassOffers
from tests.support.fake_links import FakeLinks
from tests.support.stored import spec


def lease(job: str, agent: str = "a") -> Lease:
    return Lease(AttemptId(job, 1), agent, AttemptState.OFFERED, "default", None, spec())


@pytest.fixture
def links() -> FakeLinks:
    fake = FakeLinks()
    fake.connect("a")
    return fake


def test_each_is_offered_once_and_doubted_if_it_is_not_stored(links: FakeLinks) -> None:
    offers = EarlyOffers(links)
    one, two, three, away = lease("1"), lease("2"), lease("3"), lease("4", "b")
    offers.send([one, two])
    offers.send([one])
    assert offers.compare([two, three, away]) == [away]
    assert links.offers == [one, two, three]
    assert links.doubted == [one]


async def test_a_pass_goes_on_when_they_are_written(links: FakeLinks) -> None:
    offers = PassOffers(links)
    offers.written([lease("1")])
    assert await offers.sent == [lease("1")]
    storing: asyncio.Future[Sequence[Lease]] = asyncio.get_running_loop().create_future()
    failure = RuntimeError("the disk is full")
    storing.set_exception(failure)
    offers.settle(storing)
    assert offers.failure is failure
    assert links.doubted == [lease("1")]


async def test_a_pass_without_early_offers_hears_of_the_commit(links: FakeLinks) -> None:
    loop = asyncio.get_running_loop()
    offers, storing = PassOffers(links), loop.create_future()
    storing.set_result([lease("1"), lease("2", "b")])
    offers.settle(storing)
    assert await offers.sent == [lease("1"), lease("2", "b")]
    assert (links.offers, offers.missed) == ([lease("1")], [lease("2", "b")])
    offers, failed = PassOffers(links), loop.create_future()
    failed.set_exception(RuntimeError("the disk is full"))
    offers.settle(failed)
    with pytest.raises(RuntimeError):
        await offers.sent
    offers, stopped = PassOffers(links), loop.create_future()
    stopped.cancel()
    offers.settle(stopped)
    assert offers.sent.cancelled()


def test_places_that_were_found_are_free_again_where_nothing_is_stored(links: FakeLinks) -> None:
    over: list[tuple[set[str], list[Lease]]] = []

    def places() -> FoundPlaces:
        agents = {"1": "a", "2": "b"}
        return FoundPlaces(links, agents, 5.0, lambda free, missed: over.append((free, [*missed])))

    found = places()
    found.written([lease("1")])
    found.stored([lease("1"), lease("2", "b")])
    assert over == [(set(), [lease("2", "b")])], "it has left"
    links.connect("b")
    found = places()
    found.stored([lease("1"), lease("2", "b")])
    assert len(over) == 1, "all is as it was found"
    found = places()
    found.written([lease("1")])
    found.stored([])
    assert over[1:] == [({"a", "b"}, [])]
    assert links.doubted == [lease("1")]
