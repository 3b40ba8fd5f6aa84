"""Core statements as the SQL of one database, each compiled once, with the shape of its rows.

They run on the driver's own cursor, because SQLAlchemy's execution layer costs about four times
what the database itself does for statements as short as these. The price: plain column types
only, and every value is a named parameter (ADR 4). Pure.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.selectable import SelectBase

from remote_protocol.errors import LocalProtocolError

Make = Callable[[Sequence[Any]], Any]


class Compiled(NamedTuple):
    """One statement."""

    text: str
    row: Make
    """Makes a named tuple of a row; each column is known by its name or label."""
    names: tuple[str, ...]
    """The parameters by position, where the database counts them."""


class Statements:
    """Statements by what they were built as."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._known: dict[ClauseElement, Compiled] = {}

    def __call__(self, statement: ClauseElement) -> Compiled:
        """The SQL of a statement that is a module's constant."""
        found = self._known.get(statement)
        if found is None:
            found = self._known[statement] = self._compile(statement)
        return found

    def _compile(self, statement: ClauseElement) -> Compiled:
        compiled: Any = statement.compile(dialect=self._dialect)
        hidden = [name for name, value in compiled.params.items() if value is not None]
        if hidden:
            raise LocalProtocolError(f"a statement with values inside: {hidden}")
        names = tuple(compiled.positiontup or ())
        return Compiled(str(compiled), row_maker(statement), names)


def row_maker(statement: ClauseElement) -> Make:
    """What makes a named tuple of a row of this statement."""
    if not isinstance(statement, SelectBase):
        return _no_rows
    names = [str(column.name) for column in statement.selected_columns]
    if len(names) != len(set(names)):
        raise LocalProtocolError(f"two columns of one name: label them: {names}")
    # Without the checks of namedtuple._make, which would cost more than the tuple.
    return partial(tuple.__new__, namedtuple("Found", names))


def _no_rows(row: Sequence[Any]) -> Any:
    raise LocalProtocolError("this statement has no rows")
