"""The versions of the schema: known ones, and what is said of others."""

from __future__ import annotations

import pytest

from remote_server.errors import DatabaseUnusable
from remote_server.store.schema import HEAD
from remote_server.store.versions import known_versions, require_older


def test_the_head_is_the_newest_migration() -> None:
    assert known_versions()[0] == HEAD


def test_a_version_that_nobody_knows_is_newer() -> None:
    with pytest.raises(DatabaseUnusable, match=r"version 9999, this program knows up to"):
        require_older("db", "9999", True)


def test_an_older_one_waits_for_migrate_when_told_so() -> None:
    with pytest.raises(DatabaseUnusable, match="remote-server migrate"):
        require_older("db", HEAD, False)
    require_older("db", HEAD, True)
