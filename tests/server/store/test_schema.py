"""The tables: plain types, named constraints."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Integer, SmallInteger, Text

from remote_server.store.schema import metadata


def test_columns_have_plain_types_and_no_defaults() -> None:
    for table in metadata.tables.values():
        for column in table.c:
            assert type(column.type) in {Text, Integer, SmallInteger, BigInteger, Double}
            assert column.default is None and column.server_default is None, column


def test_partial_indexes_are_partial_everywhere() -> None:
    for table in metadata.tables.values():
        for index in table.indexes:
            options = index.dialect_options
            assert str(options["sqlite"]["where"]) == str(options["postgresql"]["where"])
