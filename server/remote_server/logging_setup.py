"""Logging by structlog: readable on a terminal, one JSON object a line otherwise.

Writes to one stream (standard error by default). The standard library's logging (aiohttp,
alembic) goes the same way. Tokens are cut out of everything before it is written.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

_TOKEN: Final = re.compile(r"\b(r[rapj]t_)[A-Za-z0-9_-]{8,}")
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


REQUESTS: Final = logging.getLogger("remote_server.requests")
"""Says by its level whether each request gets a line. To ask it costs next to nothing; a structlog
logger that then writes nothing costs a request some percent of its time."""


def redact(text: str) -> str:
    """`text` with every token cut down to its kind."""
    return _TOKEN.sub(r"\1…", text)


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
        elif not isinstance(value, int | float | bool | type(None) | tuple):
            text = str(value)
            clean = redact(text)
            if clean != text:
                event[key] = clean
    return event


def setup_logging(
    level: str = "info",
    form: Literal["auto", "human", "json"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and logging for the whole process. `level` is one of the config's."""
    target = stream or sys.stderr
    human = form == "human" or (form == "auto" and target.isatty())
    number = _LEVELS[level]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not human),
    ]
    last: list[Any]
    if human:
        renderer = structlog.dev.ConsoleRenderer(
            colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        last = [_redact, renderer]
    else:
        last = [
            structlog.processors.format_exc_info,
            _redact,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(target),
        # Not cached: another level, after SIGHUP, holds for the loggers that were used before.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak at info of every migration and request; their warnings are what matters.
    root.setLevel(max(number, logging.WARNING))
    REQUESTS.setLevel(number)
