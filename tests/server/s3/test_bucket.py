"""`remote_server.s3.bucket` with an object storage in memory; real ones are in `tests/s3`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from remote_server.errors import ServerError
from remote_server.s3 import Bucket, S3Unavailable, open_bucket
from remote_server.s3.bucket import PART
from remote_server.s3_settings import S3Part, S3Place
from tests.support.fake_s3 import FakeS3, fake_s3

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "not-to-be-seen"}


@pytest.fixture
async def storage() -> AsyncIterator[FakeS3]:
    async with fake_s3() as found:
        yield found


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def opened(storage: FakeS3, bucket: str = "bucket", **settings: object) -> Bucket:
    part = S3Part.model_validate({"endpoint": storage.url, **settings})
    return open_bucket(S3Place(bucket, "some/logs"), part, KEYS)


@pytest.fixture
def bucket(storage: FakeS3) -> Iterator[Bucket]:
    found = opened(storage)
    yield found
    found.close()


async def test_objects_lie_below_the_prefix(storage: FakeS3, bucket: Bucket) -> None:
    await bucket.put("a/b.gz", [b"hello ", b"", b"world"])
    assert storage.objects == {"some/logs/a/b.gz": b"hello world"}
    assert await bucket.size("a/b.gz") == 11
    assert await bucket.get("a/b.gz", 6, 3) == b"wor"
    assert await bucket.get("a/b.gz", 6, 99) == b"world"
    assert await bucket.get("a/b.gz", 11, 1) == b""
    assert bucket.where("a/b.gz") == "s3://bucket/some/logs/a/b.gz"
    assert bucket.where("") == "s3://bucket/some/logs/"


async def test_a_short_object_takes_one_request_and_a_long_one_goes_in_parts(
    storage: FakeS3, bucket: Bucket
) -> None:
    await bucket.put("short", [b"x" * (PART - 1)])
    assert [method for method, _, _ in storage.asked] == ["PUT"]
    await bucket.put("exact", [b"x" * PART])
    content = [bytes([n]) * 1_000_000 for n in range(20)]
    await bucket.put("long", [*content, b"", b"end"])
    assert storage.objects["some/logs/long"] == b"".join(content) + b"end"
    assert len(storage.objects["some/logs/exact"]) == PART
    assert storage.parts == {}


async def test_content_that_fails_leaves_nothing(storage: FakeS3, bucket: Bucket) -> None:
    def broken(size: int) -> Iterator[bytes]:
        yield b"x" * size
        raise RuntimeError("the log cannot be read")

    for size in (10, PART + 10):
        with pytest.raises(RuntimeError, match="cannot be read"):
            await bucket.put("a", broken(size))
    assert (storage.objects, storage.parts) == ({}, {})


async def test_names_come_in_pages(storage: FakeS3, bucket: Bucket) -> None:
    for name in ("b/2", "a/1", "b/1", "c"):
        await bucket.put(name, [b"x"])
    storage.objects["elsewhere"] = b"x"
    assert list(await bucket.names()) == ["a/1", "b/1", "b/2", "c"]
    assert list(await bucket.names("a/1", 2)) == ["b/1", "b/2"]
    assert list(await bucket.names("c")) == []
    assert list(await bucket.names(below="b")) == ["b/1", "b/2"]


async def test_what_is_missing_is_told_from_a_bucket_that_is(storage: FakeS3) -> None:
    there, gone = opened(storage), opened(storage, "another")
    assert (await there.size("x"), await there.get("x", 0, 9)) == (None, None)
    await there.delete("x")
    for asked in (
        gone.size("x"),
        gone.get("x", 0, 9),
        gone.put("x", [b"x"]),
        gone.delete("x"),
        gone.names(),
    ):
        with pytest.raises(
            S3Unavailable, match="s3://another/some/logs: the bucket does not exist"
        ):
            await asked
    there.close()
    gone.close()


async def test_that_the_bucket_is_there_is_asked_once_in_a_while(
    storage: FakeS3, bucket: Bucket
) -> None:
    for name in "abc":
        assert await bucket.size(name) is None
    assert [method for method, _, _ in storage.asked] == ["HEAD", "GET", "HEAD", "HEAD"]


async def test_a_refusal_is_told_without_keys(storage: FakeS3, bucket: Bucket) -> None:
    storage.fault = (403, "SignatureDoesNotMatch")
    with pytest.raises(S3Unavailable) as caught:
        await bucket.put("x", [b"x"])
    text = str(caught.value)
    assert text.startswith("s3://bucket/some/logs: the secret key does not fit the access key")
    assert not any(value in text for value in KEYS.values())
    storage.fault = None
    await bucket.put("x", [b"x"])


async def test_objects_are_encrypted_as_the_settings_say(storage: FakeS3) -> None:
    bucket = opened(storage, encryption="aws:kms", kms_key="alias/logs", region="eu-north-1")
    await bucket.put("x", [b"x"])
    _, _, headers = storage.asked[-1]
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/logs"
    assert "/eu-north-1/s3/aws4_request" in headers["Authorization"]
    bucket.close()


async def test_the_setting_goes_before_the_environment(
    storage: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    bucket = opened(storage)
    await bucket.put("x", [b"x"])
    bucket.close()
    named = {**KEYS, "AWS_ENDPOINT_URL_S3": storage.url}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", storage.url)
    bucket = open_bucket(S3Place("bucket", ""), S3Part(), named)
    await bucket.put("y", [b"x"])
    assert sorted(storage.objects) == ["some/logs/x", "y"]
    bucket.close()


async def test_keys_of_a_profile(
    storage: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text("[ops]\naws_access_key_id = AKIAOPS\naws_secret_access_key = s\n")
    environ = {"AWS_PROFILE": "ops", "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    part = S3Part(endpoint=storage.url)
    bucket = open_bucket(S3Place("bucket", ""), part, environ)
    await bucket.put("x", [b"x"])
    assert "Credential=AKIAOPS/" in storage.asked[-1][2]["Authorization"]
    bucket.close()
    bucket = open_bucket(S3Place("bucket", ""), part, {**environ, "AWS_PROFILE": "none"})
    with pytest.raises(S3Unavailable, match=r"the profile none in .* has no aws_access_key_id"):
        await bucket.put("x", [b"x"])
    bucket.close()


async def test_closing_ends_a_put_at_its_next_block(storage: FakeS3, bucket: Bucket) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def content() -> Iterator[bytes]:
        yield b"x"
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        yield b"y"

    put = asyncio.ensure_future(bucket.put("x", content()))
    await begun.wait()
    bucket.close()
    go_on.set()
    with pytest.raises(S3Unavailable, match="stopping"):
        await put
    with pytest.raises(S3Unavailable, match="stopping"):
        await bucket.size("x")
    assert storage.objects == {}


async def test_an_endpoint_that_is_away(storage: FakeS3) -> None:
    bucket = opened(storage, endpoint="http://127.0.0.1:9")
    with pytest.raises(S3Unavailable, match="cannot be reached: Connection refused"):
        await bucket.put("x", [b"x"])
    bucket.close()


def test_certificates_that_are_none(storage: FakeS3, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(ServerError, match=r"\[s3\] ca_file .* cannot be read: No such file"):
        opened(storage, ca_file=file)
    file.write_text("no certificate")
    with pytest.raises(ServerError, match=r"^\[s3\]: No certificates found"):
        opened(storage, ca_file=file)
