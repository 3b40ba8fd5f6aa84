"""Cheap lines: the part of a job's program that a task's output goes through.

Airflow's own way takes 22 µs of a line in the task's process and 55 in its supervisor, half of them
to look for secrets in the names of fields. Here plain lines (text, and fields with plain values)
become the same JSON for a fraction; whatever is not plain, or may hold a secret, goes Airflow's own
way, in its place among the others. Where Airflow logs in another way nothing changes.
"""

import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from operator import is_
from typing import Any

from remote_airflow.task_lines import (
    CALLSITE,
    LEVELS,
    MEANT,
    MOST,
    PLAIN,
    Clock,
    does_as_known,
    in_the_task,
)

READ = 1 << 18
MANY = 16
NAP = 0.0005
"""A task that writes much is let write on for so long: whoever waits for each line wakes for each,
which costs both processes more than the line itself."""


class Secrets:
    """What Airflow's masker would hide, as it looks in JSON."""

    def __init__(self, masker: Any, encode: Callable[[Any], bytes]) -> None:
        self._masker = masker
        self._encode = encode
        self._of: tuple[Any, ...] = ()
        self._texts: list[bytes] = []
        self._shapes: dict[tuple[str, ...], bool] = {}

    def refresh(self) -> None:
        """Learn what has come since."""
        masker = self._masker
        fields, hides = masker.sensitive_variables_fields, masker.hide_sensitive_var_conn_fields
        now = (masker.replacer, fields, hides)
        if len(self._of) == len(now) and all(map(is_, now, self._of)):
            return
        self._of = now
        self._shapes.clear()
        # Also what looks like a token (`redact_jwt`)
        self._texts = [b"eyJ"]
        for pattern in masker.patterns if masker.replacer else ():
            secret = re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL)
            # One that is not understood is in all lines.
            known = re.escape(secret) == pattern
            self._texts.append(self._encode(secret)[1:-1] if known else b"")

    def may_be_in(self, text: bytes) -> bool:
        """Whether one could be there: what is said of many lines, or of one."""
        return any(secret in text for secret in self._texts)

    def plain(self, names: tuple[str, ...]) -> bool:
        """Whether fields of these names are as they are."""
        found = self._shapes.get(names)
        if found is None:
            hides = self._masker.should_hide_value_for_key
            found = MEANT.isdisjoint(names) and not any(map(hides, names))
            if len(self._shapes) < MOST:
                self._shapes[names] = found
        return found


class Lines:
    """What a task writes to one socket."""

    def __init__(
        self, slow: Any, log: Any, plain: Callable[[bytes], bytes | None], secrets: Secrets
    ):
        from structlog.contextvars import get_contextvars

        self.slow = slow
        self._log = log
        self._plain = plain
        self._secrets = secrets
        self._bound = get_contextvars

    def begin(self) -> None:
        """Before the first line."""
        next(self.slow)

    def take(self, lines: list[bytes], end: bytes = b"\n") -> None:
        """Lines that came together, without their ends."""
        self._secrets.refresh()
        plain: Callable[[bytes], bytes | None] = self._plain
        if self._bound():
            plain = _none
        raw: list[bytes] = []
        ready: list[bytes] = []
        for line in lines:
            try:
                made = plain(line)
            except Exception:
                made = None
            if made is not None:
                raw.append(line)
                ready.append(made)
                continue
            self._write(raw, ready, end)
            raw.clear()
            ready.clear()
            self.slow.send(bytearray(line + end))
        self._write(raw, ready, end)

    def _write(self, raw: list[bytes], ready: list[bytes], end: bytes) -> None:
        if not ready:
            return
        text = b"\n".join(ready)
        if not self._secrets.may_be_in(text):
            try:
                self._log.msg(text)
            except ValueError:
                # The file is closed; Airflow says so of each line.
                self._own_way(raw, end)
        elif len(ready) == 1:
            self._own_way(raw, end)
        else:
            for one, made in zip(raw, ready, strict=True):
                self._write([one], [made], end)

    def _own_way(self, raw: list[bytes], end: bytes) -> None:
        for line in raw:
            self.slow.send(bytearray(line + end))


def _none(_: bytes) -> None:
    return None


def reader(lines: Lines) -> Callable[[Any], bool]:
    """What reads a socket: all that is there at once."""
    rest: list[bytes] = []
    lines.begin()

    def read(socket: Any) -> bool:
        got: bytes = socket.recv(READ)
        if not got:
            if last := b"".join(rest):
                lines.take([last], b"")
            return False
        at = got.rfind(b"\n")
        if at < 0:
            rest.append(got)
            return True
        rest.append(got[:at])
        whole = b"".join(rest).split(b"\n")
        rest[:] = [got[at + 1 :]]
        lines.take(whole)
        if len(whole) >= MANY:
            time.sleep(NAP)
        return True

    return read


def in_the_supervisor() -> None:
    """Have it handle plain lines here. AttributeError, ImportError where it works otherwise."""
    import msgspec
    import structlog
    from airflow.sdk._shared.secrets_masker import SecretsMasker, _secrets_masker
    from airflow.sdk.execution_time import supervisor

    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder().decode
    moment_of = msgspec.json.Decoder(datetime).decode
    clock = Clock()
    said = supervisor.process_log_messages_from_subprocess
    printed = supervisor.forward_to_log
    read = supervisor.make_buffered_socket_reader
    told: list[str] = []

    def ready(loggers: Any) -> tuple[Any, Secrets, set[str]] | None:
        masker = _secrets_masker()
        if len(loggers) == 1 and type(masker) is SecretsMasker:
            log = getattr(loggers[0], "_logger", None)
            chain = getattr(loggers[0], "_processors", None) or ()
            is_on = getattr(loggers[0].bind(), "isEnabledFor", None)
            if is_on and isinstance(log, structlog.BytesLogger) and does_as_known(chain, CALLSITE):
                enabled = {name for name, level in LEVELS.items() if is_on(level)}
                return log, Secrets(masker, encode), enabled
        if not told:
            told.append("told")
            says_so()
        return None

    def said_by(loggers: Any) -> Any:
        slow, found = said(loggers), ready(loggers)
        if found is None:
            return slow
        log, secrets, enabled = found

        def plain(line: bytes) -> bytes | None:
            event = decode(line)
            if event["level"] not in enabled or type(event["event"]) is not str:
                return None
            if "logger" not in event or not secrets.plain(tuple(event)):
                return None
            for value in event.values():
                if type(value) not in PLAIN:
                    return None
            event["timestamp"] = moment_of(f'"{event["timestamp"]}"')
            return bytes(encode({"timestamp": 0, "level": 0, "event": 0, **event}))

        return Lines(slow, log, plain, secrets)

    def printed_by(loggers: Any, logger: str, level: int) -> Any:
        slow, found = printed(loggers, logger, level), ready(loggers)
        name = next((name for name, number in LEVELS.items() if number == level), "")
        if found is None or name not in found[2]:
            return slow
        head = b'","level":"%b","event":' % name.encode()
        tail = b',"logger":%b}' % encode(logger)

        def plain(line: bytes) -> bytes:
            text = encode(line.rstrip().decode("utf-8", "replace"))
            return b'{"timestamp":"%b%b%b%b' % (clock(), head, text, tail)

        return Lines(slow, found[0], plain, found[1])

    def reading(lines: Any, *given: Any, **named: Any) -> Any:
        if not isinstance(lines, Lines):
            return read(lines, *given, **named)
        if named.get("data") or given:
            return read(lines.slow, *given, **named)
        return reader(lines), named["on_close"]

    supervisor.process_log_messages_from_subprocess = said_by
    supervisor.forward_to_log = printed_by
    supervisor.make_buffered_socket_reader = reading


def says_so() -> None:
    """On the job's standard error."""
    print(
        "remote: the log of this task is written by Airflow's own logger alone, whose steps are not"
        " those that are known here: 20 MB of output take it half a minute",
        file=sys.stderr,
    )


def cheap_lines() -> None:
    """Have the supervisor and its task handle plain lines here, where Airflow's way is known."""
    try:
        from airflow.sdk.execution_time import supervisor

        configure = supervisor._configure_logs_over_json_channel
        in_the_supervisor()
    except (ImportError, AttributeError):
        says_so()
        return

    def configured(*given: Any, **named: Any) -> None:
        configure(*given, **named)
        try:
            in_the_task()
        except (ImportError, AttributeError):
            return

    supervisor._configure_logs_over_json_channel = configured
