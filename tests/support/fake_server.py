"""A small server that speaks the agent protocol for the agent's tests: real sockets, no store.

It keeps every log in memory, rules on inventories, acknowledges and settles as the real one
does, and can be told to misbehave: refuse tokens, cut links, swallow acks, go away.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import HEADER_SIZE, decode_chunk, decode_from_agent, encode, messages_of
from remote_protocol.ids import make_ulid
from remote_protocol.limits import MAX_CHUNK_FRAME, SUBPROTOCOL
from remote_protocol.messages import (
    Accept,
    Ack,
    AgentMessage,
    Assignment,
    Cancel,
    Condition,
    Confirm,
    DesiredMode,
    Ended,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Message,
    Offer,
    Refuse,
    Rewind,
    Ruling,
    Settled,
    Started,
    Verdict,
    Welcome,
)
from remote_protocol.spec import JobSpec
from remote_protocol.stream import Append, Gap, place

TOKEN = "rat_" + "t" * 43
DEADLINE = 60.0


def new_key(attempt: int = 1) -> AttemptId:
    """A key that no test has used."""
    return AttemptId(make_ulid(time.time_ns() // 1_000_000, os.urandom(10)), attempt)


async def until(
    condition: Callable[[], object], what: str = "", deadline: float = DEADLINE
) -> None:
    """Wait until `condition` holds; AssertionError after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {deadline} s: {what or condition}")
        await asyncio.sleep(0.005)


class FakeServer:
    """Use as `async with FakeServer() as server`. One agent; the newest link is the one."""

    def __init__(self) -> None:
        self.heartbeat_interval = 15.0
        self.offer_ttl = 45.0
        self.assignment = Assignment(queues=["default"], capacity={"default": 100})
        self.desired = DesiredMode()
        self.refusal: tuple[int, str] | None = None
        """HTTP status and problem code with which the next handshakes are refused."""
        self.confirm = True
        self.secrets: dict[str, str] = {}
        self.withheld: dict[str, str] = {}
        self.acknowledge = True
        self.settle = True
        self.superseded: set[AttemptId] = set()
        self.leases: dict[AttemptId, JobSpec] = {}
        self.cancels: dict[AttemptId, str] = {}
        self.logs: dict[AttemptId, bytearray] = defaultdict(bytearray)
        self.said: list[AgentMessage] = []
        self.accepted: list[AttemptId] = []
        self.started: dict[AttemptId, Started] = {}
        self.refused: dict[AttemptId, Refuse] = {}
        self.ended: dict[AttemptId, Ended] = {}
        self.settled: set[AttemptId] = set()
        self.hellos: list[Hello] = []
        self.condition = Condition()
        self.goodbyes: list[str] = []
        self.duplicates = 0
        self.port = 0
        self.wire: ServerConnection | None = None
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """What goes into an agent's [server] url."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; at the same port again after `stop`."""
        self._server = await serve(
            self._link,
            "127.0.0.1",
            self.port,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            process_request=self._door,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=MAX_CHUNK_FRAME,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut every link and stop listening."""
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Reset the link as a failing network does."""
        if self.wire is not None:
            self.wire.transport.abort()
            self.wire = None

    # What tests say ----------------------------------------------------------------------

    def say(self, message: Message) -> None:
        """Send a message; dropped without a link."""
        if self.wire is not None:
            from websockets.asyncio.server import broadcast

            broadcast([self.wire], encode(message))

    def offer(self, spec: JobSpec, key: AttemptId | None = None) -> AttemptId:
        """Give the agent a lease."""
        key = key or new_key()
        self.leases[key] = spec
        self.say(Offer(attempt=key, spec=spec))
        return key

    def cancel(self, key: AttemptId, detail: str = "") -> None:
        """SetMode an attempt's end; said again at every hello."""
        self.cancels[key] = detail
        self.say(Cancel(attempt=key, detail=detail))

    async def online(self, hellos: int = 1) -> None:
        """Wait until the agent has said hello so many times and is linked."""
        await until(lambda: len(self.hellos) >= hellos and self.wire, "the agent comes online")

    async def end_of(self, key: AttemptId) -> Ended:
        """Wait until an attempt has ended and its whole log is here."""
        await until(lambda: key in self.settled, f"{key} settles")
        return self.ended[key]

    # The protocol ------------------------------------------------------------------------

    def _door(self, wire: ServerConnection, request: Request) -> Response | None:
        if self.refusal is not None:
            status, code = self.refusal
            body = json.dumps({"title": "no", "status": status, "code": code, "detail": code})
            headers = Headers(
                {
                    "Content-Type": "application/problem+json",
                    "Content-Length": str(len(body)),
                    "Connection": "close",
                }
            )
            return Response(status, HTTPStatus(status).phrase, headers, body.encode())
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return wire.respond(HTTPStatus.UNAUTHORIZED, "wrong token\n")
        return None

    async def _link(self, wire: ServerConnection) -> None:
        old, self.wire = self.wire, wire
        if old is not None:
            old.transport.abort()
        try:
            while True:
                frame = await wire.recv()
                if self.wire is not wire:
                    return
                if isinstance(frame, bytes):
                    self._chunk(frame)
                else:
                    for text in messages_of(frame):
                        self._message(decode_from_agent(text))
        except ConnectionClosed:
            if self.wire is wire:
                self.wire = None

    def _chunk(self, frame: bytes) -> None:
        chunk = decode_chunk(frame)
        key, log = chunk.attempt, self.logs[chunk.attempt]
        match place(len(log), chunk.offset, len(frame) - HEADER_SIZE):
            case Append(skip):
                log += chunk.payload[skip:]
            case Gap(expected):
                self.say(Rewind(attempt=key, offset=expected))
                return
            case _:
                self.duplicates += 1
        if self.acknowledge:
            self.say(Ack(attempt=key, offset=len(log)))

    def _message(self, message: AgentMessage) -> None:
        self.said.append(message)
        match message:
            case Hello():
                self.hellos.append(message)
                self.condition = message.condition
                self._welcome(message)
            case Accept(attempt=AttemptId(job, attempt)):
                self.accepted.append(AttemptId(job, attempt))
                if self.confirm:
                    self._confirm(AttemptId(job, attempt))
            case Refuse(attempt=AttemptId(job, attempt)):
                self.refused[AttemptId(job, attempt)] = message
                self.leases.pop(AttemptId(job, attempt), None)
            case Started(attempt=AttemptId(job, attempt)):
                self.started[AttemptId(job, attempt)] = message
            case Ended():
                self._ended(message)
            case Heartbeat(seq=seq, condition=condition):
                self.condition = condition
                held = sum(key in self.accepted and key not in self.ended for key in self.leases)
                self.say(HeartbeatAck(seq=seq, epoch=1, leases=held, eligible=True))
            case Goodbye(reason=reason):
                self.goodbyes.append(reason)

    def _confirm(self, key: AttemptId) -> None:
        """With what it has of the secrets that the job names."""
        names = self.leases[key].secrets if key in self.leases else []
        given = {name: self.secrets[name] for name in names if name in self.secrets}
        withheld = {name: self.withheld[name] for name in names if name in self.withheld}
        self.say(Confirm(attempt=key, secrets=given, withheld=withheld))

    def _welcome(self, hello: Hello) -> None:
        held = {item.attempt for item in hello.inventory}
        self.say(
            Welcome(
                version=1,
                session=hello.session,
                epoch=len(self.hellos),
                agent="fake",
                heartbeat_interval=self.heartbeat_interval,
                offer_ttl=self.offer_ttl,
                assignment=self.assignment,
                desired=self.desired,
                rulings=[self._rule(key) for key in sorted(held)],
            )
        )
        for key, detail in self.cancels.items():
            if key in held and key not in self.settled:
                self.say(Cancel(attempt=key, detail=detail))

    def _rule(self, key: AttemptId) -> Ruling:
        verdict = Verdict.KEEP
        if key in self.superseded:
            verdict = Verdict.SUPERSEDED
        elif key in self.settled:
            verdict = Verdict.SETTLED
        offset = len(self.logs[key])
        return Ruling(attempt=key, verdict=verdict, offset=offset)

    def _ended(self, message: Ended) -> None:
        key = message.attempt
        log = self.logs[key]
        self.ended[key] = message
        if not self.settle:
            return
        if len(log) == message.size and zlib.crc32(log) == message.checksum:
            self.settled.add(key)
            self.leases.pop(key, None)
            self.say(Settled(attempt=key))
        else:
            if len(log) >= message.size:
                log.clear()
            self.say(Rewind(attempt=key, offset=len(log)))
