"""The agent's own log: structlog, for people on a terminal, JSON in a service, and a rotated file.

May touch `<state-dir>/logs/agent.log`. No token and no password in a URL ever gets into a log: each
line is masked after it has been rendered, so that no nested value or traceback slips through.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

import structlog
from structlog.typing import Processor

_TOKEN: Final = re.compile(r"\b(rrt_|rat_|rpt_|rjt_)[A-Za-z0-9_-]{8,}")
_PASSWORD: Final = re.compile(r"(://[^/\s:@\"']*:)[^/\s@\"']+@")
FILE_SIZE: Final = 5_000_000
FILES: Final = 5


def set_up_logging(state_dir: Path, level: str, form: str) -> None:
    """Log to stderr and to the rotated file. `form`: auto, human or json.

    A log file that cannot be written is said once and done without: the agent must not die of it.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    terminal: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback
        )
        if human
        else structlog.processors.JSONRenderer()
    )
    root = logging.getLogger()
    root.setLevel(level.upper())
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    root.addHandler(_handler(logging.StreamHandler(sys.stderr), terminal, shared))
    problem = _add_file(root, state_dir, shared)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.getLogger("websockets").setLevel(logging.WARNING)
    if problem:
        structlog.get_logger("logging").warning("no log file is kept", reason=problem)


def own_log(state_dir: Path) -> Path:
    """The newest of the files."""
    return state_dir / "logs" / "agent.log"


def mask(line: str) -> str:
    """The line without the secret part of tokens and of passwords in URLs."""
    if "t_" in line:
        line = _TOKEN.sub(r"\1***", line)
    return _PASSWORD.sub(r"\1***@", line) if "://" in line else line


def _add_file(root: logging.Logger, state_dir: Path, shared: list[Processor]) -> str:
    path = own_log(state_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        rotated = _Quiet(path, maxBytes=FILE_SIZE, backupCount=FILES - 1, encoding="utf-8")
    except OSError as error:
        return f"{path}: {error.strerror}"
    root.addHandler(_handler(rotated, structlog.processors.JSONRenderer(), shared))
    return ""


class _Quiet(logging.handlers.RotatingFileHandler):
    """The agent's user only may read it; a full disk must not print a traceback for each line that
    it cannot keep."""

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        with suppress(OSError):
            os.chmod(self.baseFilename, 0o600)
        return stream

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def _handler(
    handler: logging.Handler, renderer: Processor, shared: list[Processor]
) -> logging.Handler:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderer,
            _mask_line,
        ],
    )
    handler.setFormatter(formatter)
    return handler


def _mask_line(logger: object, method: str, line: Any) -> str:
    return mask(str(line))
