"""Sends requests of jobs on to the programs that the configuration names. Touches the network
through aiohttp's client.

A job says a relay's name and a path, never a host. Redirects are not followed, cookies not kept,
proxies of the environment not used; bodies pass piece by piece, and none is held.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import aiohttp
import structlog
from yarl import URL

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_protocol.relay import (
    AT_ONCE,
    AT_ONCE_OF_AGENT,
    LONGEST,
    MAX_RELAYED,
    STALL,
    TargetRefused,
    check_target,
    is_below,
    unwrapped,
)
from remote_server.errors import ServerError
from remote_server.relay_settings import RelayPart

log = structlog.get_logger("relays")

_CONNECT: Final = 10.0
_PIECE: Final = 64 * 1024
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class RelayError(ServerError):
    """A request cannot be relayed; the text is a sentence without the program's address."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Body:
    """The body of a request: its `pieces`, and its size in bytes if that is known."""

    def __init__(self, pieces: AsyncIterator[bytes], size: int | None) -> None:
        self._pieces = pieces
        self.size = size
        self.fault: Exception | None = None
        """What was wrong with it: aiohttp says only that it could not be sent."""

    async def moving(self, progress: Callable[[], None]) -> AsyncIterator[bytes]:
        """The pieces, with word of each."""
        try:
            async for piece in self._pieces:
                progress()
                yield piece
        except Exception as error:
            self.fault = error
            raise


class Answer:
    """What a program has answered: its head; the body comes by `pieces`."""

    def __init__(self, response: aiohttp.ClientResponse, progress: Callable[[], None]) -> None:
        self.status = response.status
        self.length = response.content_length
        """Bytes of its body, if that is known."""
        self.headers = texts(response.raw_headers)
        self._response = response
        self._progress = progress

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it comes. RelayError when there is more than is relayed, or it breaks."""
        total = 0
        try:
            async for piece in self._response.content.iter_chunked(_PIECE):
                total += len(piece)
                if total > MAX_RELAYED:
                    raise _answer_too_large()
                self._progress()
                yield piece
        except aiohttp.ClientError as error:
            raise RelayError(ErrorCode.RELAY_FAILED, f"the answer broke off ({error})") from None


class Relays:
    """All relays, by name. Bounds what one attempt and one agent have under way."""

    def __init__(self, settings: Mapping[str, RelayPart]) -> None:
        self._settings = settings
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._of_attempts: Counter[AttemptId] = Counter()
        self._of_agents: Counter[str] = Counter()

    def fault(self, name: str, queue: str) -> str:
        """Why jobs in this queue cannot have this relay; empty: they can."""
        found = self._settings.get(name)
        if found is None:
            return (
                f"there is no relay {name!r}; whoever has the server names it in its configuration,"
                f" [relay.{name}]"
            )
        if queue not in found.queues:
            return f"the relay {name!r} is not for jobs in the queue {queue!r}"
        return ""

    @contextmanager
    def taken(self, key: AttemptId, agent: str) -> Iterator[None]:
        """Count a request while it is under way. RelayError when there are too many."""
        if self._of_attempts[key] >= AT_ONCE:
            raise RelayError(
                ErrorCode.OVERLOADED, f"{AT_ONCE} requests of this job are being relayed"
            )
        if self._of_agents[agent] >= AT_ONCE_OF_AGENT:
            raise RelayError(
                ErrorCode.OVERLOADED, f"{AT_ONCE_OF_AGENT} requests of this agent are being relayed"
            )
        self._of_attempts[key] += 1
        self._of_agents[agent] += 1
        try:
            yield
        finally:
            # Without those that have none under way: a server sees millions of attempts.
            self._of_attempts -= Counter((key,))
            self._of_agents -= Counter((agent,))

    @asynccontextmanager
    async def ask(
        self,
        name: str,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: Body | None,
    ) -> AsyncIterator[Answer]:
        """Have the program behind a relay answer. `headers` are those of the agent's request. What
        is wrong with the body is raised as the body raises it.

        RelayError; TimeoutError when nothing moves for too long.
        """
        relay = self._settings[name]
        try:
            path = check_target(target)
        except TargetRefused as error:
            raise RelayError(ErrorCode.FORBIDDEN, str(error)) from None
        if not is_below(path, relay.prefix):
            text = f"the relay {name!r} is for paths that begin with {relay.prefix}"
            raise RelayError(ErrorCode.FORBIDDEN, text)
        loop = asyncio.get_running_loop()
        last = loop.time() + LONGEST
        async with asyncio.timeout(STALL) as limit:

            def progress() -> None:
                limit.reschedule(min(last, loop.time() + STALL))

            try:
                response = await self._session(name, relay).request(
                    method,
                    # As it came: what was checked is what is asked for.
                    URL(relay.url + target, encoded=True),
                    headers=[*unwrapped(headers), *_framing(body)],
                    data=None if body is None else body.moving(progress),
                    allow_redirects=False,
                    skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                )
            except aiohttp.ClientError as error:
                if body is not None and body.fault is not None:
                    raise body.fault from None
                raise _failed(name, error) from None
            try:
                progress()
                if (response.content_length or 0) > MAX_RELAYED and method != "HEAD":
                    raise _answer_too_large()
                yield Answer(response, progress)
            except BaseException:
                response.close()
                raise
            else:
                response.release()

    async def run(self) -> None:
        """Keep connections until the server ends."""
        try:
            await asyncio.Event().wait()
        finally:
            for session in self._sessions.values():
                await session.close()
            self._sessions.clear()

    def _session(self, name: str, relay: RelayPart) -> aiohttp.ClientSession:
        found = self._sessions.get(name)
        if found is None:
            try:
                context = _trusted(relay)
            except OSError as error:
                text = f"[relay.{name}] {_unusable(relay, error)}"
                log.error("requests of jobs cannot be relayed", reason=text)
                raise _away(
                    name, "the server cannot use its ca_file, and its log says why"
                ) from None
            found = self._sessions[name] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
                auto_decompress=False,
                trust_env=False,
            )
        return found


def unusable_files(relays: Mapping[str, RelayPart]) -> list[str]:
    """A sentence for each relay whose certificates cannot be read."""
    found = []
    for name, relay in sorted(relays.items()):
        try:
            _trusted(relay)
        except OSError as error:
            found.append(f"[relay.{name}] {_unusable(relay, error)}")
    return found


def _trusted(relay: RelayPart) -> ssl.SSLContext | bool:
    """What says whom to trust. OSError."""
    if not relay.url.startswith("https:"):
        return True
    return ssl.create_default_context(cafile=relay.ca_file)


def _unusable(relay: RelayPart, error: OSError) -> str:
    cause = error.strerror or type(error).__name__
    return f"ca_file {relay.ca_file} cannot be used ({cause}); give a file of PEM certificates"


def _answer_too_large() -> RelayError:
    most = f"{MAX_RELAYED >> 20} MiB"
    text = f"the answer is larger than {most}, the most that is relayed"
    return RelayError(ErrorCode.RELAY_FAILED, text)


def takes_body(method: str, size: int | None) -> bool:
    """Whether a request has a body to pass on: `size` is its length, None if it is not known."""
    return size != 0 or method in _WITH_BODY


def texts(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Headers as they came, without those that are no text."""
    found = []
    for name, value in raw:
        with suppress(UnicodeDecodeError):
            found.append((name.decode("ascii"), value.decode()))
    return found


def _framing(body: Body | None) -> list[tuple[str, str]]:
    """Not every program takes a body whose length it is not told."""
    return [] if body is None or body.size is None else [("Content-Length", str(body.size))]


def _failed(name: str, error: aiohttp.ClientError) -> RelayError:
    """Why a program did not answer, without its address: that is the server's own business."""
    code = ErrorCode.RELAY_FAILED
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        text = "its certificate is not valid; see ca_file of the relay"
    elif isinstance(error, aiohttp.ClientConnectorSSLError):
        text = "it speaks no TLS that we know"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        text = "the name of its host cannot be resolved"
    elif isinstance(error, aiohttp.ClientConnectorError):
        # Not its own words, which have the address.
        number = error.os_error.errno
        text = os.strerror(number) if number and number > 0 else "no connection"
    elif isinstance(error, aiohttp.ServerTimeoutError):
        code, text = ErrorCode.RELAY_TIMEOUT, "it does not take the connection"
    else:
        text = f"it gave no answer ({type(error).__name__})"
    return _away(name, text, code)


def _away(name: str, text: str, code: ErrorCode = ErrorCode.RELAY_FAILED) -> RelayError:
    return RelayError(code, f"the program behind the relay {name!r} cannot be reached: {text}")
