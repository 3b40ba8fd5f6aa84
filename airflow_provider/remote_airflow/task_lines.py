"""Plain lines in the process of a task: a part of a job's program (`task_log.py`)."""

import logging
import os
import sys
import time
from collections.abc import Callable
from operator import is_
from typing import Any

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
PLAIN = frozenset((str, int, float, bool, type(None)))
MEANT = frozenset({
    "self", "target", "msg", "exception", "exc_info", "stack", "stack_info", "positional_args",
    "logger_name", "_record", "_from_structlog", "__level_override",
})  # fmt: skip
"""Names of fields that Airflow or structlog does something with."""
CALLSITE = "CallsiteParameterAdder"
ARGUMENTS = "positional_arguments_formatter"
CHAIN = (
    "respect_stdlib_disable", "MaybeTimeStamper", "merge_contextvars", "add_log_level", ARGUMENTS,
    "logger_name", "redact_jwt", "StackInfoRenderer", CALLSITE, "ExceptionRenderer",
    "UnicodeDecoder", "mask_logs", "JSONRenderer",
)  # fmt: skip
"""What Airflow 3.1 to 3.3 does with a line, one after another."""
MOST = 1000
"""Shapes of lines, and places in code, that are remembered."""


class Clock:
    """The time as structlog writes it, never twice the same: of two lines that are equal Airflow's
    page shows one."""

    def __init__(self) -> None:
        self._last = self._second = 0
        self._text = b""

    def __call__(self) -> bytes:
        now = time.time_ns() // 1000
        # A clock that was set back for longer is believed.
        if 0 <= self._last - now < 1_000_000:
            now = self._last + 1
        self._last = now
        second, rest = divmod(now, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%06dZ" % (self._text, rest) if rest else self._text + b"Z"


def does_as_known(processors: Any, *without: str) -> bool:
    """Whether these are the steps that plain lines can do without: no handler of logs of somebody
    else is among them."""
    names = [getattr(one, "__name__", type(one).__name__) for one in processors]
    known = [name for name in CHAIN if name not in without]
    # structlog's own, until 3.1
    names = [{"PositionalArgumentsFormatter": ARGUMENTS}.get(name, name) for name in names]
    stamper = getattr(processors[1], "stamper", None) if len(processors) > 1 else None
    wanted = ("iso", True, "timestamp")
    as_iso = (getattr(stamper, name, None) for name in ("fmt", "utc", "key"))
    return names == known and tuple(as_iso) == wanted


class Fields:
    """The fields of a line in a task's process, beside its text, as JSON."""

    def __init__(self, encode: Callable[[Any], bytes], callsite: tuple[str, ...]) -> None:
        from structlog import contextvars

        self._encode = encode
        self._callsite = callsite
        self._vars = contextvars._CONTEXT_VARS
        self._bound = contextvars.get_contextvars
        self._values: list[Any] = []
        self._text: bytes | None = b""
        self._places: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}

    def bound(self) -> bytes | None:
        """What is bound to all lines; None if it is not plain."""
        values = [var.get(None) for var in self._vars.values()]
        if len(values) != len(self._values) or not all(map(is_, values, self._values)):
            found = self._bound()
            taken = {"timestamp", "level", "event", "logger", *self._callsite} | MEANT
            plain = taken.isdisjoint(found) and all(type(one) in PLAIN for one in found.values())
            text = self._encode(found)[1:-1] if plain else b"eyJ"
            self._values = values
            self._text = None if b"eyJ" in text else b"," + text if text else b""
        return self._text

    def place(self, logger: str, path: str, line: int) -> tuple[bytes, bytes]:
        """Who says it, and where."""
        key = (logger, path, line)
        found = self._places.get(key)
        if found is None:
            values = {"filename": os.path.basename(path), "lineno": line}
            where = self._encode({name: values[name] for name in self._callsite})[1:-1]
            found = b',"logger":%b' % self._encode(logger), b"," + where if where else b""
            if len(self._places) < MOST:
                self._places[key] = found
        return found


def in_the_task() -> None:
    """Have the process of a task, whose logging has just been set up, write plain lines at once.
    AttributeError, ImportError where it works otherwise."""
    import msgspec
    import structlog
    from structlog.processors import CallsiteParameterAdder

    encode = msgspec.json.Encoder().encode
    clock = Clock()
    processors = structlog.get_config()["processors"]
    sites = [one for one in processors if isinstance(one, CallsiteParameterAdder)]
    unused = () if sites else (CALLSITE,)
    if not does_as_known(processors, "mask_logs", *unused):
        return
    callsite = tuple(key.value for one in sites for key, _ in one._active_handlers)
    ignored = ("structlog", *(name for one in sites for name in one._additional_ignores))
    if not {"filename", "lineno"}.issuperset(callsite):
        return
    fields = Fields(encode, callsite)

    def line(level: str, text: str, logger: str, path: str, number: int, first: bool) -> bytes:
        bound = fields.bound()
        name, where = fields.place(logger, path, number)
        if bound is None or "eyJ" in text or "eyJ" in logger:
            raise ValueError("a token may be in it")
        both = (name, bound) if first else (bound, name)
        begin = b'{"timestamp":"%b","level":"%b","event":%b' % (
            clock(),
            level.encode(),
            encode(text),
        )
        return b"%b%b%b%b}" % (begin, *both, where)

    class PlainFirst(CallsiteParameterAdder):
        """Before all other steps. Who takes out the one that says the place takes out this one."""

        def __call__(self, logger: Any, name: str, event: Any) -> Any:
            if len(event) != 1 or name not in LEVELS or type(event.get("event")) is not str:
                return event
            try:
                frame: Any = sys._getframe(1)
                while (frame.f_globals.get("__name__") or "?").startswith(ignored):
                    frame = frame.f_back
                place = (frame.f_code.co_filename, frame.f_lineno)
                made = line(name, event["event"], logger.name, *place, False)
            except Exception:
                return event
            logger.msg(made)
            raise structlog.DropEvent

    class PlainFormatter(logging.Formatter):
        """The same for Python's own logging."""

        def __init__(self, own: logging.Formatter) -> None:
            super().__init__()
            self._own = own

        def format(self, record: logging.LogRecord) -> str:
            level, args = record.levelname.lower(), record.args
            # Of structlog's own lines the record has more.
            if (
                level in LEVELS
                and type(record.msg) is str
                and not (record.exc_info or record.exc_text or record.stack_info)
                and type(args) is tuple
                and not (len(args) == 1 and isinstance(args[0], dict))
                and "_name" not in record.__dict__
            ):
                try:
                    text = record.msg % args if args else record.msg
                    place = (record.filename, record.lineno)
                    return line(level, text, record.name, *place, True).decode()
                except Exception:
                    return self._own.format(record)
            return self._own.format(record)

    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter):
            handler.formatter = PlainFormatter(handler.formatter)
    processors.insert(0, PlainFirst([]))
