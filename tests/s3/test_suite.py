"""The suite that every archive has to pass, on an object storage with AWS's order of names.

SeaweedFS lists the folders of a bucket as a file system does (`a/` before `a-b/`), so the order of
names is not judged there; names of logs have no dashes.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import obstore
import pytest

from remote_server.logs import Archive, ArchiveUnavailable
from remote_server.logs.s3 import S3Archive
from remote_server.s3 import open_bucket
from remote_server.s3.bucket import PART
from remote_server.s3_settings import S3Part, S3Place
from tests.s3.object_storages import Moto
from tests.server.logs.test_ports import (
    test_a_deleted_object_is_gone,
    test_a_put_replaces_an_object_and_a_failed_one_leaves_it,
    test_an_empty_object_is_one,
    test_many_at_once,
    test_names_come_in_pages_in_the_order_of_characters,
    test_objects_are_put_whole_and_read_from_anywhere,
    test_two_puts_of_one_name_make_one_whole_object,
)

__all__ = [
    "test_a_deleted_object_is_gone",
    "test_a_put_replaces_an_object_and_a_failed_one_leaves_it",
    "test_an_empty_object_is_one",
    "test_many_at_once",
    "test_names_come_in_pages_in_the_order_of_characters",
    "test_objects_are_put_whole_and_read_from_anywhere",
    "test_two_puts_of_one_name_make_one_whole_object",
]


def opened(moto: Moto, bucket: str, **settings: str) -> S3Archive:
    part = S3Part.model_validate({"endpoint": moto.url, **settings})
    place = S3Place(bucket, uuid.uuid4().hex)
    return S3Archive(open_bucket(place, part, moto.variables()))


@pytest.fixture
async def archive(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Archive]:
    for name, value in moto.variables().items():
        monkeypatch.setenv(name, value)
    moto.make("suite")
    found = opened(moto, "suite")
    yield found
    found.close()


async def test_a_long_object_goes_in_parts(archive: Archive) -> None:
    content = [bytes([n]) * 1_000_000 for n in range(2 * PART // 1_000_000 + 1)]
    await archive.put("long", content)
    whole = b"".join(content)
    assert await archive.size("long") == len(whole)
    assert await archive.get("long", PART - 5, 10) == whole[PART - 5 : PART + 5]


async def test_a_bucket_that_does_not_exist_is_no_empty_one(archive: Archive, moto: Moto) -> None:
    gone = opened(moto, "nobody-made-it")
    for asked in (gone.size("x"), gone.get("x", 0, 1), gone.names(), gone.put("x", [b"x"])):
        with pytest.raises(ArchiveUnavailable, match="the bucket does not exist; make it"):
            await asked
    gone.close()


async def test_objects_are_encrypted_there(archive: Archive, moto: Moto) -> None:
    for encryption in ("AES256", "aws:kms"):
        found = opened(moto, "suite", encryption=encryption)
        await found.put("x", [b"x"])
        key = found.where("x").removeprefix("s3://suite/")
        signed = obstore.sign(moto.store("suite"), "HEAD", key, expires_in=timedelta(minutes=1))
        assert _head(signed)["x-amz-server-side-encryption"] == encryption
        found.close()


def _head(url: str) -> httpx.Headers:
    answer = httpx.head(url)
    assert answer.status_code == 200, answer.text
    return answer.headers
