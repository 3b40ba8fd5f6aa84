"""Budgets of connections: anonymous peers, clients and links do not take each other's room."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from remote_protocol.ids import Role
from remote_server.domain.model import Token
from remote_server.web.http.connections import (
    EACH_AGENT,
    HEAD_TIME,
    RESERVE,
    Allowance,
    Connections,
    PeerKind,
    allowance,
)
from remote_server.web.http.problems import ApiProblem

VIEWER = Token("01ARZ3NDEKTSV4RRFFQ69G5FAV", "api", "v", 0.0, role=Role.VIEWER)
ADMIN = Token("01ARZ3NDEKTSV4RRFFQ69G5FAW", "api", "a", 0.0, role=Role.ADMIN)


class FakePeer:
    """A connection that is only counted."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.kind = PeerKind.ANONYMOUS
        self.since = 0.0
        self.stuck_since: float | None = None
        self.idle = True
        self.requests = 0
        self.unread: int | None = None
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Place:
    """Connections with a clock that the test moves."""

    def __init__(self, **changes: int) -> None:
        allowed = Allowance(anonymous=8, each_address=4, clients=3, links=2)._replace(**changes)
        self.now = 1000.0
        self.connections = Connections(allowed, 60.0, lambda: self.now)

    def come(self, address: str = "192.0.2.1") -> FakePeer:
        peer = FakePeer(address)
        self.connections.opened(peer)
        return peer

    def client(self, token: Token = VIEWER) -> FakePeer:
        peer = self.come("127.0.0.1")
        self.connections.proved(peer, token)
        return peer


@pytest.mark.parametrize("files", [64, 256, 1024, 4096, 65536, 1 << 20])
def test_the_budgets_fit_into_the_files(files: int) -> None:
    found = allowance(files, 20_000)
    assert min(found) >= 8
    if files >= 256:
        assert found.anonymous + found.clients + found.links + RESERVE < files
    assert found.anonymous <= 1024
    assert found.clients <= 4096
    assert found.anonymous + found.clients + found.links + RESERVE <= max(20_000, 80)


def test_one_address_has_few_anonymous_connections_and_its_oldest_goes() -> None:
    place = Place()
    mine = [place.come() for _ in range(4)]
    other = place.come("198.51.100.9")
    with capture_logs() as logs:
        newest = place.come()
    assert [peer.aborted for peer in mine] == [True, False, False, False]
    assert not other.aborted
    assert not newest.aborted
    assert logs[0]["reason"] == "its address has too many connections"


def test_when_anonymous_connections_are_too_many_the_address_with_most_pays() -> None:
    place = Place()
    few = [place.come(f"192.0.2.{n}") for n in range(5)]
    crowd = [place.come("198.51.100.9") for _ in range(3)]
    newest = place.come("203.0.113.1")
    assert [peer.aborted for peer in (*crowd, *few, newest)] == [True] + [False] * 8
    assert place.connections.counts()[PeerKind.ANONYMOUS] == 8


def test_loopback_has_no_bound_of_its_own() -> None:
    place = Place(anonymous=100)
    assert not any(peer.aborted for peer in [place.come("127.0.0.1") for _ in range(50)])


def test_a_new_client_takes_the_room_of_an_idle_one() -> None:
    place = Place()
    clients = [place.client() for _ in range(3)]
    clients[0].idle = False
    newest = place.client()
    assert [peer.aborted for peer in (*clients, newest)] == [False, True, False, False]
    assert newest.kind is PeerKind.CLIENT


def test_an_admin_finds_room_where_others_do_not() -> None:
    place = Place()
    for _ in range(3):
        place.client().idle = False
    with pytest.raises(ApiProblem) as caught:
        place.client()
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "5")
    for _ in range(RESERVE):
        place.client(ADMIN).idle = False
    with pytest.raises(ApiProblem):
        place.client(ADMIN)


def test_links_have_a_budget_that_nobody_else_takes() -> None:
    place = Place()
    for _ in range(3):
        place.client().idle = False
    links = [place.come("192.0.2.1") for _ in range(2)]
    for link in links:
        place.connections.linked(link, "a")
    for _ in range(50):
        place.come("192.0.2.1")
    assert not any(link.aborted for link in links)
    with pytest.raises(ApiProblem, match="agents are connected"):
        place.connections.linked(place.come(), "a")
    place.connections.closed(links[0])
    place.connections.linked(place.come(), "a")


def test_an_anonymous_connection_without_a_request_is_closed_in_time() -> None:
    place = Place()
    silent, asking, busy = place.come(), place.come(), place.come()
    place.connections.look()
    place.now += HEAD_TIME - 1
    asking.requests += 1
    busy.idle = False
    place.connections.look()
    place.now += 2
    place.connections.look()
    assert (silent.aborted, asking.aborted, busy.aborted) == (True, False, False)
    place.now += HEAD_TIME
    place.connections.look()
    assert (asking.aborted, busy.aborted) == (True, False)


def test_a_reader_that_does_not_read_is_closed_and_a_slow_one_is_not() -> None:
    place = Place()
    stuck, slow, closing = place.client(), place.client(), place.client()
    for peer in (stuck, slow, closing):
        peer.idle = False
    for second in range(70):
        stuck.unread = 100_000
        slow.unread = 100_000 - second
        closing.unread = 0
        place.connections.look()
        place.now += 1
    assert (stuck.aborted, slow.aborted, closing.aborted) == (True, False, True)


def test_what_is_gone_is_not_counted() -> None:
    place = Place()
    peers = [place.come(), place.client(), place.come()]
    place.connections.linked(peers[2], "a")
    place.connections.look()
    for peer in (*peers, *peers):
        place.connections.closed(peer)
    assert set(place.connections.counts().values()) == {0}
    assert not place.connections._of
    assert not place.connections._seen


def test_anonymous_peers_cannot_fill_the_log() -> None:
    place = Place(each_address=1)
    with capture_logs() as logs:
        for number in range(1000):
            place.come()
            place.connections.malformed(f"{number} is no method, and I wrote it", "192.0.2.1")
        place.now += 11
        place.come()
    assert len(logs) == 3
    assert logs[-1]["like_it_since"] == 998


def test_who_is_being_answered_stays_before_those_who_say_nothing() -> None:
    place = Place()
    agent = place.come()
    agent.idle = False
    for _ in range(500):
        place.come()
    assert not agent.aborted
    place.connections.linked(agent, "a")
    assert place.connections.counts()[PeerKind.ANONYMOUS] == 3


def test_where_all_are_being_answered_the_oldest_goes() -> None:
    place = Place()
    peers = [place.come() for _ in range(5)]
    assert [peer.aborted for peer in peers] == [True, False, False, False, False]
    for peer in peers:
        peer.idle = False
    place.come()
    assert [peer.aborted for peer in peers] == [True, True, False, False, False]


def test_one_agent_does_not_take_the_room_of_the_others() -> None:
    place = Place(links=100)
    links = [place.come("127.0.0.1") for _ in range(EACH_AGENT)]
    for link in links:
        place.connections.linked(link, "rogue")
    with pytest.raises(ApiProblem, match="'rogue' has 8 connections") as caught:
        place.connections.linked(place.come("127.0.0.1"), "rogue")
    assert caught.value.status == 503
    place.connections.linked(place.come("127.0.0.1"), "honest")
    place.connections.closed(links[0])
    place.connections.linked(place.come("127.0.0.1"), "rogue")
    assert not any(link.aborted for link in links)
    for peer in (*links, *links, *tuple(place.connections._links)):
        place.connections.closed(peer)
    assert not place.connections._links_of


def test_probes_are_few_and_take_no_link_of_an_agent() -> None:
    place = Place(links=16)
    for _ in range(2):
        place.connections.probed(place.come("127.0.0.1"), "a")
    with pytest.raises(ApiProblem, match="2 may be"):
        place.connections.probed(place.come("127.0.0.1"), "a")
    # Two of sixteen links are all that probes may take.
    with pytest.raises(ApiProblem, match="of all agents, 2 may be"):
        place.connections.probed(place.come("127.0.0.1"), "b")
    for _ in range(EACH_AGENT):
        place.connections.linked(place.come("127.0.0.1"), "a")


def test_a_probe_that_ended_makes_room() -> None:
    place = Place(links=16)
    peers = [place.come("127.0.0.1") for _ in range(2)]
    for peer in peers:
        place.connections.probed(peer, "a")
    place.connections.closed(peers[0])
    place.connections.probed(place.come("127.0.0.1"), "b")
    assert place.connections.counts()[PeerKind.LINK] == 2
