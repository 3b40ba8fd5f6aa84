"""Change sets reach all subscribers."""

from __future__ import annotations

from structlog.testing import capture_logs

from remote_server.bus import Bus, LocalBus
from remote_server.domain.change_set import ChangeSet, hears


def test_every_subscriber_hears_of_every_commit_in_order() -> None:
    bus: Bus = LocalBus()
    heard: list[tuple[str, ChangeSet]] = []
    bus.subscribe(lambda changes: heard.append(("first", changes)))
    bus.subscribe(lambda changes: heard.append(("second", changes)))
    one, two = ChangeSet(jobs={"a"}), ChangeSet(queued=True)
    bus.publish(one)
    bus.publish(two)
    assert heard == [("first", one), ("second", one), ("first", two), ("second", two)]


def test_a_subscriber_that_fails_keeps_nobody_from_hearing() -> None:
    def fails(changes: ChangeSet) -> None:
        raise RuntimeError("our own mistake")

    bus = LocalBus()
    heard: list[ChangeSet] = []
    bus.subscribe(fails)
    bus.subscribe(heard.append)
    with capture_logs() as logs:
        bus.publish(ChangeSet(queued=True))
    assert heard == [ChangeSet(queued=True)]
    assert [line["event"] for line in logs] == ["a subscriber of commits failed"]


def test_who_is_marked_hears_of_these_changes_only() -> None:
    class Part:
        def __init__(self) -> None:
            self.heard: list[ChangeSet] = []

        @hears("jobs", "agents")
        def committed(self, changes: ChangeSet) -> None:
            self.heard.append(changes)

    bus, part = LocalBus(), Part()
    everything: list[ChangeSet] = []
    bus.subscribe(part.committed)
    told = [ChangeSet(queued=True), ChangeSet(jobs={"j"}, queued=True), ChangeSet(agents={"a"})]
    for changes in told:
        bus.publish(changes)
    bus.subscribe(everything.append)
    bus.publish(told[1])
    assert part.heard == [told[1], told[2], told[1]]
    assert everything == [told[1]]


def test_any_mixture_of_changes_is_told() -> None:
    bus = LocalBus()
    heard: list[ChangeSet] = []
    bus.subscribe(heard.append)
    for number in range(1000):
        bus.publish(ChangeSet(**{f"kind-{number}": True}))
    assert len(heard) == 1000
