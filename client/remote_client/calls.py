"""One method for each call of the HTTP API; documents go out and come in as plain JSON.

The one place that knows paths and parameters: the Python client puts models around it, and
`remotectl` prints what it gives. Touches the network through the transport only.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from urllib.parse import quote

from remote_client.connection import Response
from remote_client.errors import ClientError, EventsLost, NotOurs, Unreachable, UsageError
from remote_client.logs import BlockingLog, StoredLog
from remote_client.modes import Awaiting, Blocking, method, stream
from remote_client.transport import MAX_FAILURES, Call, Document, Transport

_LARGEST_PAGE = 1000
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
"""States of a job that has ended for good (`remote_protocol.states.TERMINAL`)."""


def segment(name: str) -> str:
    """A name as one segment of a path, whatever people typed (RFC 3986 §3.3).

    UsageError for what is no name but a step: no escape keeps `..` from being resolved.
    """
    if name in ("", ".", ".."):
        raise UsageError(f"{name!r} is not a name")
    return quote(name, safe="")


def given(**values: object) -> dict[str, str | list[str]]:
    """Parameters of a query: those that are not None. A sequence is repeated."""
    return {
        key: [str(one) for one in value] if isinstance(value, list | tuple) else str(value)
        for key, value in values.items()
        if value is not None
    }


def key() -> str:
    """A new idempotency key."""
    return os.urandom(16).hex()


def _place(head: Response, what: str) -> int:
    """Where an answer with an agent's log begins, or where the log ended then."""
    text = head.headers.get(f"remote-log-{what}", "")
    return int(text) if text.isdecimal() else 0


class CallMethods(Awaiting):
    """The API of one server. Every method raises what `Transport` does."""

    _transport: Transport

    # Jobs ------------------------------------------------------------------------------------

    @method
    async def submit(
        self, spec: Document, *, sending: Callable[[], None] | None = None
    ) -> Document:
        """Submit one job; safe to repeat by its idempotency key.

        `sending` is called before the first byte leaves: until then no server can have the job.
        """
        headers = {"Idempotency-Key": spec.get("idempotency_key") or key()}
        return await self._transport.document(
            Call("POST", "/jobs", body=spec, headers=headers, sending=sending)
        )

    @method
    async def submit_batch(self, specs: Sequence[Document]) -> Document:
        """Submit many jobs in one transaction; each has its own idempotency key."""
        return await self._transport.document(
            Call("POST", "/jobs/batch", body={"jobs": list(specs)})
        )

    @method
    async def explain(self, spec: Document) -> Document:
        """Whether and where a job would run; nothing is submitted."""
        return await self._transport.document(Call("POST", "/jobs/explain", body=spec))

    @method
    async def job(self, job: str, *, persistent: bool = False) -> Document:
        """One job with its attempts; a `persistent` call outlasts an outage of ten minutes."""
        return await self._transport.document(
            Call("GET", f"/jobs/{segment(job)}", persistent=persistent)
        )

    @method
    async def jobs(self, /, **filters: object) -> Document:
        """One page of jobs, newest first."""
        return await self._transport.document(Call("GET", "/jobs", given(**filters)))

    @method
    async def many_jobs(self, most: int | None, filters: Mapping[str, object]) -> Document:
        """The newest jobs, however many pages they take: `most` of them, or all."""
        return await self.many("jobs", most, filters)

    @method
    async def cancel(self, job: str, reason: str = "", *, persistent: bool = False) -> Document:
        """Wish that a job ends; its state follows when its agent has done it."""
        path = f"/jobs/{segment(job)}/cancel"
        return await self._transport.document(
            Call("POST", path, body={"reason": reason}, persistent=persistent)
        )

    @method
    async def retry(self, job: str) -> Document:
        """A new job from an ended one's specification."""
        headers = {"Idempotency-Key": key()}
        return await self._transport.document(
            Call("POST", f"/jobs/{segment(job)}/retry", headers=headers)
        )

    @method
    async def send_input(
        self, job: str, offset: int, part: bytes, end: bool = False, *, persistent: bool = False
    ) -> Document:
        """Put a part of a job's input at `offset`; with `end` nothing follows. Safe to repeat."""
        params = given(offset=offset, end="true" if end else None)
        path = f"/jobs/{segment(job)}/input"
        return await self._transport.document(
            Call("PATCH", path, params, body=part, persistent=persistent)
        )

    @method
    async def input(self, job: str, *, persistent: bool = False) -> Document:
        """How much of a job's input the server has."""
        return await self._transport.document(
            Call("GET", f"/jobs/{segment(job)}/input", persistent=persistent)
        )

    @method
    async def log_lines(self, job: str, /, **query: object) -> Document:
        """Lines of a log by number."""
        path = f"/jobs/{segment(job)}/log/lines"
        return await self._transport.document(Call("GET", path, given(**query)))

    @method
    async def find_in_log(self, job: str, /, **query: object) -> Document:
        """Numbers of the lines of a log that have some words: a part of it at a time."""
        path = f"/jobs/{segment(job)}/log/find"
        return await self._transport.document(Call("GET", path, given(**query)))

    @method
    async def timeline(self, job: str) -> Document:
        """Everything that happened to a job, in order."""
        return await self._transport.document(Call("GET", f"/jobs/{segment(job)}/timeline"))

    @method
    async def wait(self, job: str, timeout: float | None = None) -> Document:
        """The job once it has ended. ClientError when `timeout` seconds pass before."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.02
        while True:
            document = await self.job(job, persistent=deadline is None)
            if document["state"] in TERMINAL:
                return document
            if deadline is not None and time.monotonic() >= deadline:
                raise ClientError(f"job {job} is still {document['state']} after {timeout:g} s")
            await self._transport.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    @stream
    async def events(self, after: int, follow: bool) -> AsyncGenerator[Document, None]:
        """Every change of job state after number `after`; a broken link is bridged. EventsLost
        when some are kept no longer."""
        async with aclosing(self._numbered("/events", "seq", after, follow, {})) as events:
            async for event in events:
                yield event

    @stream
    async def audit_stream(
        self, after: int, follow: bool, filters: Mapping[str, object]
    ) -> AsyncGenerator[Document, None]:
        """Every entry of the audit after number `after`, the oldest first; the same."""
        found = self._numbered("/audit/stream", "number", after, follow, filters)
        async with aclosing(found) as entries:
            async for entry in entries:
                yield entry

    async def _numbered(
        self, path: str, number: str, after: int, follow: bool, filters: Mapping[str, object]
    ) -> AsyncGenerator[Document, None]:
        """Documents that count themselves. Without `follow` it is over at the server's own mark: a
        proxy ends what was cut, too."""
        failures = 0
        while True:
            why: Unreachable | None = None
            try:
                params = given(after=after, follow="true" if follow else None, **filters)
                async with aclosing(self._lines_of_one_answer(path, params)) as lines:
                    async for line in lines:
                        if line.get("event") == "end":
                            return
                        if line.get("event") == "gap":
                            raise EventsLost(after, int(line["next"]))
                        if isinstance(line.get(number), int):
                            after, failures = line[number], 0
                            yield line
            except Unreachable as error:
                hopeless = isinstance(error, NotOurs) or not self._transport.reached
                if hopeless or failures >= MAX_FAILURES:
                    raise
                why = error
            await self._transport.pause(failures, why)
            failures += 1

    async def _lines_of_one_answer(
        self, path: str, params: Mapping[str, str | list[str]]
    ) -> AsyncGenerator[Document, None]:
        pending = b""
        answer = self._transport.stream(path, params, "application/x-ndjson")
        async with aclosing(answer) as pieces:
            async for piece, _ in pieces:
                *lines, pending = (pending + (piece or b"")).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)

    # Agents, queues, tokens, audit -----------------------------------------------------------

    @method
    async def page(self, /, kind: str, **filters: object) -> Document:
        """One page of `agents`, `audit`, `jobs`, `queues`, `tokens` or `registration-tokens`."""
        return await self._transport.document(Call("GET", f"/{kind}", given(**filters)))

    @method
    async def many(self, kind: str, most: int | None, filters: Mapping[str, object]) -> Document:
        """The first items of a list, however many pages they take: `most` of them, or all."""
        page = await self.page(kind, limit=min(most or _LARGEST_PAGE, _LARGEST_PAGE), **filters)
        items = list(page["items"])
        while (cursor := page.get("next_cursor")) and (most is None or len(items) < most):
            limit = _LARGEST_PAGE if most is None else min(most - len(items), _LARGEST_PAGE)
            page = await self.page(kind, limit=limit, cursor=cursor, **filters)
            items += page["items"]
        return {**page, "items": items}

    @method
    async def every(self, kind: str) -> Document:
        """All pages of a list as one."""
        return await self.many(kind, None, {})

    @method
    async def one(self, kind: str, name: str) -> Document:
        """One agent or queue."""
        return await self._transport.document(Call("GET", f"/{kind}/{segment(name)}"))

    @method
    async def create(self, kind: str, body: Document) -> Document:
        """A queue, a token or a registration token. Not repeated: it may have been made."""
        return await self._transport.document(Call("POST", f"/{kind}", body=body, repeat=False))

    @method
    async def change(self, kind: str, name: str, body: Document) -> Document:
        """Change an agent or a queue; fields that are left out stay."""
        return await self._transport.document(Call("PATCH", f"/{kind}/{segment(name)}", body=body))

    @method
    async def delete(self, kind: str, name: str) -> None:
        """Remove an agent or a queue, or end a token at once."""
        await self._transport.done(Call("DELETE", f"/{kind}/{segment(name)}"))

    @method
    async def ask_agent(self, agent: str, what: str, body: Document | None = None) -> Document:
        """`pause`, `resume`, `drain` or `restart` an agent."""
        return await self._transport.document(
            Call("POST", f"/agents/{segment(agent)}/{what}", body=body)
        )

    @stream
    async def agent_log(
        self, agent: str, tail: int | None = None, follow: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """What the server has of an agent's own log, or the last lines of it; with `follow` what
        comes, for ever. A broken link is bridged."""
        path, start, failures = f"/agents/{segment(agent)}/log", given(tail=tail), 0
        while True:
            why: Unreachable | None = None
            offset = size = None
            try:
                params = {**start, **given(follow="true" if follow else None)}
                answer = self._transport.stream(path, params, "text/plain")
                async with aclosing(answer) as pieces:
                    async for piece, head in pieces:
                        if offset is None and head is not None:
                            offset, size = _place(head, "offset"), _place(head, "size")
                        if piece and offset is not None:
                            offset, failures = offset + len(piece), 0
                            start = given(offset=offset)
                            yield piece
                # The end of an answer proves nothing: a proxy ends one that was cut, too.
                if not follow and (offset or 0) >= (size or 0):
                    return
            except Unreachable as error:
                hopeless = isinstance(error, NotOurs) or not self._transport.reached
                if hopeless or failures >= MAX_FAILURES:
                    raise
                why = error
            await self._transport.pause(failures, why)
            failures += 1

    @method
    async def rotate_agent_token(self, agent: str) -> Document:
        """A new token for an agent; the old one ends at once."""
        path = f"/agents/{segment(agent)}/rotate-token"
        return await self._transport.document(Call("POST", path, repeat=False))

    @method
    async def ask_webhook(self, name: str, what: str, body: Document | None = None) -> Document:
        """`test` a webhook, `rotate-secret`, or replay a message. Not repeated: it may be done."""
        path = f"/webhooks/{segment(name)}/{what}"
        return await self._transport.document(Call("POST", path, body=body, repeat=False))

    @method
    async def webhook_deliveries(self, /, name: str, **filters: object) -> Document:
        """One page of a webhook's messages, newest first."""
        path = f"/webhooks/{segment(name)}/deliveries"
        return await self._transport.document(Call("GET", path, given(**filters)))

    @method
    async def webhook_delivery(self, name: str, delivery: str) -> Document:
        """One message of a webhook with its body."""
        path = f"/webhooks/{segment(name)}/deliveries/{segment(delivery)}"
        return await self._transport.document(Call("GET", path))

    @method
    async def whoami(self) -> Document:
        """The token with which we come, without its text."""
        return await self._transport.document(Call("GET", "/whoami"))

    @method
    async def end_own_token(self) -> None:
        """Revoke the token with which we come, if it came from a login in the browser."""
        await self._transport.done(Call("DELETE", "/whoami", repeat=False))

    @method
    async def begin_login(self, name: str) -> Document:
        """Begin a login that a person confirms in their browser; no token is needed."""
        return await self._transport.document(
            Call("POST", "/logins", body={"name": name}, repeat=False)
        )

    @method
    async def ask_login(self, secret: str) -> Document:
        """What became of a login; a confirmed one gives its token, once."""
        return await self._transport.document(
            Call("POST", "/logins/token", body={"secret": secret}, repeat=False)
        )

    @method
    async def version(self) -> Document:
        """What the server is."""
        return await self._transport.document(Call("GET", "/version"))


class AsyncCalls(CallMethods):
    """To be awaited."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def log(
        self, job: str, *, attempt: int | None = None, offset: int = 0, follow: bool = False
    ) -> StoredLog:
        """The log of an attempt, by default of the last one, from byte `offset` on."""
        return StoredLog(self._transport, f"/jobs/{segment(job)}", attempt, offset, follow)


class Calls(CallMethods, Blocking):
    """Each call returns when it is done. The transport's network must be one that blocks."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._core = AsyncCalls(transport)

    def log(
        self, job: str, *, attempt: int | None = None, offset: int = 0, follow: bool = False
    ) -> BlockingLog:
        """The log of an attempt, by default of the last one, from byte `offset` on."""
        return BlockingLog(self._transport, f"/jobs/{segment(job)}", attempt, offset, follow)
