"""One HTTP/1.1 connection (RFC 9112): h11 decides, a wire carries.

h11 has no I/O of its own, loads in a few milliseconds, and tells a message that ended from one
that was cut. What it cannot tell is why the other side closed: see `Response.delimited`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import h11

from remote_protocol.faults import cause_of
from remote_protocol.urls import Proxy, proxy_authorization

if TYPE_CHECKING:
    import ssl

    from remote_client.network import Network, Wire

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for each address of a host to answer, and for a TLS handshake."""
SEND_TIMEOUT: Final = 30.0
"""Seconds for each piece of a request to leave."""
_SENT_AT_A_TIME: Final = 64 * 1024
_PIECE: Final = 256 * 1024
_MOST_HEADERS: Final = 64 * 1024


class Broken(Exception):
    """The exchange came to nothing.

    `sent` tells whether the request had left, `silenced` whether the other side then went away,
    and did not only take its time.
    """

    def __init__(self, cause: str, *, sent: bool = True, silenced: bool = True) -> None:
        super().__init__(cause)
        self.cause = cause
        self.sent = sent
        self.silenced = sent and silenced


class Refused(Exception):
    """A proxy answered with this status instead of leading to the server; the text is both its
    status and its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status


class Way(NamedTuple):
    """How to reach one server: its host and port, TLS when there is a context, a proxy."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """Host and port as a URL has them; the port only when it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(slots=True)
class Response:
    """The head of an answer. Names of headers are in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    delimited: bool = True
    """Whether its end can be told from a cut: it has a length, or comes in chunks."""


class Connection:
    """Use it for one exchange after the other: `request`, then `read` until it gives nothing.

    Every method raises Broken; `open` raises Refused, too. After either of them the connection is
    of no use.
    """

    def __init__(self, way: Way, wire: Wire) -> None:
        self._way = way
        self._wire = wire
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEADERS)

    @classmethod
    async def open(cls, way: Way, network: Network) -> Connection:
        """A new one."""
        try:
            return cls(way, await _open(way, network))
        except OSError as error:
            raise Broken(cause_of(error), sent=False) from error

    @property
    def reusable(self) -> bool:
        """Whether another exchange may begin: the last one is over, and nobody has closed."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        if self._h11.states != {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}:
            return False
        # Whatever can be read now, bytes or the end, belongs to no request of ours.
        return not self._wire.readable()

    def close(self) -> None:
        """Close it, whatever is under way."""
        self._wire.close()

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        sending: Callable[[], None] | None = None,
    ) -> None:
        """Send a request; `target` is path and query. `sending` is called before its first byte."""
        way, fields = self._way, {"Host": self._way.authority, **headers}
        if way.proxy is not None and way.tls is None:
            target = f"http://{way.authority}{target}"
            fields |= _login(way.proxy)
        if body or method in ("POST", "PATCH", "PUT"):
            fields["Content-Length"] = str(len(body))
        request = h11.Request(method=method, target=target, headers=list(fields.items()))
        data = (self._h11.send(request) or b"") + (self._h11.send(h11.Data(data=body)) or b"")
        self._h11.send(h11.EndOfMessage())
        if sending is not None:
            sending()
        try:
            for begin in range(0, len(data), _SENT_AT_A_TIME):
                await self._wire.send(data[begin : begin + _SENT_AT_A_TIME], SEND_TIMEOUT)
        except OSError as error:
            # It may have refused a body that it did not want to read: that answer counts.
            if not self._wire.readable():
                raise Broken(cause_of(error)) from error

    async def response(self, timeout: float | None) -> Response | None:
        """The head of the answer; None when `timeout` seconds pass before: call it again."""
        while True:
            event = await self._next(timeout)
            if event is None:
                return None
            if isinstance(event, h11.Response):
                break
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        delimited = "content-length" in found or "transfer-encoding" in found
        delimited = delimited or event.status_code in (204, 304)
        return Response(event.status_code, found, delimited)

    async def read(self, timeout: float | None) -> bytes | None:
        """The next piece of the answer, empty at its end; None when `timeout` passes before."""
        while True:
            event = await self._next(timeout)
            if event is None:
                return None
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return b""

    async def _next(self, timeout: float | None) -> h11.Event | None:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise Broken(_protocol_words(error)) from error
            if event is h11.PAUSED:
                raise Broken("it answered more than was asked")
            if isinstance(event, h11.Event):
                return event
            try:
                data = await self._wire.receive(_PIECE, timeout)
            except TimeoutError:
                return None
            except OSError as error:
                raise Broken(cause_of(error)) from error
            self._h11.receive_data(data)


async def _open(way: Way, network: Network) -> Wire:
    if way.proxy is None:
        wire = await network.connect(way.host, way.port, CONNECT_TIMEOUT)
    else:
        parts = urlsplit(way.proxy.url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        wire = await network.connect(host, port, CONNECT_TIMEOUT)
        if secure:
            from remote_client.tls import trust

            wire = await _secured(wire, trust(None), host)
    if way.tls is None:
        return wire
    if way.proxy is not None:
        try:
            await _tunnel(wire, way, way.proxy)
        except BaseException:
            wire.close()
            raise
    return await _secured(wire, way.tls, way.host)


async def _secured(wire: Wire, context: ssl.SSLContext, host: str) -> Wire:
    from remote_client.tls import TlsWire

    try:
        secured = TlsWire(wire, context, host)
        await secured.handshake(CONNECT_TIMEOUT)
    except BaseException:
        wire.close()
        raise
    return secured


async def _tunnel(wire: Wire, way: Way, proxy: Proxy) -> None:
    """CONNECT (RFC 9110 §9.3.6). Refused when the proxy does not want to."""
    host = f"[{way.host}]" if ":" in way.host else way.host
    place = f"{host}:{way.port}"
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEADERS)
    headers = {"Host": place, **_login(proxy)}
    request = h11.Request(method="CONNECT", target=place, headers=list(headers.items()))
    data = (talk.send(request) or b"") + (talk.send(h11.EndOfMessage()) or b"")
    await wire.send(data, CONNECT_TIMEOUT)
    try:
        while not isinstance(event := talk.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                talk.receive_data(await wire.receive(4096, CONNECT_TIMEOUT))
    except h11.RemoteProtocolError as error:
        raise OSError(_protocol_words(error)) from None
    if not 200 <= event.status_code < 300:
        raise Refused(event.status_code, bytes(event.reason).decode("latin-1"))


def _login(proxy: Proxy) -> dict[str, str]:
    authorization = proxy_authorization(proxy.url)
    return {} if authorization is None else {"Proxy-Authorization": authorization}


def _protocol_words(error: h11.RemoteProtocolError) -> str:
    text = str(error)
    if "without sending complete message body" in text:
        return "the answer broke off"
    if "ConnectionClosed" in text:
        return "the connection was closed without an answer"
    return f"the answer is not HTTP ({text})"
