"""The filter `mask`: puts stars in place of a job's secrets, before anything is kept.

It is given the values of the attempt's secrets, and those that the job adds at run time through its
mask file. What is searched for is in `encodings`, how in `matcher`. Touches the mask file only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from remote_agent.processes import SpawnFailed
from remote_agent.processes.types import NOT_EXECUTABLE
from remote_agent.shim.filters.base import Filters
from remote_agent.shim.filters.encodings import SHORTEST, forms, lines_of, maskable
from remote_agent.shim.filters.mask_file import MaskFile, MaskFileFull
from remote_agent.shim.filters.matcher import Matcher
from remote_agent.shim.order import Order

STARS: Final = b"***"
"""What stands in the log for a secret, or for several that overlap or touch."""
MAX_LINES: Final = 5_000
"""Lines of all secrets of an attempt at the most: each is searched for in a dozen forms."""


class MaskStream:
    """The filter of one stream. `matcher` may be given more while it works.

    Of what has come it keeps back only an end that may be the beginning of a secret.
    """

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._held = b""
        self._masked: int | None = None
        """How much of what is held belongs to stars that have come out already; 0: what is held
        touches them. None: it does not, they would be other ones."""

    def feed(self, data: bytes) -> bytes:
        """What comes out after the next piece of the stream."""
        matcher = self._matcher
        if not matcher:
            return data
        if self._held:
            data = self._held + data
        return self._let_through(data, matcher.open_from(data))

    def flush(self) -> bytes:
        """What is left when the stream has ended."""
        if not self._held:
            return b""
        return self._let_through(self._held, len(self._held))

    def _let_through(self, data: bytes, end: int) -> bytes:
        """All before `end`, masked; the rest is held. No secret begins before that and is not
        complete."""
        spans = self._matcher.spans(data)
        if self._masked is None and not spans:
            self._held = data[end:]
            return data[:end]
        masked, done, parts = -1 if self._masked is None else self._masked, 0, []
        for start, stop in spans:
            if start <= masked:
                masked = max(masked, stop)
            elif start < end:
                parts += [data[max(done, masked) : start], STARS]
                done = masked = stop
            # What begins in the part that is held will be found again.
        done = max(done, masked)
        if done < end:
            parts.append(data[done:end])
        self._held = data[end:]
        self._masked = masked - end if masked >= end else None
        return b"".join(parts)


class MaskFilters(Filters):
    """The filters of an attempt with these secrets, whose job may add values to its mask file."""

    given = False

    def __init__(self, order: Order, secrets: Mapping[str, str]) -> None:
        self._matcher = Matcher()
        super().__init__(lambda: MaskStream(self._matcher))
        self._secrets = secrets
        self._unprepared: list[bytes] = []
        """Values that nothing was searched for yet: many a job writes nothing at all."""
        self._written = False
        self._path = order.mask_file
        self._file: MaskFile | None = None
        self._short = 0

    def open(self) -> None:
        """Take the secrets, open the mask file. SpawnFailed when the job must not start."""
        values = {name: value.encode(errors="surrogateescape") for name, value in self._values()}
        count = sum(len(lines_of(value)) for value in values.values())
        if count > MAX_LINES:
            raise SpawnFailed(
                f"its secrets have {count:,} lines together; at most {MAX_LINES:,} can be masked "
                "in its log",
                NOT_EXECUTABLE,
            )
        self._keep(values.values())
        if short := [name for name, value in values.items() if not maskable(value.strip())]:
            self.notes.append(f"the log shows the value of {', '.join(short)}: {_too_short()}")
        if self._path is not None:
            try:
                self._file = MaskFile(self._path)
            except OSError as error:
                raise SpawnFailed(
                    f"the file for values to be masked cannot be opened: {error.strerror}",
                    NOT_EXECUTABLE,
                ) from error
            self.source = self._file.source

    def _values(self) -> list[tuple[str, str]]:
        values, self._secrets = [*self._secrets.items()], {}
        return [(name, value) for name, value in values if value.strip()]

    def _keep(self, values: Iterable[bytes]) -> None:
        self._unprepared += values
        self.given = self.given or bool(self._unprepared)

    def _prepare(self) -> None:
        for value in self._unprepared:
            self._matcher.add(forms(value))
        self._unprepared = []

    def attend(self) -> None:
        """Take what the job has written to its mask file up to now."""
        if self._file is None or self.fault:
            return
        try:
            values = self._file.read()
        except MaskFileFull as error:
            self.fault = str(error)
            return
        self._keep(values)
        for value in values:
            if not maskable(value):
                self._short += 1
                if self._short == 1:
                    text = f"the log shows a value given to REMOTE_MASK: {_too_short()}"
                    self.notes.append(text)

    def feed(self, data: bytes, stream: bytes) -> bytes:
        """What comes out of a stream after its next piece."""
        # After the read and before the search: what the job wrote to its mask file before it wrote
        # this output is there, for a write to a FIFO has returned when its bytes can be read.
        self.attend()
        if self.fault:
            return b""
        self._prepare()
        self._written = True
        return super().feed(data, stream)

    def flush(self, stream: bytes) -> bytes:
        """What is left of a stream at its end."""
        self.attend()
        if self.fault or not self._written:
            return b""
        self._prepare()
        return super().flush(stream)

    def whole(self, data: bytes) -> bytes:
        """What comes out of bytes that belong to no stream."""
        self.attend()
        if self.fault:
            return b""
        self._prepare()
        return super().whole(data)

    def close(self) -> None:
        """Close the mask file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _too_short() -> str:
    return f"fewer than {SHORTEST} bytes, and words like true, are not masked"
