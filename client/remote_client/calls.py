"""One method for each call of the HTTP API; documents go out and come in as plain JSON.

The one place that knows paths and parameters: the Python client puts models around it, and
`remotectl` prints what it gives. Touches the network through the transport only.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

from remote_client.errors import ClientError
from remote_client.group_calls import GroupCalls
from remote_client.logs import BlockingLog, StoredLog
from remote_client.modes import Blocking, method, stream
from remote_client.paths import given, key, segment
from remote_client.streams import artifact, numbered, own_log
from remote_client.transport import Call, Document, Transport
from remote_client.webhook_calls import WebhookCalls

_LARGEST_PAGE = 1000
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{1,200})?")
"""What a header may be (W3C Trace Context §3.2, and later versions); the server judges it."""
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
"""States of a job that has ended for good (`remote_protocol.states.TERMINAL`)."""


class CallMethods(GroupCalls, WebhookCalls):
    """The API of one server. Every method raises what `Transport` does."""

    _transport: Transport

    # Jobs ------------------------------------------------------------------------------------

    @method
    async def submit(
        self,
        spec: Document,
        *,
        sending: Callable[[], None] | None = None,
        traceparent: str | None = None,
    ) -> Document:
        """Submit one job; safe to repeat by its idempotency key.

        `sending` is called before the first byte leaves: until then no server can have the job.
        `traceparent` is of the trace that the job continues; what means nothing is ignored.
        """
        headers = {"Idempotency-Key": spec.get("idempotency_key") or key()}
        if traceparent is not None and _TRACEPARENT.fullmatch(traceparent):
            headers["traceparent"] = traceparent
        return await self._transport.document(
            Call("POST", "/jobs", body=spec, headers=headers, sending=sending)
        )

    @method
    async def submit_batch(self, specs: Sequence[Document], *, atomic: bool = True) -> Document:
        """Submit many jobs in one transaction; each has its own idempotency key."""
        body: dict[str, object] = {"jobs": list(specs)}
        if not atomic:
            body["atomic"] = False
        return await self._transport.document(Call("POST", "/jobs/batch", body=body))

    @method
    async def look_up(self, ids: Sequence[str], keys: Sequence[str]) -> Document:
        """Jobs by their ids and by idempotency keys of this token, 500 of each at the most."""
        body = {"ids": list(ids), "idempotency_keys": list(keys)}
        return await self._transport.document(Call("POST", "/jobs/lookup", body=body))

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
    async def send_content(self, digest: str, size: int, offset: int, part: bytes) -> Document:
        """Put a part of a content of `size` bytes at `offset`. Safe to repeat; outlasts an outage
        of ten minutes."""
        params = given(size=size, offset=offset)
        path = f"/contents/{segment(digest)}"
        return await self._transport.document(
            Call("PATCH", path, params, body=part, persistent=True)
        )

    @method
    async def content(self, digest: str) -> Document:
        """How much of a content this token has sent."""
        path = f"/contents/{segment(digest)}"
        return await self._transport.document(Call("GET", path, persistent=True))

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
    async def outputs(self, job: str, attempt: int | None = None) -> Document:
        """What a job wrote to REMOTE_OUTPUTS: that of its last attempt, or of another one."""
        path = f"/jobs/{segment(job)}/outputs"
        return await self._transport.document(Call("GET", path, given(attempt=attempt)))

    @method
    async def artifacts(self, job: str, attempt: int | None = None) -> Document:
        """The files that a job gives back, by its last attempt or another one."""
        path = f"/jobs/{segment(job)}/artifacts"
        return await self._transport.document(Call("GET", path, given(attempt=attempt)))

    @stream
    async def artifact(
        self, job: str, name: str, attempt: int | None = None, offset: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of such a file from `offset` on; a broken link is bridged."""
        path = f"/jobs/{segment(job)}/artifacts/{'/'.join(map(segment, name.split('/')))}"
        async with aclosing(artifact(self._transport, path, attempt, offset)) as pieces:
            async for piece in pieces:
                yield piece

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
    async def events(
        self, after: int, follow: bool, filters: Mapping[str, object]
    ) -> AsyncGenerator[Document, None]:
        """Every change of job state after number `after`; a broken link is bridged. EventsLost
        when some are kept no longer."""
        async with aclosing(
            numbered(self._transport, "/events", "seq", after, follow, filters)
        ) as events:
            async for event in events:
                yield event

    @stream
    async def audit_stream(
        self, after: int, follow: bool, filters: Mapping[str, object]
    ) -> AsyncGenerator[Document, None]:
        """Every entry of the audit after number `after`, the oldest first; the same."""
        found = numbered(self._transport, "/audit/stream", "number", after, follow, filters)
        async with aclosing(found) as entries:
            async for entry in entries:
                yield entry

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
    async def put(self, kind: str, name: str, body: Document) -> Document:
        """Make a secret, or replace its value."""
        return await self._transport.document(Call("PUT", f"/{kind}/{segment(name)}", body=body))

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
        path = f"/agents/{segment(agent)}/log"
        async with aclosing(own_log(self._transport, path, tail, follow)) as pieces:
            async for piece in pieces:
                yield piece

    @method
    async def rotate_agent_token(self, agent: str) -> Document:
        """A new token for an agent; the old one ends at once."""
        path = f"/agents/{segment(agent)}/rotate-token"
        return await self._transport.document(Call("POST", path, repeat=False))

    @method
    async def whoami(self) -> Document:
        """The token with which we come, without its text."""
        return await self._transport.document(Call("GET", "/whoami"))

    @method
    async def end_own_token(self) -> None:
        """Revoke the token with which we come, if it came from a login in the browser."""
        await self._transport.done(Call("DELETE", "/whoami", repeat=False))

    @method
    async def begin_login(self, name: str, role: str | None = None) -> Document:
        """Begin a login that a person confirms in their browser; no token is needed. `role`: what
        the page offers first."""
        body = {"name": name} if role is None else {"name": name, "role": role}
        return await self._transport.document(Call("POST", "/logins", body=body, repeat=False))

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
