"""An object storage in memory that speaks as much of S3 as the server uses, with faults on demand.

It looks at no signature; `make test-s3` has real servers that do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from xml.sax.saxutils import escape

from aiohttp import web
from aiohttp.test_utils import TestServer


class FakeS3:
    """One bucket, `bucket`. `fault` (status, code) answers everything; `held` lets nobody through
    as long as it is set; `asked` are requests with their headers."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.fault: tuple[int, str] | None = None
        self.through = asyncio.Event()
        self.through.set()
        self.url = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path_qs, dict(request.headers)))
        body = await request.read()
        await self.through.wait()
        if self.fault is not None:
            return self._refused(*self.fault, request)
        bucket, _, name = request.path.lstrip("/").partition("/")
        if bucket != "bucket":
            return self._refused(404, "NoSuchBucket", request)
        if request.method == "PUT":
            return self._put(request, name, body)
        if request.method == "POST":
            return self._in_parts(request, name)
        if request.method == "DELETE":
            self.parts.pop(request.query.get("uploadId", ""), None)
            if "uploadId" not in request.query:
                self.objects.pop(name, None)
            return web.Response(status=204)
        return self._list(request) if "list-type" in request.query else self._get(request, name)

    def _put(self, request: web.Request, name: str, body: bytes) -> web.Response:
        if upload := request.query.get("uploadId"):
            self.parts[upload][int(request.query["partNumber"])] = body
        else:
            self.objects[name] = body
        return web.Response(headers={"ETag": '"e"'})

    def _in_parts(self, request: web.Request, name: str) -> web.Response:
        if "uploads" in request.query:
            self.parts["1"] = {}
            return _xml("InitiateMultipartUploadResult", "<UploadId>1</UploadId>")
        parts = self.parts.pop(request.query["uploadId"])
        self.objects[name] = b"".join(parts[number] for number in sorted(parts))
        return _xml("CompleteMultipartUploadResult", "<ETag>e</ETag>")

    def _get(self, request: web.Request, name: str) -> web.Response:
        found = self.objects.get(name)
        if found is None:
            return self._refused(404, "NoSuchKey", request)
        when = {"Last-Modified": "Fri, 27 Nov 2026 15:00:00 GMT", "ETag": '"e"'}
        if request.method == "HEAD" or "Range" not in request.headers:
            return web.Response(body=found, headers=when)
        first, last = (int(n) for n in request.headers["Range"].removeprefix("bytes=").split("-"))
        if first >= len(found):
            return self._refused(416, "InvalidRange", request)
        part = found[first : last + 1]
        span = f"bytes {first}-{first + len(part) - 1}/{len(found)}"
        return web.Response(status=206, body=part, headers={**when, "Content-Range": span})

    def _list(self, request: web.Request) -> web.Response:
        prefix, after = request.query.get("prefix", ""), request.query.get("start-after", "")
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        when = "2026-11-27T15:00:00.000Z"
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>{when}</LastModified>"
            f"<ETag>e</ETag><Size>{len(self.objects[name])}</Size></Contents>"
            for name in names
        )
        return _xml("ListBucketResult", f"<IsTruncated>false</IsTruncated>{entries}")

    def _refused(self, status: int, code: str, request: web.Request) -> web.Response:
        text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        return web.Response(status=status, text="" if request.method == "HEAD" else text)


def _xml(name: str, inner: str) -> web.Response:
    return web.Response(text=f"<{name}>{inner}</{name}>", content_type="application/xml")


@asynccontextmanager
async def fake_s3() -> AsyncIterator[FakeS3]:
    """It serves at `url`."""
    found = FakeS3()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", found.serve)
    server = TestServer(app, access_log=None)
    await server.start_server()
    found.url = str(server.make_url("/")).rstrip("/")
    try:
        yield found
    finally:
        found.through.set()
        await server.close()
