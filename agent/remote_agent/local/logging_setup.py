"""The agent's own log: lines for people on a terminal, JSON in a service, and a rotated file.

May touch `<state-dir>/logs/agent.log`. No token and no password in a URL ever gets into a log: each
line is masked after it has been rendered, so that no nested value or traceback slips through.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from remote_agent.log import fields_of, get_logger

_TOKEN: Final = re.compile(r"\b(rrt_|rat_|rpt_|rjt_)[A-Za-z0-9_-]{8,}")
_PASSWORD: Final = re.compile(r"(://[^/\s:@\"']*:)[^/\s@\"']+@")
_PLAIN, _BRIGHT, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_RED, _GREEN, _YELLOW = "\x1b[31m", "\x1b[32m", "\x1b[33m"
_MAGENTA, _CYAN = "\x1b[35m", "\x1b[36m"
"""Select Graphic Rendition (ECMA-48, 8.3.117)."""
_OF_LEVEL: Final = {"info": _GREEN, "warning": _YELLOW, "error": _RED, "critical": _RED}
FILE_SIZE: Final = 5_000_000
FILES: Final = 5


def set_up_logging(state_dir: Path, level: str, form: str) -> None:
    """Log to stderr and to the rotated file. `form`: auto, human or json.

    A log file that cannot be written is said once and done without: the agent must not die of it.
    """
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    root = logging.getLogger()
    root.setLevel(level.upper())
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(_ForPeople(colours) if human else _Json())
    root.addHandler(terminal)
    problem = _add_file(root, state_dir)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    if problem:
        get_logger("logging").warning("no log file is kept", reason=problem)


def own_log(state_dir: Path) -> Path:
    """The newest of the files."""
    return state_dir / "logs" / "agent.log"


def mask(line: str) -> str:
    """The line without the secret part of tokens and of passwords in URLs."""
    if "t_" in line:
        line = _TOKEN.sub(r"\1***", line)
    return _PASSWORD.sub(r"\1***@", line) if "://" in line else line


def _add_file(root: logging.Logger, state_dir: Path) -> str:
    path = own_log(state_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        rotated = _Quiet(path, maxBytes=FILE_SIZE, backupCount=FILES - 1, encoding="utf-8")
    except OSError as error:
        return f"{path}: {error.strerror}"
    rotated.setFormatter(_Json())
    root.addHandler(rotated)
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


class _Line(logging.Formatter):
    """A record as one masked text; what is below the first line of one for people is a
    traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(self._text(record))

    def _text(self, record: logging.LogRecord) -> str:
        raise NotImplementedError

    def _traceback(self, record: logging.LogRecord) -> str:
        info = record.exc_info
        return self.formatException(info) if info and info[0] is not None else ""


class _Json(_Line):
    def _text(self, record: logging.LogRecord) -> str:
        line = {
            **fields_of(record),
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": _time(record),
        }
        if traceback := self._traceback(record):
            line["exception"] = traceback
        return json.dumps(line, default=repr)


class _ForPeople(_Line):
    def __init__(self, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def _text(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        words = [
            self._styled(_DIM, _time(record)),
            f"[{self._styled(_OF_LEVEL.get(level, _BRIGHT), f'{level:<8}')}]",
            self._styled(_BRIGHT, f"{record.getMessage():<30}"),
            f"[{self._styled(_BRIGHT, record.name)}]",
        ]
        for key, value in fields_of(record).items():
            words.append(f"{self._styled(_CYAN, key)}={self._styled(_MAGENTA, _value(value))}")
        traceback = self._traceback(record)
        return " ".join(words) + (f"\n{traceback}" if traceback else "")

    def _styled(self, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._colours else text


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")


def _value(value: object) -> str:
    """In quotes when it could not be told from what stands around it."""
    plain = isinstance(value, str) and value.isprintable() and not set(value) & set(" ='\"")
    return str(value) if plain else repr(value)
