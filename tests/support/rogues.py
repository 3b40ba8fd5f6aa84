"""What attackers use: agents that are only played, and sockets whose every byte is chosen.

Attackers come from addresses of their own, all of the loopback, so that what a server allows to
each address can be told from what it allows to everybody.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import struct
import urllib.request
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final

from remote_protocol.limits import SUBPROTOCOL

ATTACKER: Final = "127.0.0.66"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
"""Opcodes (RFC 6455 §5.2)."""
_HANDSHAKE: Final = 30.0
"""Seconds that a handshake may take on a busy machine."""


def enrol(url: str, name: str, registration: str, **settings: object) -> str:
    """Register an agent by hand; its token. HTTPError when the server refuses."""
    body = {"name": name, "settings": settings, "fingerprint": secrets.token_hex(8)}
    request = urllib.request.Request(
        f"{url}/api/v1/agent/register",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {registration}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        return str(json.load(answer)["token"])


def dial(
    port: int, source: str = ATTACKER, timeout: float = 10.0, host: str = "127.0.0.1"
) -> socket.socket:
    """A connection to the server from an address of the loopback."""
    link = socket.create_connection((host, port), timeout, source_address=(source, 0))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def reset(link: socket.socket) -> None:
    """End a connection with RST."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


@dataclass
class Reply:
    """An HTTP answer as far as it came."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    end: str = "whole"
    """`whole`, `open` when more may come, `torn` when it broke off."""


def read_reply(
    link: socket.socket, method: str = "GET", *, quiet: float = 5.0, most: int = 1 << 20
) -> Reply | None:
    """Read an answer to its end, or until nothing comes for `quiet` seconds, or `most` bytes came.

    None when the server closed the connection without one. TimeoutError when it says nothing.
    """
    response = http.client.HTTPResponse(link, method=method)
    try:
        response.begin()
    except (http.client.HTTPException, ConnectionError):
        return None
    reply = Reply(response.status, {k.lower(): v for k, v in response.getheaders()})
    if response.status == 101:
        return reply
    link.settimeout(quiet)
    try:
        while len(reply.body) < most and (piece := response.read1(65536)):
            reply.body += piece
    except TimeoutError:
        reply.end = "open"
    except (http.client.HTTPException, OSError):
        reply.end = "torn"
    else:
        if len(reply.body) >= most:
            reply.end = "open"
        elif response.length:
            reply.end = "torn"
    return reply


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0, masked: bool = True
) -> bytes:
    """One WebSocket frame (RFC 6455 §5.2), right or wrong."""
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    mask_bit, size = (0x80 if masked else 0), len(payload)
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 1 << 16:
        head += bytes([mask_bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", size)
    # The mask is zero: the payload is sent as it is.
    return head + (b"\0\0\0\0" if masked else b"") + payload


@dataclass
class RawLink:
    """An agent's WebSocket by hand. `status` is that of the handshake."""

    socket: socket.socket
    status: int
    code: int | None = None
    """Close code of the server; 1006 when it closed without one."""
    pongs: int = 0
    """Answers to our pings."""
    _rest: bytearray = field(default_factory=bytearray)

    def send(self, data: bytes) -> bool:
        """Send bytes; whether the connection still takes them."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def say(self, text: bytes) -> bool:
        """Send a text message."""
        return self.send(frame(TEXT, text))

    def listen(self, quiet: float) -> list[bytes]:
        """The messages that come until nothing comes for `quiet` seconds; pings are answered."""
        found = []
        self.socket.settimeout(quiet)
        while self.code is None:
            part = self._frame()
            if part is not None:
                opcode, payload = part
                if opcode == CLOSE:
                    self.code = struct.unpack(">H", payload[:2])[0] if len(payload) > 1 else 1005
                elif opcode == PING:
                    self.send(frame(PONG, payload))
                elif opcode == PONG:
                    self.pongs += 1
                elif opcode in (TEXT, BINARY):
                    found.extend(payload.split(b"\n") if opcode == TEXT else [payload])
                continue
            try:
                data = self.socket.recv(1 << 18)
            except TimeoutError:
                break
            except OSError:
                data = b""
            if not data:
                self.code = 1006
            self._rest += data
        return found

    def close(self) -> None:
        """End the connection without a word."""
        reset(self.socket)

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame of the server, which never masks and never fragments."""
        rest = self._rest
        if len(rest) < 2:
            return None
        size, start = rest[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(rest[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(rest[2:10]), 10
        if len(rest) < start + size:
            return None
        opcode, payload = rest[0] & 0x0F, bytes(rest[start : start + size])
        del rest[: start + size]
        return opcode, payload


def open_link(
    port: int,
    token: str,
    *,
    source: str = ATTACKER,
    timeout: float = 10.0,
    host: str = "127.0.0.1",
) -> RawLink:
    """An agent's link up to the handshake, by whatever token. OSError when it is not taken."""
    link = dial(port, source, _HANDSHAKE, host)
    link.sendall(
        b"GET /api/v1/agent/session HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        + b64encode(secrets.token_bytes(16))
        + f"\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n".encode()
        + b"Authorization: Bearer "
        + token.encode()
        + b"\r\n\r\n"
    )
    # Byte by byte up to the blank line: what follows it are frames already.
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = link.recv(1)
        if not byte:
            link.close()
            raise ConnectionError("the server closed the connection within the handshake")
        head += byte
    link.settimeout(timeout)
    return RawLink(link, int(head.split()[1]))
