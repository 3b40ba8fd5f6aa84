"""A real OpenID provider as a process of its own, on a free port of loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.stack import until


@dataclass
class OpenIdProvider:
    """The provider, and the client that is registered with it."""

    url: str
    client_id: str = ""
    client_secret: str = ""

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that it answers, where it does."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            raw = answer.read()
        return json.loads(raw) if raw.startswith(b"{") else None

    def register(self, redirect_uri: str) -> None:
        """Register a client that comes back there."""
        said = self.ask("POST", "/oauth2/clients", {"redirect_uris": [redirect_uri]})
        self.client_id, self.client_secret = said["client_id"], said["client_secret"]

    def person(self, name: str, *groups: str) -> None:
        """Have it know a person with these groups, from the next sign-in on."""
        claims = {"preferred_username": name, "groups": list(groups)}
        self.ask("PUT", f"/users/{name}", claims)

    def settings(self, url: str, secret: Path) -> dict[str, str]:
        """Variables of a server at this address whose people sign in here."""
        given = {
            "ISSUER": self.url, "CLIENT_ID": self.client_id, "CLIENT_SECRET_FILE": str(secret),
            "URL": url, "NAME": "Example", "TIMEOUT": "60s", "VIEWER_GROUPS": "staff",
            "OPERATOR_GROUPS": "ops", "ADMIN_GROUPS": "admins",
        }  # fmt: skip
        return {f"REMOTE_SERVER_OIDC_{name}": value for name, value in given.items()}

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.ask("GET", "/.well-known/openid-configuration"))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def openid_provider(folder: Path) -> Iterator[OpenIdProvider]:
    """A provider that knows no client and no person yet, until the context ends."""
    port = free_port()
    program = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock"]
    options = [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--require-registration",
        "--require-nonce",
    ]
    with (folder / "provider.log").open("wb") as output:
        process = subprocess.Popen(
            [*program, *options], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, "NO_COLOR": "1"}, start_new_session=True,
        )  # fmt: skip
    try:
        provider = OpenIdProvider(f"http://127.0.0.1:{port}")
        until(lambda: process.poll() is None and provider.ready, "the provider answers", 120.0)
        yield provider
    finally:
        process.kill()
        process.wait()
