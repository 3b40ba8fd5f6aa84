"""Contents sent: nothing twice, on where a call broke off, and refusals as they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_client.calls import Calls
from remote_client.contents import LocalContent, local_content, send_content
from remote_client.errors import ApiError, ClientError
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from remote_protocol.limits import MAX_CONTENT_PART
from tests.support.fake_api import TOKEN, Answer, FakeApi, Said

DATA = os.urandom(2 * MAX_CONTENT_PART + 5)
DIGEST = hashlib.sha256(DATA).hexdigest()
PATH = f"/contents/{DIGEST}"


class Server:
    """A server's part of one content."""

    def __init__(self, api: FakeApi, have: bytes = b"", whole: bool = False) -> None:
        self.have = have
        self.whole = whole
        self.parts: list[int] = []
        api.on("GET", PATH, lambda said: self._shown())
        api.on("PATCH", PATH, self._take)

    def _shown(self) -> dict[str, Any]:
        state = "complete" if self.whole else "uploading"
        return {"digest": DIGEST, "received": len(self.have), "state": state, "ttl": 60.0}

    def _take(self, said: Said) -> Any:
        assert said.query["size"] == str(len(DATA))
        offset = int(said.query["offset"])
        self.parts.append(offset)
        if offset > len(self.have):
            return Answer({"code": "content_gap", "detail": "a gap", "status": 409}, 409)
        self.have = self.have[:offset] + said.body
        self.whole = self.have == DATA
        return self._shown()


@pytest.fixture
def calls(api: FakeApi) -> Iterator[Calls]:
    transport = Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))
    transport.reached = True
    yield Calls(transport)
    transport.close()


@pytest.fixture
def content(tmp_path: Path) -> Iterator[LocalContent]:
    path = tmp_path / "f"
    path.write_bytes(DATA)
    yield local_content("f", lambda: path.open("rb"))


def test_a_file_is_sent_in_parts(api: FakeApi, calls: Calls, content: LocalContent) -> None:
    server, seen = Server(api), list[int]()
    assert (content.digest, content.size) == (DIGEST, len(DATA))
    assert send_content(calls, content, seen.append) == len(DATA)
    assert server.have == DATA
    assert seen == [MAX_CONTENT_PART, 2 * MAX_CONTENT_PART, len(DATA)]


def test_what_is_there_is_not_sent_again(api: FakeApi, calls: Calls, content: LocalContent) -> None:
    server = Server(api, DATA, whole=True)
    assert send_content(calls, content) == 0 and server.parts == []
    server = Server(api, DATA[: MAX_CONTENT_PART + 7])
    assert send_content(calls, content) == len(DATA) - MAX_CONTENT_PART - 7
    assert server.have == DATA and server.parts[0] == MAX_CONTENT_PART + 7


def test_what_the_server_gave_up_meanwhile(
    api: FakeApi, calls: Calls, content: LocalContent
) -> None:
    server = Server(api, DATA[:100])
    shown = server._shown

    def forgets() -> dict[str, Any]:
        answer = shown()
        server.have, server._shown = b"", shown  # type: ignore[method-assign]
        return answer

    server._shown = forgets  # type: ignore[method-assign]
    send_content(calls, content)
    assert server.have == DATA and server.parts[:2] == [100, 0]


def test_a_refusal_is_told(api: FakeApi, calls: Calls, content: LocalContent) -> None:
    Server(api)
    problem = {"code": "body_too_large", "detail": "too large", "status": 413}
    api.on("PATCH", PATH, Answer(problem, 413))
    with pytest.raises(ApiError, match="too large"):
        send_content(calls, content)


def test_a_file_that_becomes_shorter(
    api: FakeApi, calls: Calls, content: LocalContent, tmp_path: Path
) -> None:
    Server(api)
    (tmp_path / "f").write_bytes(DATA[:10])
    with pytest.raises(ClientError, match="f became shorter while it was sent"):
        send_content(calls, content)
