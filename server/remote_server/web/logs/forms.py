"""The forms in which a log is shown, made from pieces of the stored CRI bytes. Pure.

A form is fed whole records with the offset after them and gives the bytes to send. Only `Raw`
takes cut records.
"""

from __future__ import annotations

from base64 import b64encode
from json.encoder import encode_basestring
from typing import Final, Protocol

from remote_protocol import cri
from remote_server.web.http.frames import sse

_STREAM: Final = slice(cri.STAMP_LENGTH + 1, cri.STAMP_LENGTH + 7)
_TAG: Final = slice(cri.CONTENT - 2, cri.CONTENT - 1)
_TAGS: Final = {b"F": b"\n", b"P": b""}
_STREAMS: Final = {cri.STDOUT: '"stdout"', cri.STDERR: '"stderr"'}


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
        self._only = None if stream is None else f'"{stream}"'
        self._events = events

    def feed(self, data: bytes, offset: int) -> bytes:
        """The records, each with the offset after it."""
        parts: list[str] = []
        stamp, time = b"", ""
        lines = data.split(b"\n")
        # What has no line feed at its end is damage, shown as far as it goes.
        rest = lines.pop()
        if rest:
            lines.append(rest)
        for line in lines:
            offset += len(line) + (line is not rest)
            tag = line[_TAG]
            if tag not in _TAGS:
                continue
            stream = _STREAMS.get(line[_STREAM]) or _quoted(line[_STREAM])
            if self._only is not None and stream != self._only:
                continue
            if line[: cri.STAMP_LENGTH] != stamp:
                # All records of one read have the same time.
                stamp = line[: cri.STAMP_LENGTH]
                time = _quoted(stamp)
            content = line[cri.CONTENT :] + _TAGS[tag]
            try:
                text = f'"text":{encode_basestring(content.decode())}'
            except UnicodeDecodeError:
                text = f'"data_base64":"{b64encode(content).decode()}"'
            record = f'{{"offset":{offset},"time":{time},"stream":{stream},{text}}}'
            parts.append(sse(record, offset) if self._events else record + "\n")
        return "".join(parts).encode()


def _quoted(raw: bytes) -> str:
    return encode_basestring(raw.decode("ascii", "replace"))
