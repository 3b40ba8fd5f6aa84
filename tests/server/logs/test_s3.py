"""`remote_server.logs.s3` with an object storage in memory: a log goes there and is read again.
The suite of every archive runs on real ones, in `tests/s3`."""

from __future__ import annotations

import pytest

from remote_server.logs import ArchiveUnavailable, Logs
from remote_server.logs.s3 import S3Archive
from remote_server.s3 import open_bucket
from remote_server.s3_settings import S3Part, S3Place
from tests.support.fake_s3 import fake_s3
from tests.support.log_keys import new_key
from tests.support.memory_logs import MemoryLogs


async def test_a_log_is_packed_read_listed_and_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    async with fake_s3() as storage:
        part = S3Part(endpoint=storage.url)
        archive = S3Archive(
            open_bucket(S3Place("bucket", "logs"), part, {"AWS_ACCESS_KEY_ID": "a"})
        )
        logs, key = Logs(MemoryLogs(), archive), new_key()
        logs.append(key, b"a line\n" * 100_000)
        await logs.pack(key)
        (name,) = storage.objects
        assert name == f"logs/{key.job[:6]}/{key.job}/1.log.gz"
        assert logs.store.length(key) is None
        assert await logs.read(key, 7, 7) == b"a line\n"
        assert [found async for found in logs.archived.listing()] == [key]
        assert logs.archived.place == "s3://bucket/logs"
        assert not await logs.archived.is_empty()
        storage.fault = (403, "AccessDenied")
        with pytest.raises(
            ArchiveUnavailable, match="the archive of logs s3://bucket/logs: access"
        ):
            await logs.delete(key)
        storage.fault = None
        await logs.delete(key)
        assert storage.objects == {}
        logs.close()
        with pytest.raises(ArchiveUnavailable, match="stopping"):
            await archive.names()
