"""Change sets reach all subscribers."""

from __future__ import annotations

from structlog.testing import capture_logs

from remote_server.bus import Bus, LocalBus
from remote_server.domain.change_set import ChangeSet


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
