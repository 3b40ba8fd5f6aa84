"""Requests to one server: repeated where that is safe, streamed, their failures as sentences.

Knows JSON documents and bytes, no models: the Python client and `remotectl` both stand on it.
Touches the network only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from remote_client.config import check_url, plain_token
from remote_client.connection import (
    CONNECT_TIMEOUT,
    Broken,
    Connection,
    Refused,
    Response,
    Way,
)
from remote_client.errors import ApiError, NotOurs, Unreachable
from remote_client.network import BlockingNetwork, Network
from remote_client.outage import Outage
from remote_client.proxies import find_proxy
from remote_protocol.faults import Fault, Route, explain, is_kind, proxy_refusal, unanswered
from remote_protocol.units import format_size

T = TypeVar("T")
Document = dict[str, Any]
"""An object of the API, as its JSON has it."""
Parameters = Mapping[str, str | list[str]]
"""Of a query; a list is repeated."""
_RETRIED: Final = frozenset({429, 502, 503, 504})
_PAUSES: Final = (0.1, 0.3, 0.7, 1.5, 3.0, 5.0)
"""Seconds between repetitions of a call: about ten in all, a restart of the server."""
_EXPIRY: Final = "remote-token-expires"
_SHORT: Final = 4
"""Repetitions while no server has answered yet: the URL may as well be wrong."""
MAX_FAILURES: Final = 120
"""Failures in a row until a persistent call, or following a log, gives up: about ten minutes."""
_MOST: Final = 256 * 1024 * 1024
"""Bytes of an answer that is no stream; a page of a list has some MiB."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `path` is below `/api/v1`, `body` a JSON document, or bytes as they are.

    With `repeat` it is sent again while the server restarts: it must be safe to do twice. A
    `persistent` one is repeated for as long as following a log is. `sending` is called before the
    first byte leaves.
    """

    method: str
    path: str
    params: Parameters | None = None
    body: object = field(default=None, repr=False)
    """Kept out of what is printed: it may hold a secret."""
    headers: Mapping[str, str] | None = None
    repeat: bool = True
    persistent: bool = False
    sending: Callable[[], None] | None = None

    @property
    def last(self) -> int:
        """How often it may be sent again."""
        return (MAX_FAILURES if self.persistent else len(_PAUSES)) if self.repeat else 0


class Transport:
    """The way to one server. `reached` tells whether it has ever answered.

    UsageError for a URL or token that can be none. Every method raises ApiError when the server
    refuses, Unreachable when it gives no usable answer. Tasks may share one; threads may not.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: str | None = None,
        timeout: float = 30.0,
        network: Network | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._network = network or BlockingNetwork()
        self.url = check_url(url)
        token = plain_token(token)
        self.reached = False
        self.token_ends: str | None = None
        """When our token ends, once an answer has said that it does soon."""
        self._timeout = timeout
        self._outage = Outage(notice)
        proxy = find_proxy(self.url)
        self._route = Route(self.url, proxy, "--ca-file", CONNECT_TIMEOUT)
        self._through = f" through the proxy {proxy.place}" if proxy is not None else ""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        context = None
        if secure:
            from remote_client.tls import trust

            context = trust(ca_file)
        port = parts.port or (443 if secure else 80)
        self._way = Way(parts.hostname or "", port, context, proxy)
        self._prefix = f"{parts.path}/api/v1"
        self._headers = {
            "Authorization": f"Bearer {token}",
            "User-Agent": "remote-client",
            "Accept": "*/*",
        }
        self._idle: Connection | None = None

    def close(self) -> None:
        """Close all connections."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    async def pause(self, failures: int, why: object = None) -> None:
        """Wait before the next repetition, longer after every failure; `why` the server is away."""
        if why is not None:
            self._outage.goes_on(failures, why)
        await self._network.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await self._network.sleep(seconds)

    async def document(self, call: Call) -> Document:
        """A call whose answer is a JSON object."""
        return await self._repeated(call, self._document)

    async def done(self, call: Call) -> None:
        """A call whose answer says nothing more."""
        await self._repeated(call, lambda *_: None)

    async def stream(
        self,
        path: str,
        params: Mapping[str, str | list[str]],
        accept: str,
        idle: float | None = None,
    ) -> AsyncGenerator[tuple[bytes | None, Response | None], None]:
        """The pieces of an answer as they come, each with the answer's head, at last an empty one.

        With `idle`, None whenever so many seconds pass without a piece. A clean end proves
        nothing: somebody in between may have been cut off and not say so.
        """
        call = Call("GET", path, params, headers={"Accept": accept})
        with self._sentences():
            link = await self._sent(call)
            try:
                while (response := await link.response(idle)) is None:
                    yield None, None
                self._heed(response)
                if response.status in _RETRIED:
                    self.reached = self.reached or _is_json(response)
                    raise self._busy(response)
                if response.status != 200:
                    self._checked(call, response, await self._content(link))
                    raise self._not_ours(call, response)
                self.reached = True
                self._outage.over()
                while (piece := await link.read(idle)) != b"":
                    yield piece, response
                yield b"", response
                self._keep(link)
            finally:
                if link is not self._idle:
                    link.close()

    # One exchange ----------------------------------------------------------------------------

    async def _repeated(self, call: Call, understand: Callable[[Call, Response, bytes], T]) -> T:
        talked = False
        for failures in range(call.last + 1):
            try:
                with self._sentences():
                    response, content = await self._exchanged(call)
                    if response.status not in _RETRIED or failures == call.last:
                        understood = understand(
                            call, response, self._checked(call, response, content)
                        )
                        self.reached = True
                        self._outage.over()
                        return understood
                why: Unreachable = self._busy(response)
                # A proxy says the same while no server answers it.
                self.reached = self.reached or _is_json(response)
                talked = True
            except NotOurs:
                raise
            except Unreachable as error:
                why = error
                # It took the call and fell silent: it may be a server that restarts.
                talked = talked or error.silenced
                if failures == call.last:
                    raise
            if not (self.reached or (talked and failures < _SHORT)):
                raise why
            await self.pause(failures, why)
        raise AssertionError("the last round returns or raises")

    async def _exchanged(self, call: Call) -> tuple[Response, bytes]:
        link = await self._sent(call)
        try:
            if (response := await link.response(self._timeout)) is None:
                raise Broken(f"no answer within {self._timeout:g} s", silenced=False)
            content = await self._content(link)
        except BaseException:
            link.close()
            raise
        self._keep(link)
        self._heed(response)
        return response, content

    async def _sent(self, call: Call) -> Connection:
        """A connection on which the answer to `call` comes."""
        body, headers = b"", dict(self._headers)
        if isinstance(call.body, bytes):
            body = call.body
            headers["Content-Type"] = "application/octet-stream"
        elif call.body is not None:
            body = json.dumps(call.body, ensure_ascii=False, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        headers |= call.headers or {}
        query = f"?{urlencode(call.params, doseq=True)}" if call.params else ""
        target = f"{self._prefix}{call.path}{query}"
        link, self._idle = self._idle, None
        # A server may close a link that it takes for idle at the very moment that we use it: only
        # what may be asked twice is asked there (RFC 9112 §9.3.1).
        if link is not None and not (call.repeat and link.reusable):
            link.close()
            link = None
        link = link or await Connection.open(self._way, self._network)
        try:
            await link.request(call.method, target, headers, body, sending=call.sending)
        except BaseException:
            link.close()
            raise
        return link

    def _heed(self, response: Response) -> None:
        self.token_ends = response.headers.get(_EXPIRY) or self.token_ends

    def _keep(self, link: Connection) -> None:
        if self._idle is None and link.reusable:
            self._idle = link
        else:
            link.close()

    async def _content(self, link: Connection) -> bytes:
        parts, size = [], 0
        while piece := await link.read(self._timeout):
            parts.append(piece)
            size += len(piece)
            if size > _MOST:
                raise NotOurs(f"{self.url} answers more than {format_size(_MOST)}")
        if piece is None:
            raise Broken(f"nothing more within {self._timeout:g} s", silenced=False)
        return b"".join(parts)

    # What an answer means --------------------------------------------------------------------

    def _document(self, call: Call, response: Response, content: bytes) -> Document:
        try:
            document = json.loads(content)
        except ValueError:
            document = None
            if _is_json(response):
                raise Broken("the answer broke off") from None
        if not isinstance(document, dict):
            raise self._not_ours(call, response)
        return document

    def _checked(self, call: Call, response: Response, content: bytes) -> bytes:
        if 200 <= response.status < 300:
            return content
        try:
            problem = json.loads(content)
        except ValueError:
            problem = None
        if response.status in _RETRIED and problem is None:
            raise self._busy(response)
        if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
            raise self._not_ours(call, response)
        self.reached = True
        raise ApiError(problem)

    def _busy(self, response: Response) -> Unreachable:
        return Unreachable(f"{self.url} answers {response.status}")

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """What goes wrong below, as a sentence with a cure."""
        try:
            yield
        except Refused as refused:
            raise self._refused(refused.status, str(refused)) from None
        except Broken as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Broken) -> Unreachable:
        if error.sent and self.reached:
            cause = error.cause.rstrip(".")
            return Unreachable(
                f"The link to {self.url}{self._through} was cut: {cause}; a proxy in between may "
                "end links that are silent for a while."
            )
        origin = error.__cause__
        if error.sent or origin is None:
            fault = unanswered(error.cause.rstrip("."), self._route, error.silenced)
        else:
            fault = explain(origin, self._route)
        untrusted = is_kind(origin, "SSLCertVerificationError")
        found = (NotOurs if untrusted else Unreachable)(self._sentence(fault))
        found.silenced = error.silenced
        return found

    def _refused(self, status: int, said: str) -> Unreachable:
        """The proxy answered instead of leading to the server."""
        kind = NotOurs if status == 407 else Unreachable
        return kind(self._sentence(proxy_refusal(self._route, status, said)))

    def _sentence(self, fault: Fault) -> str:
        return f"Cannot reach {self.url}{self._through}: {fault.cause}; {fault.cure}."

    def _not_ours(self, call: Call, response: Response) -> Unreachable:
        if self._route.proxy is not None and response.status == 407:
            return self._refused(407, "")
        return NotOurs(
            f"{self.url}/api/v1{call.path} answered {response.status}, but not as a remote-server "
            f"does; check that {self.url} is the server's base URL and that no proxy answers."
        )


def _is_json(response: Response) -> bool:
    return "json" in response.headers.get("content-type", "")
