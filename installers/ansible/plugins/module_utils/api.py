"""Calls of the server's HTTP API, from the machine that Ansible runs on.

Tokens appear in no text of an error, and are sent to the named server only.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ansible.module_utils.urls import open_url

TIMEOUT = 30
"""Seconds for a call."""
_MOST = 1024 * 1024
"""Bytes of an answer."""


class ApiError(Exception):
    """A call failed; the text gives cause and cure. `status` is that of HTTP, 0 without one."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """One server, as the owner of an API token sees it."""

    def __init__(
        self, url: str, token: str, ca_file: str | None = None, insecure: bool = False
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._ca_file = ca_file
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ApiError(
                f"{url!r} is no address of a server; it looks like https://jobs.example.com"
            )
        if parts.username or parts.password:
            raise ApiError("the address of the server has a password in it; take it out")
        if parts.scheme == "http" and not insecure and not _is_loopback(parts.hostname):
            raise ApiError(
                f"{url} is not encrypted, and everybody on the way could read the token: use "
                "https, or allow it with insecure"
            )
        if not token:
            raise ApiError("there is no API token; an admin makes one: remotectl token create")

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer of `/api/v1` + path, parsed. ApiError."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            with open_url(
                f"{self._url}/api/v1{path}",
                data=data,
                headers=headers,
                method=method,
                timeout=TIMEOUT,
                ca_path=self._ca_file,
                http_agent="remote-agent-ansible",
                # The token is for this server and no other.
                follow_redirects="none",
                use_netrc=False,
            ) as answer:
                text = answer.read(_MOST + 1)
        except HTTPError as error:
            raise ApiError(
                f"{method} {self._url}/api/v1{path}: {_problem(error)}", error.code
            ) from None
        except Exception as error:  # open_url raises many, of sockets, TLS and HTTP alike
            raise ApiError(
                f"{self._url} cannot be called: {error}; check the address, and that this machine "
                "reaches it"
            ) from None
        if len(text) > _MOST:
            raise ApiError(f"{self._url} answers too much; is it a remote-server?")
        try:
            return json.loads(text)
        except ValueError:
            raise ApiError(f"{self._url} does not answer JSON; is it a remote-server?") from None


def _problem(error: HTTPError) -> str:
    """What a problem document (RFC 9457) says, else the status."""
    try:
        detail = json.loads(error.read(_MOST))["detail"]
    except Exception:  # it came from something else: a proxy, a web server
        return f"status {error.code} ({error.reason})"
    return f"{detail} (status {error.code})"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
