"""The forms in which a log is shown, made from pieces of the stored CRI bytes. Pure.

A form is fed whole records with the offset behind them and gives the bytes to send. Only `Raw`
takes cut records.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Final, Protocol

from remote_protocol import cri
from remote_server.web.frames import sse


class Form(Protocol):
    """One way to show a log."""

    @property
    def piece(self) -> int:
        """Stored bytes to feed at a time: what is worked on without letting others run."""

    @property
    def cut(self) -> bool:
        """Whether it takes records that are cut."""

    def feed(self, data: bytes, offset: int) -> bytes:
        """What to send for the stored bytes `data` that start at `offset`."""


class Raw:
    """`application/vnd.cri-log`: the stored bytes as they are."""

    piece: Final = 256 * 1024
    cut: Final = True

    def feed(self, data: bytes, offset: int) -> bytes:
        """The bytes."""
        return data


class Plain:
    """`text/plain`: the job's own bytes, of one stream or both, from `skip` of them on."""

    piece: Final = 256 * 1024
    cut: Final = False

    def __init__(self, stream: str | None, skip: int) -> None:
        self._only = stream.encode() if stream else None
        self._skip = skip

    def feed(self, data: bytes, offset: int) -> bytes:
        """The job's bytes in these records."""
        text = cri.decode(data, self._only)
        if self._skip:
            skipped = min(self._skip, len(text))
            self._skip -= skipped
            return text[skipped:]
        return text


class Records:
    """One JSON object for each record, as ndjson or as server-sent events."""

    piece: Final = 32 * 1024
    cut: Final = False

    def __init__(self, stream: str | None, events: bool) -> None:
        self._only = stream
        self._events = events

    def feed(self, data: bytes, offset: int) -> bytes:
        """The records, each with the offset behind it."""
        parts: list[str] = []
        for line in _lines(data):
            offset += len(line)
            for record in cri.records(line):
                if self._only is None or record.stream == self._only:
                    text = _json(offset, record)
                    parts.append(sse(text, offset) if self._events else text + "\n")
        return "".join(parts).encode()


def _lines(data: bytes) -> list[bytes]:
    """Split at line feeds only: a carriage return belongs to a record's content."""
    lines = data.split(b"\n")
    rest = lines.pop()
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


def _json(offset: int, record: cri.Record) -> str:
    values: dict[str, object] = {"offset": offset, "time": record.time, "stream": record.stream}
    try:
        values["text"] = record.data.decode()
    except UnicodeDecodeError:
        values["data_base64"] = b64encode(record.data).decode()
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
