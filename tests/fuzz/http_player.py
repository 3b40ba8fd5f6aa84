"""Plays generated requests against the ground, and says what is wrong with the answer."""

from __future__ import annotations

import json
import socket
from collections import deque
from contextlib import suppress
from typing import Final

from tests.fuzz.ground import Ground
from tests.fuzz.http_cases import HttpCase
from tests.support.rogues import Reply, dial, read_reply, reset

_MOST_LEFT: Final = 24
"""Connections that slow senders hold open at a time."""
_ANSWER: Final = 30.0
"""Seconds until a complete request has its answer, on a machine with much to do."""
_LASTING: Final = 0.1


class HttpPlayer:
    """Sends requests, each on a connection of its own."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._left: deque[socket.socket] = deque()

    def play(self, case: HttpCase) -> None:
        """AssertionError when the answer is none that a client's request can lead to."""
        link = dial(self._ground.stack.port)
        try:
            self._send(link, case)
            if case.delivery == "slow":
                self._leave(link)
                return
            if case.delivery == "cut":
                with suppress(OSError):  # ENOTCONN: the server has hung up already.
                    link.shutdown(socket.SHUT_WR)
            reply = self._read(link, case)
        except ConnectionError:
            reply = None  # A server may hang up on what it does not want to read.
        finally:
            if link not in self._left:
                reset(link)
        if reply is not None:
            self._judge(case, reply)
        changes = case.method in ("DELETE", "POST") and reply is not None and reply.status < 300
        if changes and "/agent" in case.target:
            self._ground.renew()

    def close(self) -> None:
        """End the connections that were left."""
        while self._left:
            reset(self._left.popleft())

    def _leave(self, link: socket.socket) -> None:
        self._left.append(link)
        if len(self._left) > _MOST_LEFT:
            reset(self._left.popleft())

    def _send(self, link: socket.socket, case: HttpCase) -> None:
        fill = self._ground.fill
        names = {name.lower() for name, _ in case.headers}
        lines = [f"{case.method} {fill(case.target)} HTTP/1.1"]
        if "host" not in names:
            lines.append("Host: fuzz")
        if case.token and "authorization" not in names:
            lines.append(f"Authorization: Bearer {self._ground.token(case.token)}")
        chunked = case.delivery == "chunked"
        if not names & {"content-length", "transfer-encoding"}:
            if chunked:
                lines.append("Transfer-Encoding: chunked")
            elif case.body or case.delivery == "slow":
                more = 1 if case.delivery in ("cut", "slow") else 0
                lines.append(f"Content-Length: {len(case.body) + more}")
        lines += [f"{name}: {fill(text)}" for name, text in case.headers]
        head = "\r\n".join(lines).encode("latin-1", "replace")
        if case.delivery == "slow" and len(case.body) % 2:
            link.sendall(head[: len(head) // 2])
            return
        link.sendall(head + b"\r\n\r\n" + (_chunks(case.body) if chunked else case.body))

    def _read(self, link: socket.socket, case: HttpCase) -> Reply | None:
        link.settimeout(_ANSWER if case.complete else 0.3)
        try:
            return read_reply(link, case.method, quiet=_LASTING)
        except TimeoutError:
            assert not case.complete, f"no answer to a whole request within {_ANSWER:g} s"
            return None

    def _judge(self, case: HttpCase, reply: Reply) -> None:
        text = reply.body[:500].decode(errors="replace")
        if reply.status >= 500:
            # 503 is the one that a client may meet: try again later.
            assert reply.status == 503, f"{reply.status} {text}"
            assert "retry-after" in reply.headers, f"503 without Retry-After: {text}"
        problem_form = "problem+json" in reply.headers.get("content-type", "")
        if problem_form and reply.body and reply.end == "whole":
            problem = json.loads(reply.body)
            assert problem["code"], text
            assert problem["detail"], text
            assert len(reply.body) < 1 << 18, f"a problem of {len(reply.body)} bytes"
        if case.complete:
            assert reply.end != "torn", f"the answer broke off: {reply.status} {text}"


def _chunks(body: bytes) -> bytes:
    """In chunked coding (RFC 9112 §7.1), two chunks."""
    half = len(body) // 2
    coded = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part
    )
    return coded + b"0\r\n\r\n"
