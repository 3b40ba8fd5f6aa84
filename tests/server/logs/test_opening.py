"""`remote_server.logs.opening`: logs as files, in the places that are named."""

from __future__ import annotations

from pathlib import Path

from remote_server.disk.reserve import Reserve
from remote_server.logs.opening import open_logs
from tests.support.log_keys import new_key


async def test_logs_are_files_in_the_places_named(tmp_path: Path) -> None:
    root, archive, key = tmp_path / "logs", tmp_path / "archive", new_key()
    logs = open_logs(root, archive, Reserve(tmp_path, 0), 3)
    assert list(tmp_path.iterdir()) == []
    archive.mkdir()
    logs.append(key, b"four")
    assert [path.read_bytes() for path in root.rglob("*.log")] == [b"four"]
    assert list(logs.unpacked()) == [key]
    await logs.pack(key)
    assert [path.name for path in archive.rglob("*.gz")] == ["1.log.gz"]
    assert await logs.read(key, 0, 9) == b"four"
    logs.append(new_key(), b"xx")
    assert list(logs.unpacked()) == []
    logs.close()
