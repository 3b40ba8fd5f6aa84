"""What all tables share: their metadata, texts, and indexes of a part of the rows. No I/O."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, Index, MetaData, TextClause, event

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

_WHERE: Final[dict[Index, TextClause]] = {}


def partial_index(
    name: str, *columns: ColumnElement[Any], where: TextClause, unique: bool = False
) -> None:
    """An index of the rows for which `where` holds."""
    _WHERE[Index(name, *columns, unique=unique)] = where


@event.listens_for(metadata, "before_create")
def _limit_partial_indexes(_: object, connection: Connection, **__: object) -> None:
    # Not before: an option of a dialect loads all that SQLAlchemy has for the database, and each
    # start of a server would wait for both.
    for index, where in _WHERE.items():
        index.dialect_kwargs[f"{connection.dialect.name}_where"] = where


Text: Final = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
