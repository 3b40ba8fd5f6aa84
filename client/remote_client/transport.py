"""Requests to one server: repeated where that is safe, streamed, their failures as sentences.

Touches the network only.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from remote_client.config import trust
from remote_client.errors import ApiError, NotOurs, Unreachable
from remote_client.proxies import find_proxy
from remote_protocol import api
from remote_protocol.units import format_duration

_RETRIED: Final = frozenset({502, 503, 504})
_PAUSES: Final = (0.1, 0.3, 0.7, 1.5, 3.0, 5.0)
"""Seconds between repetitions of a call: about ten in all, a restart of the server."""
_SHORT: Final = 4
"""Repetitions while nobody has answered like an HTTP server yet: the URL may as well be wrong."""
_SILENCED: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
PATIENCE: Final = 120
"""Failures in a row until a patient call, or following a log, gives up: about ten minutes."""
_KEEPALIVE: Final = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), seconds)
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
]
"""A quiet job may print nothing for hours: only the kernel can tell that the link is dead."""
V = TypeVar("V", bound=BaseModel)


class Outage:
    """Tells once that the server is away and once that it is back; a short break is not told."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._since: float | None = None

    def goes_on(self, failures: int, why: object) -> None:
        """After failure number `failures`, counted from zero."""
        if failures and self._since is None:
            self._since = time.monotonic()
            self._notice(f"{str(why).rstrip('.')}. Trying again; jobs go on meanwhile.")

    def over(self) -> None:
        """The server has answered."""
        if self._since is not None:
            away = format_duration(time.monotonic() - self._since)
            self._since = None
            self._notice(f"reached the server again after {away}")


class Transport:
    """The way to one server. `reached` tells whether it has ever answered.

    Every method raises ApiError when the server refuses, Unreachable when it gives no usable
    answer.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: str | None,
        timeout: float,
        sleep: Callable[[float], None],
        notice: Callable[[str], None],
    ) -> None:
        self.url = url.rstrip("/")
        self.reached = False
        self._sleep = sleep
        self._outage = Outage(notice)
        self._proxy = find_proxy(self.url)
        verify = trust(ca_file)
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {token}", "User-Agent": "remote-client"},
            timeout=httpx.Timeout(timeout, connect=10.0),
            verify=verify,
            transport=httpx.HTTPTransport(
                verify=verify,
                socket_options=_KEEPALIVE,
                # A transport of our own makes httpx look for none.
                proxy=self._proxy.url if self._proxy else None,
            ),
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def pause(self, failures: int, why: object) -> None:
        """Wait before the next repetition, longer after every failure."""
        self._outage.goes_on(failures, why)
        self._sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])

    def view(self, model: type[V], method: str, path: str, **options: Any) -> V:
        """A call whose answer is a document of the API."""
        response = self.call(method, path, **options)
        try:
            return model.model_validate_json(response.content)
        except ValidationError:
            raise self._not_ours(response) from None

    def call(
        self, method: str, path: str, *, repeat: bool = True, patient: bool = False, **options: Any
    ) -> httpx.Response:
        """A call and its whole answer; with `repeat` again and again while the server restarts.

        A `patient` one bears an outage as long as following a log does.
        """
        last = (PATIENCE if patient else len(_PAUSES)) if repeat else 0
        talked = False
        for failures in range(last + 1):
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                why = self._unreachable(error)
                # It took the call and fell silent: it may be a server that restarts.
                talked = talked or isinstance(error, _SILENCED)
                hope = self.reached or (talked and failures < _SHORT)
                if failures == last or not hope or isinstance(why, NotOurs):
                    raise why from None
            else:
                self.reached = True
                if response.status_code not in _RETRIED or failures == last:
                    self._outage.over()
                    return self._checked(response)
                why = self._busy(response)
            self.pause(failures, why)
        raise AssertionError("the last round returns or raises")

    def stream(
        self, path: str, params: Mapping[str, str], accept: str
    ) -> Iterator[tuple[bytes, httpx.Headers]]:
        """The pieces of an answer as they come, each with the answer's headers."""
        timeout = httpx.Timeout(None, connect=10.0)
        headers = {"Accept": accept}
        try:
            with self._http.stream(
                "GET", path, params=params, headers=headers, timeout=timeout
            ) as response:
                self.reached = True
                if response.status_code in _RETRIED:
                    raise self._busy(response)
                if response.is_error:
                    response.read()
                self._checked(response)
                self._outage.over()
                for piece in response.iter_bytes():
                    yield piece, response.headers
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        try:
            problem = api.Problem.model_validate_json(response.content)
        except ValidationError:
            raise self._not_ours(response) from None
        raise ApiError(problem)

    def _busy(self, response: httpx.Response) -> Unreachable:
        return Unreachable(f"{self.url} answers {response.status_code}")

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        # OpenSSL names a line of its own source at the end.
        cause = re.sub(r" \(_ssl\.c:\d+\)", "", str(error)) or type(error).__name__
        text, way = cause.lower(), ""
        if self._proxy is not None:
            if isinstance(error, httpx.ProxyError):
                kind = NotOurs if "407" in cause else Unreachable
                return kind(self._proxy.refusal(cause))
            way = f" through the proxy {self._proxy.place}"
        if "certificate" in text:
            cure = _certificate_cure(text)
            return NotOurs(f"Cannot reach {self.url}{way}: {cause}; {cure}.")
        if "ssl" in text:
            cure = "check whether it is http:// instead, and any proxy in between"
        elif self._proxy is not None:
            cure = f"check {self._proxy.variable}, or name the host in NO_PROXY to go around it"
        elif "name or service not known" in text or "temporary failure in name" in text:
            cure = "check the host name in the URL"
        elif isinstance(error, _SILENCED) and self.url.startswith("http://"):
            cure = "check whether it is https:// instead, and any proxy in between"
        elif "refused" in text:
            cure = "check that the server runs and that host and port are right"
        else:
            cure = "check the URL, the network and any proxy in between"
        return Unreachable(f"Cannot reach {self.url}{way}: {cause}; {cure}.")

    def _not_ours(self, response: httpx.Response) -> NotOurs:
        if self._proxy is not None and response.status_code == 407:
            return NotOurs(self._proxy.refusal("407"))
        return NotOurs(
            f"{response.request.url} answered {response.status_code}, but not as a remote-server "
            f"does; check that {self.url} is the server's base URL and that no proxy answers."
        )


def _certificate_cure(text: str) -> str:
    if "mismatch" in text or "not valid for" in text:
        return "use the host name that it was made for"
    if "expired" in text or "not yet valid" in text:
        return "renew it, or set this host's clock"
    return "check the certificate; for a private CA give --ca-file"


def trace(method: str, sending: Callable[[], None]) -> dict[str, Any]:
    """Extensions of a request that call `sending` right before its head is written.

    The method tells it from the CONNECT by which a proxy is asked for a tunnel first.
    """

    def event(name: str, facts: dict[str, Any]) -> None:
        begins = name.endswith(".send_request_headers.started")
        if begins and facts["request"].method == method.encode():
            sending()

    return {"trace": event}
