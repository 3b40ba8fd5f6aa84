"""Events with fields, for the agent's own log, on the logging of the standard library.

Where the lines go and how they look is up to `local.logging_setup`.
"""

from __future__ import annotations

import logging
from typing import Any, Final

_FIELDS: Final = "fields"
"""The attribute of a record that holds them."""


class Logger:
    """Says what happens in one part of the agent: a sentence, or the name of an event, and fields
    that tell it from others of its kind."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        """Something that only who looks for a fault wants to know."""
        self._say(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Something that happens as it should."""
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that somebody should look at."""
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something that failed."""
        self._say(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Something that failed by the exception that is handled: with its traceback."""
        self._say(logging.ERROR, event, fields, with_traceback=True)

    def _say(
        self, level: int, event: str, fields: dict[str, object], with_traceback: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, exc_info=with_traceback, extra={_FIELDS: fields})


def get_logger(name: str) -> Logger:
    """The log of one part of the agent."""
    return Logger(name)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of an event; a library's record has none."""
    fields: dict[str, Any] = getattr(record, _FIELDS, {})
    return fields
