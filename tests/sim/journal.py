"""What the programs log in a simulated world: nothing is written, errors of the server are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog


class _Named:
    """A logger that knows whose it is."""

    def __init__(self, *names: str) -> None:
        self.name = names[0] if names else ""

    def error(self, *_: object, **__: object) -> None:
        """Nothing is written."""

    critical = error


@contextmanager
def errors_of_the_server() -> Iterator[list[str]]:
    """The errors that the server logs inside the block."""
    errors: list[str] = []

    def keep(logger: _Named, _: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if logger.name.startswith("remote_server"):
            errors.append(repr(dict(event)))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, keep],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=_Named,
        cache_logger_on_first_use=False,
    )
    try:
        yield errors
    finally:
        structlog.configure(**before)
