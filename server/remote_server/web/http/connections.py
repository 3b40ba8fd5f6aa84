"""Who may be connected: budgets for anonymous peers, clients, agents. No I/O but closing.

A connection starts as anonymous. The first request with a valid token makes it a client's, an
agent's session makes it a link. Each kind has a budget of its own, made from the number of files
that the process may open, so that none of them can take the place of another:

    anonymous   the oldest of the address that has most of them goes when a new one comes
    clients     one that is idle goes when a new one comes; without an idle one: 503, but not for
                an admin's token: those have a reserve
    links       agents; never closed to make room; a few of each agent

Loopback has no bound for each address: it is a reverse proxy, or whoever looks after the server.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol

import structlog

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_server.domain.model import Token
from remote_server.networks import network
from remote_server.throttle import Throttle
from remote_server.web.http.problems import ApiProblem

HEAD_TIME: Final = 15.0
"""Seconds that an anonymous peer has for the head of a request."""
EACH_AGENT: Final = 8
"""Links of one agent: its own, and former ones that are being closed."""
EACH_PROBE: Final = 2
"""Probes of one agent, or of one registration token."""
PROBES_SHARE: Final = 8
"""So many links for each probe that there may be."""
_PROBE: Final = "probe/"
"""Begins what probes are counted by; no agent has such a name."""
RESERVE: Final = 16
"""Connections beyond the clients' budget that are kept for admins."""
_FILES: Final = 384
"""Files that are not connections: logs, packed logs, the database."""
_LOOK: Final = 1.0
_CLOSING: Final = 10.0
_QUIET: Final = 10.0
_log = structlog.get_logger("remote_server.web")


class Allowance(NamedTuple):
    """How many connections there may be of each kind."""

    anonymous: int
    each_address: int
    """Anonymous connections of one address."""
    clients: int
    links: int


def allowance(files: int, most: int) -> Allowance:
    """The budgets for a process that may open so many `files` and have `most` connections."""
    room = min(max(files - min(_FILES, files // 3), 64), most)
    anonymous = min(max(room // 8, 16), 1024)
    clients = min(max(room // 4, 16), 4096)
    links = max(room - anonymous - clients - RESERVE, 16)
    return Allowance(anonymous, max(anonymous // 4, 8), clients, links)


class PeerKind(Enum):
    """What is known of whoever is at the other end."""

    ANONYMOUS = "anonymous"
    CLIENT = "client"
    LINK = "link"


class Peer(Protocol):
    """A connection, as far as its budget is concerned."""

    address: str
    kind: PeerKind
    since: float
    """When it last did something, as far as `look` knows; `clock` seconds."""
    stuck_since: float | None
    """When its reader last took something, while there is something to take."""

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""

    @property
    def requests(self) -> int:
        """Requests that have come."""

    @property
    def unread(self) -> int | None:
        """Bytes that wait for a reader that is slow; None: nothing waits. 0: it is closing."""

    def abort(self) -> None:
        """Close it at once, whatever was not sent yet."""


class Connections:
    """All connections of the server, by kind."""

    def __init__(
        self,
        allowed: Allowance,
        write_time: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.allowed = allowed
        self._write_time = write_time
        self._clock = clock
        self._anonymous: OrderedDict[Peer, None] = OrderedDict()
        self._of: dict[str, OrderedDict[Peer, None]] = {}
        self._clients: OrderedDict[Peer, None] = OrderedDict()
        self._links: dict[Peer, str] = {}
        self._links_of: Counter[str] = Counter()
        self._probes = 0
        self._seen: dict[Peer, tuple[int, int | None]] = {}
        self._throttle = Throttle(_QUIET)

    def counts(self) -> dict[PeerKind, int]:
        """Connections of each kind."""
        return {
            PeerKind.ANONYMOUS: len(self._anonymous),
            PeerKind.CLIENT: len(self._clients),
            PeerKind.LINK: len(self._links),
        }

    def opened(self, peer: Peer) -> None:
        """A connection was made; an older anonymous one goes when there are too many."""
        peer.since = self._clock()
        place = network(peer.address)
        others = self._of.setdefault(place, OrderedDict())
        if place and len(others) >= self.allowed.each_address:
            self._turn_out(_first(others), "its address has too many connections")
        elif len(self._anonymous) >= self.allowed.anonymous:
            self.relieve()
        self._anonymous[peer] = None
        self._of.setdefault(place, OrderedDict())[peer] = None

    def relieve(self) -> None:
        """Close the oldest connection of the address that has most anonymous ones."""
        if self._of:
            crowded = max(self._of.values(), key=len)
            self._turn_out(_first(crowded), "there are too many connections without a valid token")

    def proved(self, peer: Peer, token: Token) -> None:
        """A request came with a valid token. ApiProblem `overloaded` when there is no room."""
        if peer.kind is not PeerKind.ANONYMOUS:
            return
        full = len(self._clients) - self.allowed.clients
        if full >= 0:
            idle = next((client for client in self._clients if client.idle), None)
            if idle is not None:
                self._turn_out(idle, "other clients need its room")
            elif token.role is not Role.ADMIN or full >= RESERVE:
                raise ApiProblem(
                    ErrorCode.OVERLOADED,
                    f"{len(self._clients)} clients are connected, the most that this server's "
                    "limit of open files allows; try again later",
                    headers={"Retry-After": "5", "Connection": "close"},
                )
        self._forget(peer)
        peer.kind = PeerKind.CLIENT
        self._clients[peer] = None

    def probed(self, peer: Peer, who: str) -> None:
        """An agent, or a host that wants to become one, tries its way. ApiProblem `overloaded`
        when there is no room: probes take a small part of what there is for links."""
        key = f"{_PROBE}{who}"
        own, most = self._links_of[key], max(self.allowed.links // PROBES_SHARE, 1)
        if own >= EACH_PROBE or self._probes >= most:
            raise ApiProblem(
                ErrorCode.OVERLOADED,
                f"{own} probes with this token are open, {EACH_PROBE} may be, and {self._probes} "
                f"of all agents, {most} may be; try again when they have ended",
                headers={"Retry-After": "30", "Connection": "close"},
            )
        self._link(peer, key)
        self._probes += 1

    def linked(self, peer: Peer, agent: str) -> None:
        """An agent's session begins. ApiProblem `overloaded` when there is no room."""
        if self._links_of[agent] >= EACH_AGENT:
            raise ApiProblem(
                ErrorCode.OVERLOADED,
                f"the agent {agent!r} has {EACH_AGENT} connections that are not closed yet; "
                "try again later",
                headers={"Retry-After": "5", "Connection": "close"},
            )
        self._link(peer, agent)

    def _link(self, peer: Peer, key: str) -> None:
        if len(self._links) >= self.allowed.links:
            raise ApiProblem(
                ErrorCode.OVERLOADED,
                f"{len(self._links)} agents are connected, the most that this server's limit of "
                "open files allows; raise it (LimitNOFILE= of its service)",
                headers={"Retry-After": "30", "Connection": "close"},
            )
        self._forget(peer)
        peer.kind = PeerKind.LINK
        self._links[peer] = key
        self._links_of[key] += 1

    def closed(self, peer: Peer) -> None:
        """It is gone."""
        self._forget(peer)
        self._seen.pop(peer, None)

    async def run(self) -> None:
        """Look after all connections for as long as the server runs."""
        while True:
            await asyncio.sleep(_LOOK)
            self.look()

    def look(self) -> None:
        """Close what has taken too long: those without a request, readers that do not read."""
        now = self._clock()
        for peer in [*self._anonymous, *self._clients]:
            requests, unread = peer.requests, peer.unread
            seen = self._seen.get(peer)
            if seen is None or seen[0] != requests or not peer.idle:
                peer.since = now
            if unread is None:
                peer.stuck_since = None
            elif peer.stuck_since is None or (seen and seen[1] is not None and unread < seen[1]):
                peer.stuck_since = now
            self._seen[peer] = (requests, unread)
            if peer.stuck_since is not None:
                longest = self._write_time if unread else min(self._write_time, _CLOSING)
                if now - peer.stuck_since > longest:
                    self._turn_out(peer, "it does not read its answer")
            elif peer.kind is PeerKind.ANONYMOUS and now - peer.since > HEAD_TIME:
                peer.abort()

    def malformed(self, reason: str, address: str) -> None:
        """Something came that is no request: one line in a while says so."""
        # One kind, whatever the reason: that holds what anybody wrote.
        self._say("malformed", "malformed request", reason, address)

    def _say(self, kind: str, event: str, reason: str, address: str) -> None:
        more = self._throttle.take(kind, self._clock())
        if more is not None:
            others = {"like_it_since": more} if more else {}
            _log.warning(event, reason=reason, address=address, **others)

    def _turn_out(self, peer: Peer, reason: str) -> None:
        self._say(reason, "connection closed", reason, peer.address)
        self.closed(peer)
        peer.abort()

    def _forget(self, peer: Peer) -> None:
        if self._anonymous.pop(peer, peer) is None:
            place = network(peer.address)
            others = self._of.get(place)
            if others is not None:
                others.pop(peer, None)
                if not others:
                    del self._of[place]
        self._clients.pop(peer, None)
        agent = self._links.pop(peer, None)
        if agent is not None:
            self._probes -= agent.startswith(_PROBE)
            self._links_of[agent] -= 1
            if not self._links_of[agent]:
                del self._links_of[agent]


def _first(peers: OrderedDict[Peer, None]) -> Peer:
    """The oldest one that has sent no request; where all have: the oldest one. An agent whose
    token is looked up must not go before those who say nothing."""
    return next((peer for peer in peers if peer.idle), next(iter(peers)))
