"""Statements sent together, their results read when somebody needs one. Touches the network.

The driver's own pipeline writes each statement to the socket by itself, so that the server wakes up
for each, too, and its cursors cost several times what sending takes. Here statements stay in
libpq's buffer until a result is waited for or the transaction ends. Every statement is prepared
once for the types of its values.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.waiting import Ready, Wait

from remote_protocol.errors import LocalProtocolError

Connection = psycopg.Connection[tuple[Any, ...]]
Dump = Callable[[Any], bytes | None]
_GOOD: Final = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})
_SYNC: Final = pq.ExecStatus.PIPELINE_SYNC


class _Kind(NamedTuple):
    """How values of a type are sent."""

    oid: int
    """The type in PostgreSQL; 0: as the statement needs it."""
    format: pq.Format
    dump: Dump


def without_nul(value: Any) -> Any:
    """A value without U+0000, which is no character for PostgreSQL, and the end of a text for
    libpq."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


_KINDS: Final[dict[type, _Kind]] = {
    str: _Kind(0, pq.Format.TEXT, lambda value: without_nul(value).encode()),
    # One type for all numbers: a statement is prepared once, and none is too large for it.
    int: _Kind(20, pq.Format.BINARY, lambda value: int(value).to_bytes(8, "big", signed=True)),
    float: _Kind(701, pq.Format.BINARY, struct.Struct(">d").pack),
    bool: _Kind(16, pq.Format.TEXT, lambda value: b"t" if value else b"f"),
    bytes: _Kind(17, pq.Format.BINARY, lambda value: value),
    type(None): _Kind(0, pq.Format.TEXT, lambda value: None),
}


class _Prepared(NamedTuple):
    """A statement for values of some types."""

    name: bytes
    dumps: tuple[Dump, ...]
    formats: list[pq.Format]


class Reply:
    """What comes for one statement."""

    __slots__ = ("prepares", "result")

    def __init__(self, prepares: object = None) -> None:
        self.result: pq.abc.PGresult | None = None
        self.prepares = prepares
        """What is known as prepared if this succeeds."""


class Pipeline:
    """The pipeline of one connection; nothing else uses that between `enter` and `leave`.

    What it has prepared lasts as long as the connection, if nobody ends a transaction by the
    driver's own means: after a ROLLBACK those have the server forget all that is prepared.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer.from_context(connection)
        self._prepared: dict[tuple[str, tuple[type, ...]], _Prepared] = {}
        self._number = 0
        self._expected: deque[Reply] = deque()

    def enter(self) -> None:
        """Begin. psycopg.Error, also when the other end is gone: as long as nothing was sent, it is
        known that nothing was stored."""
        # Once for what it said last, once more for its end.
        for _ in range(2):
            self._pgconn.consume_input()
        self._pgconn.enter_pipeline_mode()

    def send(self, text: str, values: Sequence[Any] = ()) -> Reply:
        """Put a statement into the buffer. psycopg.Error."""
        prepared = self._prepare(text, values)
        given = [dump(value) for dump, value in zip(prepared.dumps, values, strict=True)]
        self._pgconn.send_query_prepared(prepared.name, given, prepared.formats)
        reply = Reply()
        self._expected.append(reply)
        return reply

    def rows(self, reply: Reply) -> list[tuple[Any, ...]]:
        """Its rows, waited for. psycopg.Error, which may be that of a statement before it."""
        result = self._result(reply)
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def count(self, reply: Reply) -> int:
        """The number of rows that it has changed, waited for. psycopg.Error."""
        return self._result(reply).command_tuples or 0

    def leave(self) -> None:
        """End it, after all results. psycopg.Error of the first statement that was refused."""
        failed: psycopg.Error | None = None
        try:
            self._pgconn.pipeline_sync()
            while self._expected:
                try:
                    self._read()
                except psycopg.Error as error:
                    failed = failed or error
                    if self._connection.closed:
                        raise failed from None
            self._synchronized()
        finally:
            self._expected.clear()
        self._pgconn.exit_pipeline_mode()
        if failed is not None:
            raise failed

    def command(self, text: str) -> None:
        """Carry out a command without a result at once, outside of the pipeline. psycopg.Error."""
        self._pgconn.send_query(text.encode())
        failed: psycopg.Error | None = None
        while (result := self._next()) is not None:
            if result.status not in _GOOD:
                failed = error_from_result(result, encoding="utf-8")
        if failed is not None:
            raise failed

    # How -----------------------------------------------------------------------------------

    def _prepare(self, text: str, values: Sequence[Any]) -> _Prepared:
        key = text, tuple(map(type, values))
        found = self._prepared.get(key)
        if found is None:
            kinds = [_kind(kind) for kind in key[1]]
            self._number += 1
            found = _Prepared(
                b"remote%d" % self._number,
                tuple(kind.dump for kind in kinds),
                [kind.format for kind in kinds],
            )
            self._pgconn.send_prepare(found.name, text.encode(), [kind.oid for kind in kinds])
            self._expected.append(Reply(key))
            self._prepared[key] = found
        return found

    def _result(self, reply: Reply) -> pq.abc.PGresult:
        if reply.result is None:
            self._pgconn.send_flush_request()
            while reply.result is None:
                self._read()
        return reply.result

    def _read(self) -> None:
        """Read what came for the first statement that is under way."""
        reply = self._expected.popleft()
        result = self._next()
        if result is None or result.status == _SYNC:
            raise self._out_of_step()
        if result.status not in _GOOD:
            # Not prepared, perhaps; or refused, and then it will be prepared once more.
            self._prepared.pop(reply.prepares, None)  # type: ignore[call-overload]
        # The end of what came for this one.
        while self._next() is not None:
            pass
        if result.status == pq.ExecStatus.PIPELINE_ABORTED:
            raise psycopg.errors.PipelineAborted("a statement before this one was refused")
        if result.status not in _GOOD:
            error = error_from_result(result, encoding="utf-8")
            if isinstance(error, psycopg.errors.InvalidSqlStatementName):
                # Whoever had the server forget one statement had it forget all of them.
                self._prepared.clear()
            raise error
        reply.result = result

    def _synchronized(self) -> None:
        """Read the end of the pipeline."""
        result = self._next()
        if result is None or result.status != _SYNC:
            raise self._out_of_step()

    def _out_of_step(self) -> psycopg.Error:
        """What came is of another statement: nothing on this connection can be relied on."""
        self._connection.close()
        return psycopg.OperationalError("its answers do not fit the statements")

    def _next(self) -> pq.abc.PGresult | None:
        """The next result; None between those of two statements."""
        if self._pgconn.flush() or self._pgconn.is_busy():
            self._connection.wait(self._arrived())
        return self._pgconn.get_result()

    def _arrived(self) -> Generator[Wait, Ready | int, None]:
        """Until a result is here. What is left to send goes meanwhile, or both ends would wait."""
        unsent = self._pgconn.flush()
        while unsent or self._pgconn.is_busy():
            ready = yield Wait.RW if unsent else Wait.R
            if ready & Ready.R:
                self._pgconn.consume_input()
            unsent = self._pgconn.flush()


def _kind(of: type) -> _Kind:
    """How values of this type are sent: as those of the first type it is made of that is known."""
    for kind in of.__mro__:
        if kind in _KINDS:
            return _KINDS[kind]
    raise LocalProtocolError(f"no column takes a {of.__name__}")
