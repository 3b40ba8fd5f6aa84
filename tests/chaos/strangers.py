"""Strangers of the chaos run: whoever reaches the server's port, without any token."""

from __future__ import annotations

import contextlib
import gzip
import random
import socket
import time
from contextlib import ExitStack
from functools import cache

from tests.chaos.stage import Missed, Stage
from tests.support.rogues import dial, read_reply

_ADDRESSES = [f"127.0.0.{number}" for number in range(66, 90)]


def idle(stage: Stage, dice: random.Random) -> str:
    """Hundreds of connections that say nothing."""
    return _hold(stage, dice, b"")


def unfinished(stage: Stage, dice: random.Random) -> str:
    """Hundreds of connections with headers that do not end, or a body that does not come."""
    begun = [
        b"GET / HTTP/1.1\r\nX-A: " + b"a" * 8_000,
        b"GET / HTTP/1.1\r\n" + (b"X-A: " + b"a" * 4_000 + b"\r\n") * 30,
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n{",
        b"GET /api/v1/agent/session HTTP/1.1\r\nUpgrade: websocket\r\nHo",
    ]
    return _hold(stage, dice, dice.choice(begun))


def inflate(stage: Stage, dice: random.Random) -> str:
    """Bodies of a few KB that say to be of 64 MB."""
    body = _inflating()
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    statuses = {_ask(stage, dice, whole) for _ in range(dice.randrange(1, 20))}
    return f"sent inflating bodies, answered {sorted(map(str, statuses))}"


def malformed(stage: Stage, dice: random.Random) -> str:
    """Requests that are none."""
    for _ in range(dice.randrange(20, 200)):
        junk = dice.choice([b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", dice.randbytes(200), b"\r\n"])
        _ask(stage, dice, junk + b"\r\n\r\n")
    return "sent malformed requests"


def guess(stage: Stage, dice: random.Random) -> str:
    """Tokens that are none."""
    for _ in range(dice.randrange(20, 200)):
        token = (
            dice.choice([b"rpt_", b"rat_", b"rrt_", b"\xff"]) + dice.randbytes(20).hex().encode()
        )
        ask = b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token
        status = _ask(stage, dice, ask + b"\r\n\r\n")
        if status == 200:
            stage.complain("a stranger guessed a token")
    return "guessed tokens"


@cache
def _inflating() -> bytes:
    return gzip.compress(b" " * (1 << 26))


def _hold(stage: Stage, dice: random.Random, begun: bytes) -> str:
    host, port = stage.address
    count = dice.randrange(50, 600)
    with ExitStack() as held:
        opened = 0
        for _ in range(count):
            with contextlib.suppress(OSError):
                link = held.enter_context(dial(port, dice.choice(_ADDRESSES), 0.5, host))
                link.setblocking(False)
                opened += 1
                link.send(begun)
        if not opened:
            raise Missed("strangers: nobody listened")
        time.sleep(dice.uniform(0.2, 4.0))
    return f"held {opened} connections that had said {len(begun)} bytes"


def _ask(stage: Stage, dice: random.Random, request: bytes) -> int | None:
    host, port = stage.address
    with contextlib.suppress(OSError), dial(port, dice.choice(_ADDRESSES), 2.0, host) as link:
        link.sendall(request)
        with contextlib.suppress(socket.timeout):
            reply = read_reply(link, quiet=0.5)
            return reply.status if reply else None
    return None
