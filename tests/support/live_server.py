"""A whole server in this process, on a free port of loopback, and a small client for its API."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientSession, ClientWebSocketResponse

from remote_protocol.codec import decode_from_server, encode, messages_of
from remote_protocol.ids import make_ulid
from remote_protocol.limits import SUBPROTOCOL
from remote_protocol.messages import Hello, Message, Settings
from remote_server.app import Server
from remote_server.config import Config, load
from remote_server.watchdog import Watchdog


def config_for(folder: Path, **server: Any) -> Config:
    """A configuration that touches nothing but `folder`."""
    flags = {"listen": "127.0.0.1:0", "data_dir": folder / "data", "durability": "normal"}
    return load(None, {}, {**flags, **server})


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The JSON in it."""
        return json.loads(self.text)

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """The problem document, which must be of this kind."""
        assert self.status == status, self.text
        assert self.headers["Content-Type"] == "application/problem+json"
        body: dict[str, Any] = self.body
        assert (body["status"], body["code"]) == (status, code), body
        assert body["title"]
        assert body["detail"]
        return body


@dataclass
class Live:
    """A running server and a session to talk to it as its admin."""

    server: Server
    session: ClientSession
    token: str
    names: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def services(self) -> Any:
        return self.server.services

    def open(self, method: str, path: str, token: str | None = None, **more: Any) -> Any:
        """A request whose answer is read by the caller; `token` "" sends none."""
        headers = dict(more.pop("headers", {}))
        chosen = self.token if token is None else token
        if chosen:
            headers["Authorization"] = f"Bearer {chosen}"
        where = (
            path
            if path.startswith(("/healthz", "/readyz", "/metrics", "/telemetry"))
            else f"/api/v1{path}"
        )
        return self.session.request(method, self.url + where, headers=headers, **more)

    async def ask(
        self, method: str, path: str, body: object = None, token: str | None = None, **more: Any
    ) -> Answer:
        """A request and its whole answer."""
        if body is not None:
            data = body if isinstance(body, str | bytes) else json.dumps(body)
            raw = data if isinstance(data, bytes) else data.encode()
            # aiohttp warns of large bodies given as bytes.
            more["data"] = BytesIO(raw) if len(raw) > 500_000 else raw
        async with self.open(method, path, token, **more) as response:
            return await _whole(response)

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A bare connection to the server."""
        reader, writer = await asyncio.open_connection(*self.server.address, limit=1 << 20)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def raw(self, data: bytes) -> bytes:
        """Everything that the server answers to these bytes until it closes the connection."""
        async with self.wire() as (reader, writer):
            writer.write(data)
            async with asyncio.timeout(20):
                return await reader.read()

    async def head(self, target: bytes, *lines: bytes, method: bytes = b"GET") -> int:
        """The status of a request with exactly these header lines, sent as this token's owner."""
        own = b"Authorization: Bearer " + self.token.encode()
        if any(line.lower().startswith(b"authorization:") for line in lines):
            own = b"X-Own: none"
        request = b"\r\n".join(
            (method + b" " + target + b" HTTP/1.1", b"Host: x", b"Connection: close", own, *lines)
        )
        answer = await self.raw(request + b"\r\n\r\n")
        return int(answer.split(b" ", 2)[1])

    async def get(self, path: str, token: str | None = None, **more: Any) -> Answer:
        return await self.ask("GET", path, None, token, **more)

    async def post(
        self, path: str, body: object = None, token: str | None = None, **more: Any
    ) -> Answer:
        return await self.ask("POST", path, body, token, **more)

    async def token_for(self, role: str) -> str:
        """A new API token."""
        made = await self.post("/tokens", {"name": f"{role}-{len(self.names)}", "role": role})
        self.names.append(role)
        return str(made.body["token"])

    async def register(self, name: str = "a", **settings: Any) -> str:
        """Enrol an agent; its token."""
        made = await self.post("/registration-tokens", {"uses": 1})
        answer = await self.post(
            "/agent/register",
            {"name": name, "settings": settings, "fingerprint": f"host-of-{name}"},
            made.body["token"],
        )
        assert answer.status == 201, answer.text
        return str(answer.body["token"])

    @asynccontextmanager
    async def connect(self, token: str, process: str = "") -> AsyncIterator[AgentLink]:
        """An agent's WebSocket, welcomed."""
        async with self.session.ws_connect(
            f"{self.url}/api/v1/agent/session",
            headers={"Authorization": f"Bearer {token}"},
            protocols=(SUBPROTOCOL,),
        ) as wire:
            link = AgentLink(wire)
            await link.send(
                Hello(
                    oldest=1,
                    newest=1,
                    installation="fake",
                    process=process,
                    session=make_ulid(1, b"0" * 10),
                    agent_version="test",
                    settings=Settings(),
                )
            )
            link.welcome = await link.until("welcome")
            yield link


@dataclass
class AgentLink:
    """The agent's end of a link."""

    wire: ClientWebSocketResponse
    welcome: Any = None
    _texts: deque[str] = field(default_factory=deque)
    """Messages of a frame that are not looked at yet."""

    async def send(self, message: Message) -> None:
        await self.wire.send_str(encode(message))

    async def until(self, kind: str) -> Any:
        """The next message of this type; others are passed over."""
        while True:
            if not self._texts:
                frame = await self.wire.receive(timeout=20)
                assert isinstance(frame.data, str), frame
                self._texts.extend(messages_of(frame.data))
            message = decode_from_server(self._texts.popleft())
            if message.type == kind:
                return message

    async def closed(self) -> int | None:
        """The code with which the server closes the link."""
        while not self.wire.closed:
            await self.wire.receive(timeout=20)
        return self.wire.close_code


async def _whole(response: ClientResponse) -> Answer:
    return Answer(response.status, dict(response.headers), await response.text())


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Live]:
    """A server that runs for as long as the context lasts."""
    server = Server(config)
    # The loop is that of the test, too: how long it was held on a busy machine, is not to be in the
    # log that a test looks at.
    server.watchdog = Watchdog(math.inf)
    await server.start()
    try:
        token = server.data.read_admin_token()
        assert token
        async with ClientSession() as session:
            yield Live(server, session, token)
    finally:
        await server.stop()
