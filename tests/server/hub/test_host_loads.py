"""The last samples of each host, in little memory."""

from __future__ import annotations

import pytest

from remote_protocol.messages import Heartbeat, HostLoad
from remote_server.hub.host_loads import CLOSEST, KEPT, HostLoads, Sample
from tests.support.live_hub import LiveHub, until


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_samples_are_kept_in_turn_and_bounded() -> None:
    clock = Clock()
    loads = HostLoads(clock)
    for number in range(KEPT + 30):
        loads.add("a", HostLoad(cpu=number % 100, memory_free=1, memory_total=4))
        clock.now += 30
    found = loads.since("a", 1e9)
    assert len(found) == KEPT
    assert found[-1] == Sample(clock.now - 30, 49.0, 75.0, None, None)
    assert found[0].at == clock.now - 30 * KEPT
    assert len(loads.since("a", 60)) == 2
    latest = loads.latest("a")
    assert latest is not None and latest.cpu == 49
    loads.forget("a")
    assert loads.since("a", 1e9) == [] and loads.latest("a") is None
    loads.forget("a")


def test_a_flood_of_samples_takes_no_place() -> None:
    clock = Clock()
    loads = HostLoads(clock)
    for number in range(1000):
        loads.add("a", HostLoad(load=number))
        clock.now += CLOSEST / 100
    assert len(loads.since("a", 1e9)) == 10
    latest = loads.latest("a")
    assert latest is not None and latest.load == 999


def test_more_free_than_there_is_means_nothing_used() -> None:
    loads = HostLoads(Clock())
    loads.add("a", HostLoad(disk_free=9, disk_total=3, memory_free=1, memory_total=0))
    (found,) = loads.since("a", 1)
    assert (found.disk, found.memory) == (0.0, None)


async def test_heartbeats_say_it_and_it_goes_with_its_agent(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await agent.send(Heartbeat(seq=1, load=HostLoad(cpu=12.5)))
        await agent.send(Heartbeat(seq=2))
        await until(lambda: place.hub.status("a").load == HostLoad(cpu=12.5))
    assert place.hub.status("a").load == HostLoad(cpu=12.5), "as it was last heard"
    await place.store.delete_agent("a", 0.0)
    await until(lambda: place.hub.status("a").load is None)


@pytest.mark.parametrize("bad", [{"cpu": 101}, {"cpu": float("nan")}, {"load": -1}])
def test_what_makes_no_sense_is_no_load(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        HostLoad.model_validate(bad)
