"""Lines of an attempt's log, by number or by the words they have: for pages and for the API.

Reads the store and logs. One call takes little time, however long the log is: whoever wants more
asks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState
from remote_server.domain.model import Attempt, Job
from remote_server.web.actions.logs import reader_of, stored_size
from remote_server.web.http.problems import not_found
from remote_server.web.logs.find import Found, find
from remote_server.web.logs.index import LineIndex
from remote_server.web.logs.lines import Line, LineCounter
from remote_server.web.logs.reading import LogReader
from remote_server.web.route import Call, Query

COUNTING: Final = 0.25
"""Seconds for which one call counts lines; others run in between."""
MOST_NUMBER: Final = 1 << 53
"""What a script can count to."""
_MOST_LINES: Final = 500
_LOOKING: Final = 0.4
"""Seconds for which one call searches."""
_EXCERPT: Final = 32 * 1024
_EXCERPT_LINES: Final = 40


class LogQuery(Query):
    """What of a log is meant."""

    attempt: int | None = Field(default=None, ge=1, lt=1 << 32)
    """Default: the last one."""
    stream: Literal["stdout", "stderr"] | None = None


class LinesQuery(LogQuery):
    """The query of lines, which begin at one of three."""

    row: int | None = Field(default=None, ge=1, lt=MOST_NUMBER)
    """A place among the lines of the wanted stream, or of both."""
    number: int | None = Field(default=None, ge=1, lt=MOST_NUMBER)
    """The number of a line; where it is of another stream, the next one is meant."""
    last: bool = False
    """The last ones. While lines are still being counted, their numbers are not known."""
    count: int = Field(default=200, ge=1, le=_MOST_LINES)

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.row is not None) + (self.number is not None) + self.last != 1:
            raise ValueError("give a row, or a number, or last: each says where to begin")
        return self


class FindQuery(LogQuery):
    """The query of a search."""

    words: str = Field(min_length=1, max_length=200)
    offset: int = Field(default=0, ge=0, lt=1 << 62)
    """Position in the stored log from which to look on."""


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """The log of one attempt."""

    call: Call
    job: Job
    attempts: tuple[Attempt, ...]
    attempt: Attempt

    @property
    def key(self) -> AttemptId:
        """Whose log it is."""
        return self.attempt.key

    @property
    def reader(self) -> LogReader:
        """What reads it."""
        return reader_of(self.call, self.key)

    @property
    def over(self) -> bool:
        """Whether nothing more is printed. A lost attempt may come back while its job goes on."""
        return self.attempt.state is AttemptState.ENDED or self.job.state.terminal

    async def size(self) -> int:
        """Bytes that are stored. LogUnavailable."""
        return await stored_size(self.call, self.key)

    def index(self, size: int, known: LineIndex | None = None) -> LineIndex:
        """Where its lines are."""
        return self.call.services.line_indexes.of(self.key, size, known)


@dataclass(frozen=True, slots=True)
class SomeLines:
    """Lines of a log that has `size` bytes, as far as `index` has counted them."""

    lines: list[Line]
    numbered: bool
    """Whether their numbers are known."""
    size: int
    index: LineIndex

    @property
    def counted(self) -> int:
        """Position up to which lines are counted; who waits does not ask again for what is cut."""
        return max(self.index.place.offset, min(self.index.looked, self.size))


@dataclass(frozen=True, slots=True)
class Matches:
    """What a search has found in a part of a log."""

    found: Found
    size: int
    done: bool
    """Whether all that is stored was looked through."""


async def attempt_log(call: Call, job_id: str, number: int | None = None) -> AttemptLog | None:
    """The log of an attempt, by default of the last one; None before the first. ApiProblem when
    there is no such job or attempt."""
    store = call.services.store
    job = await store.job(job_id)
    attempts = tuple(await store.attempts_of(job.id))
    wanted = number or job.attempt
    found = next((attempt for attempt in attempts if attempt.number == wanted), None)
    if found is None and number is not None:
        raise not_found(f"attempt of job {job.id}", str(number))
    return None if found is None else AttemptLog(call, job, attempts, found)


async def existing_log(call: Call, query: LogQuery) -> AttemptLog:
    """The same for the job in the path. ApiProblem when it has no log yet."""
    log = await attempt_log(call, call.path("id"), query.attempt)
    if log is None:
        raise not_found("log of job", call.path("id"))
    return log


async def some_lines(log: AttemptLog, query: LinesQuery) -> SomeLines:
    """The lines that a query asks for, as far as they are counted. LogUnavailable."""
    size, reader, stream = await log.size(), log.reader, query.stream
    index = log.index(size)
    wanted = 0 if stream or query.last else (query.row or query.number or 0) + query.count
    await index.count(reader, size, COUNTING, wanted)
    if not query.last:
        by_number = query.number is not None
        first = query.number or query.row or 1
        shown = await index.lines(reader, first, query.count, stream, by_number=by_number)
        return SomeLines(shown, True, size, index)
    if index.looked >= size:
        first = max(1, index.place.begun(stream) - query.count + 1)
        shown = await index.lines(reader, first, query.count, stream)
        return SomeLines(shown, True, size, index)
    return SomeLines(await last_lines(reader, size), False, size, index)


async def matches(log: AttemptLog, query: FindQuery) -> Matches:
    """Lines that have some words: a part of the log is looked through at a time. LogUnavailable."""
    size, reader = await log.size(), log.reader
    index = log.index(size)
    await index.count(reader, size, COUNTING)
    found = await find(index, reader, query.words, query.offset, _LOOKING, query.stream)
    # A record that is cut now is looked at when it is whole.
    done = index.looked >= size and found.at >= index.place.offset
    return Matches(found, size, done)


async def last_lines(reader: LogReader, size: int, most: int = _EXCERPT) -> list[Line]:
    """The last lines, of which nobody knows yet which numbers they have. LogUnavailable."""
    counter, lines = LineCounter(), dict[int, Line]()
    for part in counter.parts(await reader.last(size, most)):
        if part.begins:
            lines[part.number] = Line(part)
        else:
            lines[part.number].add(part)
    return [*lines.values()][-_EXCERPT_LINES:]
