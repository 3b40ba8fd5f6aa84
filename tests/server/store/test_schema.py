"""The tables: plain types, named constraints."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from sqlalchemy import BigInteger, Double, Integer, SmallInteger, Text, create_mock_engine

from remote_server.store.schema import metadata


def test_columns_have_plain_types_and_no_defaults() -> None:
    for table in metadata.tables.values():
        for column in table.c:
            assert type(column.type) in {Text, Integer, SmallInteger, BigInteger, Double}
            assert column.default is None and column.server_default is None, column


def created(dialect: str) -> list[str]:
    """The statements that make all tables in an empty database."""
    said: list[str] = []

    def note(statement: Any, *_: object) -> None:
        said.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine(f"{dialect}://", note)
    metadata.create_all(engine, checkfirst=False)
    return said


def test_partial_indexes_are_partial_everywhere() -> None:
    found = {}
    for dialect in ("sqlite", "postgresql+psycopg"):
        made = [text.partition(" INDEX ")[2] for text in created(dialect)]
        found[dialect] = {text.split()[0]: text.partition(" WHERE ")[2] for text in made if text}
    assert found["sqlite"] == found["postgresql+psycopg"]
    assert found["sqlite"]["ix_jobs_waiting"] == "state = 'queued' AND deferred = 0"
    assert found["sqlite"]["ix_jobs_state"] == ""


def test_a_server_on_sqlite_loads_nothing_of_postgresql() -> None:
    code = (
        "import sys, remote_server.composition, remote_server.store.sqlite.opening\n"
        "assert 'sqlalchemy.dialects.postgresql' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
