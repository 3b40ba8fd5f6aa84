"""A folder of a bucket: whole objects that are put, read by ranges, listed and deleted.

The only module that knows the library of the extra `s3`. Reads run in the library's own threads,
beside the event loop; a put has a thread of its own, in which its content is made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from remote_server.errors import ServerError
from remote_server.s3.credentials import profile_of
from remote_server.s3.faults import words
from remote_server.s3_settings import S3Part, S3Place

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

T = TypeVar("T")
PART: Final = 8 * 1024 * 1024
"""Bytes of a part of a long object; shorter ones go in one request. 10,000 parts make 78 GiB."""
_AT_ONCE: Final = 2
"""Parts on their way, each of them in memory."""
_TIMEOUT: Final = "150s"
"""For one request, a part's upload over a slow line among them."""
_CONNECT: Final = "5s"
_SURE: Final = 30.0
"""Seconds for which it is taken for granted that the bucket is there."""


class S3Unavailable(ServerError):
    """The bucket cannot be used now; the text says why and what to do."""


class Bucket:
    """All objects below one prefix. `close` ends a put at its next block."""

    def __init__(self, store: S3Store, place: S3Place) -> None:
        self._store = store
        self._place = place
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="s3-put")
        self._closed = False
        self._seen = -_SURE

    async def put(self, name: str, content: Iterable[bytes]) -> None:
        """Store an object whole, or nothing. `content` is read in a thread; what it raises is
        raised. S3Unavailable."""
        self._require_open()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, lambda: self._put(name, content))

    async def get(self, name: str, offset: int, size: int) -> bytes | None:
        """At most `size` bytes from `offset` on, fewer only at the object's end; None when there is
        none of that name. S3Unavailable."""
        try:
            return bytes(
                await self._answer(
                    lambda: obstore.get_range_async(self._store, name, start=offset, length=size)
                )
            )
        except FileNotFoundError:
            await self._require_bucket()
            return None
        except _BeyondEnd:
            return b""

    async def size(self, name: str) -> int | None:
        """Bytes of an object; None when there is none of that name. S3Unavailable."""
        try:
            return (await self._answer(lambda: obstore.head_async(self._store, name)))["size"]
        except FileNotFoundError:
            await self._require_bucket()
            return None

    async def delete(self, name: str) -> None:
        """Remove an object; a missing one is no error. S3Unavailable."""
        try:
            await self._answer(lambda: obstore.delete_async(self._store, name))
        except FileNotFoundError:
            await self._require_bucket()

    async def names(self, after: str = "", limit: int = 1000, below: str = "") -> Sequence[str]:
        """A page of the names of objects, of those in the folder `below`, after the one that is
        named. S3Unavailable."""
        found: list[str] = await self._answer(lambda: self._page(after, limit, below))
        self._seen = time.monotonic()
        return found

    def where(self, name: str) -> str:
        """The place of an object, for people."""
        return f"{self._place}/{name}"

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._writer.shutdown(wait=False, cancel_futures=True)

    async def _page(self, after: str, limit: int, below: str) -> list[str]:
        pages = obstore.list(
            self._store, below or None, offset=after or None, chunk_size=max(1, limit)
        )
        found: list[str] = []
        async for page in pages:
            # The library takes a slash at the end of `after` away, and begins too early.
            found += [entry["path"] for entry in page if entry["path"] > after or after[-1:] != "/"]
            if len(found) >= limit:
                break
        return found[:limit]

    async def _answer(self, request: Callable[[], Awaitable[T]]) -> T:
        self._require_open()
        try:
            return await request()
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._fault(error) from None
            raise
        except BaseError as error:
            text = str(error)
            if "InvalidRange" in text or "status code: 416" in text:
                raise _BeyondEnd from None
            raise self._fault(error) from None

    async def _require_bucket(self) -> None:
        """S3Unavailable when not only the object is missing: an answer to HEAD does not tell."""
        if time.monotonic() - self._seen > _SURE:
            await self.names("", 1)

    def _require_open(self) -> None:
        if self._closed:
            raise S3Unavailable("the server is stopping")

    def _fault(self, error: Exception) -> S3Unavailable:
        return S3Unavailable(f"{self._place}: {words(str(error))}")

    # In a thread -------------------------------------------------------------------------------

    def _put(self, name: str, content: Iterable[bytes]) -> None:
        blocks = self._until_closed(content)
        first = bytearray()
        for block in blocks:
            first += block
            if len(first) >= PART:
                break
        whole = len(first) < PART
        try:
            if whole:
                obstore.put(self._store, name, bytes(first), use_multipart=False)
            else:
                obstore.put(
                    self._store,
                    name,
                    # The library takes an empty block for the end.
                    filter(None, chain((bytes(first),), blocks)),
                    use_multipart=True,
                    chunk_size=PART,
                    max_concurrency=_AT_ONCE,
                )
        except (BaseError, FileNotFoundError) as error:
            raise self._fault(error) from None

    def _until_closed(self, content: Iterable[bytes]) -> Iterator[bytes]:
        for block in content:
            if self._closed:
                raise S3Unavailable("the server is stopping")
            yield block


class _BeyondEnd(Exception):
    """A part was asked for that begins where the object has ended."""


def open_bucket(place: S3Place, settings: S3Part, environ: Mapping[str, str]) -> Bucket:
    """A bucket, which is not asked for anything yet. ServerError when settings cannot be used."""
    endpoint = (
        settings.endpoint
        or environ.get("AWS_ENDPOINT_URL_S3")
        or environ.get("AWS_ENDPOINT_URL")
        or ""
    ).rstrip("/")
    client: ClientConfig = {"timeout": _TIMEOUT, "connect_timeout": _CONNECT}
    if endpoint.startswith("http://"):
        client["allow_http"] = True
    if settings.ca_file is not None:
        client["root_certificate"] = _read(settings.ca_file)
    wanted: S3Config = {"disable_bulk_delete": True, "disable_tagging": True}
    if endpoint:
        # Else a variable of the environment would go before the setting.
        wanted["aws_endpoint_url_s3"] = endpoint
    elif "." not in place.bucket:
        # The form that AWS wants; a certificate has no names of two levels.
        wanted["virtual_hosted_style_request"] = True
    region = settings.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    wanted["region"] = region or "us-east-1"
    if settings.encryption is not None:
        wanted["server_side_encryption"] = settings.encryption
    if settings.kms_key is not None:
        wanted["sse_kms_key_id"] = settings.kms_key
    profile = profile_of(environ)
    try:
        store = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=wanted,
            client_options=client,
            # Who calls tries again, less and less often; so does nobody here.
            retry_config={"max_retries": 1},
            credential_provider=profile,
        )
    except (BaseError, ValueError) as error:
        raise ServerError(f"[s3]: {str(error).splitlines()[0]}") from None
    return Bucket(store, place)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ServerError(f"[s3] ca_file {file} cannot be read: {error.strerror}") from None
