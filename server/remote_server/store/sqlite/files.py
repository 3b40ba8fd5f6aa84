"""Copies of a SQLite database that may be in use, and what is wrong with it. Touches files."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

COPIED: Final = "copied"
"""Name in the table `meta` by which a copy knows that it is one."""
_COPY_PAGES: Final = 2048
_COPY_PAUSE: Final = 0.002
# A job is held by exactly one agent while it is assigned or running, else by none.
_TORN: Final = """
SELECT id FROM jobs LEFT JOIN (
    SELECT job, count(*) AS holders FROM attempts
    WHERE state IN ('offered', 'accepted', 'running') GROUP BY job
) AS live ON live.job = id
WHERE coalesce(holders, 0) != (state IN ('assigned', 'running')) LIMIT 100
"""


def backup(source: Path, target: Path) -> int:
    """Copy a database that may be in use; the size of the copy in bytes. Blocks: use a thread.

    The copy appears under its name only when it is complete and on disk. OSError, sqlite3.Error.
    """
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as live,
            closing(sqlite3.connect(partial)) as copy,
        ):
            live.backup(copy, pages=_COPY_PAGES, sleep=_COPY_PAUSE)
            # A copy of a WAL database would be one too; as a plain file it can be moved alone.
            copy.execute("PRAGMA journal_mode = DELETE")
            with copy:
                copy.execute("INSERT OR REPLACE INTO meta VALUES (?, '1')", (COPIED,))
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target.stat().st_size


def faults(path: Path) -> list[str]:
    """What SQLite finds wrong with the file; nothing when it is sound. Blocks: use a thread."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            found.execute("PRAGMA query_only = ON")
            rows = found.execute("PRAGMA integrity_check(100)").fetchall()
            broken = found.execute("PRAGMA foreign_key_check").fetchall()
            torn = [row[0] for row in found.execute(_TORN).fetchall()]
    except sqlite3.Error as error:
        return [f"{path} cannot be read: {error}"]
    said = [str(row[0]) for row in rows if row[0] != "ok"]
    said += [f"row {row[1]} of {row[0]} points to nothing in {row[2]}" for row in broken]
    said += [f"job {job} and its attempts contradict each other" for job in torn]
    return said
