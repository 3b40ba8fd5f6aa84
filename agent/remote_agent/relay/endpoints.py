"""The endpoints of all attempts that have a relay: opened, found again after a restart, closed.

A job lives on when its agent is killed, and knows one address: so the port is noted in the state
directory, and the secret of an attempt is made from a key there, which is no more readable than the
agent's token is. Touches `relays` in the state directory and loopback ports.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from remote_agent.connection.endpoint import Endpoint
from remote_agent.relay.exchange import Exchange
from remote_agent.relay.listener import Listener, Slots
from remote_protocol.attempt_id import AttemptId
from remote_protocol.relay import AT_ONCE_OF_AGENT, VARIABLE

log = structlog.get_logger("relay")

FOLDER: Final = "relays"
BARE: Final = "<relay>"
"""Stands among the names of secrets for the secret in the path, so that it is masked alone, too: no
variable can be called so."""
_KEY: Final = ".key"
_KEY_SIZE: Final = 32
_LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 64


class RelayEndpoints:
    """All of them. `endpoint` says where the server is, which may change."""

    def __init__(self, state_dir: Path, endpoint: Callable[[], Endpoint]) -> None:
        self._folder = state_dir / FOLDER
        self._exchange = Exchange(endpoint)
        self._slots = Slots(AT_ONCE_OF_AGENT)
        self._open: dict[AttemptId, Listener] = {}
        self._lost: set[AttemptId] = set()
        """Attempts whose port somebody else has: tried again."""

    def sweep(self, held: Collection[AttemptId]) -> None:
        """Forget the ports of all attempts but these."""
        kept = {_KEY, *map(str, held)}
        with suppress(OSError):
            for name in os.listdir(self._folder):
                if name not in kept:
                    os.unlink(self._folder / name)

    def open(self, key: AttemptId) -> dict[str, str]:
        """Have the endpoint of an attempt that starts; what its job is given, by the names of
        secrets. OSError."""
        secret = self._secret(key)
        port = self._noted(key)
        if key not in self._open:
            raw = _listen(port or 0)
            try:
                if not port:
                    port = raw.getsockname()[1]
                    self._write(str(key), str(port).encode())
            except BaseException:
                raw.close()
                raise
            self._begin(key, raw, secret)
        return {VARIABLE: f"http://{_LOOPBACK}:{port}/{secret}/", BARE: secret}

    def reopen(self, key: AttemptId) -> None:
        """Have the endpoint again of an attempt that was started by an agent before this one."""
        port = self._noted(key)
        if port is None or key in self._open:
            return
        try:
            self._begin(key, _listen(port), self._secret(key))
        except OSError as error:
            if key not in self._lost:
                log.error(
                    "the relay of a running job cannot be opened again; trying again",
                    attempt=str(key),
                    port=port,
                    reason=error.strerror,
                )
            self._lost.add(key)
        else:
            self._lost.discard(key)

    def turn(self) -> None:
        """About a second went by."""
        for key in list(self._lost):
            self.reopen(key)

    def close(self, key: AttemptId) -> None:
        """The attempt has ended."""
        self._lost.discard(key)
        listener = self._open.pop(key, None)
        if listener is not None:
            listener.close()
        with suppress(OSError):
            os.unlink(self._folder / str(key))

    def leave(self) -> None:
        """The agent ends, and jobs run on: the next one opens their endpoints again."""
        for listener in self._open.values():
            listener.close()
        self._open.clear()

    def _begin(self, key: AttemptId, raw: socket.socket, secret: str) -> None:
        self._open[key] = Listener(raw, secret, self._slots, partial(self._exchange.forward, key))

    # The state directory -------------------------------------------------------------------

    def _secret(self, key: AttemptId) -> str:
        """The secret in the path of an attempt: 160 bits that only this agent can make."""
        return hmac.new(self._key(), str(key).encode(), hashlib.sha256).hexdigest()[:40]

    def _key(self) -> bytes:
        with suppress(FileNotFoundError):
            known = (self._folder / _KEY).read_bytes()
            if len(known) == _KEY_SIZE:
                return known
        made = os.urandom(_KEY_SIZE)
        self._write(_KEY, made)
        return made

    def _noted(self, key: AttemptId) -> int | None:
        try:
            text = (self._folder / str(key)).read_text()
            port = int(text)
        except (OSError, ValueError):
            return None
        return port if 0 < port < 65536 else None

    def _write(self, name: str, data: bytes) -> None:
        """A file that is there whole, or not at all. It need not outlive the host: jobs do not."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        new = self._folder / f"{name}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        os.replace(new, self._folder / name)


def _listen(port: int) -> socket.socket:
    # With its protocol named: else asyncio does not send at once (TCP_NODELAY), and head and body
    # of an answer are 40 ms apart.
    raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # What a killed agent has left in TIME-WAIT is in nobody's way. On Windows that option would
        # let others listen at the same port, and this one keeps them out.
        alone = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if alone is None else alone, 1)
        raw.bind((_LOOPBACK, port))
        raw.listen(_BACKLOG)
        raw.setblocking(False)
    except BaseException:
        raw.close()
        raise
    return raw
