"""SIGHUP: the running server reads its configuration, its certificate and its key again.

The log's level and form and the certificate change at once; what needs a restart is named. A
fault leaves everything as it is: a server never ends because of SIGHUP.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import Final

import structlog

from remote_server.app import Server
from remote_server.config import Config
from remote_server.errors import ServerError
from remote_server.logging_setup import setup_logging

_log = structlog.get_logger("remote_server.reload")
_AT_ONCE: Final = {("server", "log_level"), ("server", "log_format")}
_READ_ONCE: Final = {("secrets", "key")}
"""Taken out of the environment at the start."""


class Reload:
    """What SIGHUP does; `read` gives the configuration as it would be after a restart."""

    def __init__(self, server: Server, read: Callable[[], Config]) -> None:
        self._server = server
        self._read = read

    def __call__(self) -> None:
        """Read everything again; says what came of it in the log."""
        try:
            config = self._read()
            if self._server.certificate is not None:
                self._server.certificate.reload()
        except ServerError as error:
            for fault in str(error).splitlines():
                _log.error("the configuration stays as it is", reason=fault)
            return
        setup_logging(config.server.log_level, config.server.log_format)
        _log.info(
            "the configuration was read again",
            tls="certificate and key too" if self._server.certificate else "not in use",
        )
        if later := changed(self._server.config, config) - _AT_ONCE - _READ_ONCE:
            names = ", ".join(sorted(f"[{section}] {key}".rstrip() for section, key in later))
            _log.warning("these settings change when the server is restarted", settings=names)


def changed(old: Config, new: Config) -> set[tuple[str, str]]:
    """Section and key of every setting that differs; of a section that has a name of its own, as
    `[relay.NAME]`, without a key."""
    found = set()
    for section in type(old).model_fields:
        before, after = getattr(old, section), getattr(new, section)
        if isinstance(before, dict):
            names = before.keys() | after.keys()
            found |= {(f"{section}.{n}", "") for n in names if before.get(n) != after.get(n)}
            continue
        keys = type(before).model_fields
        found |= {(section, key) for key in keys if getattr(before, key) != getattr(after, key)}
    return found


def on_signals(reload: Callable[[], None]) -> None:
    """Let SIGHUP call `reload`; SIGUSR1 and SIGUSR2, whose usual effect is the end of a process,
    only draw a line in the log. Takes effect within the running loop."""
    loop = asyncio.get_running_loop()
    names = ("SIGHUP", "SIGUSR1", "SIGUSR2")
    actions = (reload, lambda: _nothing("SIGUSR1"), lambda: _nothing("SIGUSR2"))
    for name, action in zip(names, actions, strict=True):
        # Windows has neither these signals nor handlers in the loop.
        with contextlib.suppress(AttributeError, NotImplementedError):
            loop.add_signal_handler(getattr(signal, name), action)


def _nothing(name: str) -> None:
    _log.warning(
        "a signal without a meaning here; SIGHUP reads the configuration again", signal=name
    )
