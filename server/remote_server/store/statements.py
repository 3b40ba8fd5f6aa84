"""Core statements as the SQL of one database, each compiled once, with the shape of its rows.

They run on the driver's own cursor, because SQLAlchemy's execution layer costs about four times
what the database itself does for statements as short as these. The price: plain column types
only, and every value is a named parameter (ADR 4). The drivers get values by position: they look
names up at a third of what the statement costs. Pure.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement, Insert
from sqlalchemy.sql.selectable import SelectBase

from remote_protocol.errors import LocalProtocolError

Make = Callable[[Sequence[Any]], Any]
Place = Callable[[Mapping[str, object]], tuple[Any, ...]]
_VALUES: Final = " VALUES "


class Compiled(NamedTuple):
    """One statement."""

    text: str
    row: Make
    """Makes a named tuple of a row; each column is known by its name or label."""
    names: tuple[str, ...]
    """The parameters by position."""
    place: Place
    """Puts the values of parameters, given by name, into that order."""
    row_of_values: str
    """What an INSERT may repeat to write several rows at once; empty: it writes one."""

    def for_rows(self, count: int) -> str:
        """The text of an INSERT of so many rows."""
        return self.text + f", {self.row_of_values}" * (count - 1)


class Statements(dict[ClauseElement, Compiled]):
    """The SQL of statements that are constants of modules, by what they were built as; a mapping,
    because each execution looks one up."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect

    def __missing__(self, statement: ClauseElement) -> Compiled:
        """Compile a statement that is asked for the first time."""
        found = self[statement] = self._compile(statement)
        return found

    def _compile(self, statement: ClauseElement) -> Compiled:
        compiled: Any = statement.compile(dialect=self._dialect)
        hidden = [name for name, value in compiled.params.items() if value is not None]
        if hidden:
            raise LocalProtocolError(f"a statement with values inside: {hidden}")
        names = tuple(compiled.positiontup or ())
        text = str(compiled)
        return Compiled(
            text, row_maker(statement), names, placer(names), _repeatable(statement, text)
        )


def placer(names: Sequence[str]) -> Place:
    """What puts values into the order of these names."""
    if len(names) > 1:
        return itemgetter(*names)
    if names:
        (only,) = names
        return lambda values: (values[only],)
    return lambda values: ()


def _repeatable(statement: ClauseElement, text: str) -> str:
    """The row of values that ends an INSERT."""
    _, found, row = text.partition(_VALUES)
    plain = isinstance(statement, Insert) and found and _VALUES not in row
    return row if plain and row.startswith("(") and row.endswith(")") else ""


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
