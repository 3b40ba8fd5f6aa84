"""The Python client: one method for each call of the HTTP API, on httpx.

Touches the network only. Calls that are safe to repeat are repeated when the link breaks or the
server restarts; a submitted job carries an idempotency key, so that repeating it is safe too.

    with Client("http://127.0.0.1:8750", token) as client:
        job = client.submit(JobSpec(command=["make", "test"]))
        for record in client.follow_log(job.id):
            sys.stdout.buffer.write(record.data)
        print(client.wait(job.id).exit_code)
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from pydantic import BaseModel

from remote_client.errors import ClientError
from remote_client.logs import stored
from remote_client.transport import Transport, trace
from remote_protocol import api, cri
from remote_protocol.ids import Role
from remote_protocol.spec import JobSpec

_at = partial(quote, safe="")
"""A name as one segment of a path, whatever people typed (RFC 3986 §3.3)."""


class Client:
    """A connection to one server. Not for use by several threads at once.

    `url` is the server's base URL without `/api/v1`, `token` an API token. Every method raises
    ApiError when the server refuses, Unreachable when it gives no usable answer. `notice` is told,
    in a sentence, when the server goes away and when it is back.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca_file: str | None = None,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._again: Callable[[], Client] = partial(
            Client, url, token, ca_file=ca_file, timeout=timeout, sleep=sleep, notice=notice
        )
        self._sleep = sleep
        self._transport = Transport(url, token, ca_file, timeout, sleep, notice)
        self.url = self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def again(self) -> Client:
        """Another client for the same server and token, for another thread."""
        other = self._again()
        other._transport.reached = self._transport.reached
        return other

    # Jobs ------------------------------------------------------------------------------------

    def submit(self, spec: JobSpec, *, sending: Callable[[], None] | None = None) -> api.JobView:
        """Submit one job; safe to repeat by its idempotency key.

        `sending` is called before the first byte leaves: until then no server can have the job.
        """
        body = spec.model_dump(mode="json", exclude_defaults=True)
        body["command"] = spec.command
        return self._transport.view(
            api.JobView,
            "POST",
            "/jobs",
            json=body,
            headers={"Idempotency-Key": spec.idempotency_key or uuid.uuid4().hex},
            extensions=trace("POST", sending) if sending else None,
        )

    def submit_batch(self, specs: Sequence[JobSpec]) -> list[str]:
        """Submit many jobs in one transaction; their ids in order. Each gets its own key."""
        keyed = [
            spec
            if spec.idempotency_key
            else spec.model_copy(update={"idempotency_key": uuid.uuid4().hex})
            for spec in specs
        ]
        body = api.JobBatch(jobs=keyed).model_dump(mode="json", exclude_none=True)
        return self._transport.view(api.JobBatchCreated, "POST", "/jobs/batch", json=body).ids

    def job(self, job: str, *, patient: bool = False) -> api.JobView:
        """One job with its attempts; a `patient` call bears an outage of about ten minutes."""
        return self._transport.view(api.JobView, "GET", f"/jobs/{_at(job)}", patient=patient)

    def jobs(self, limit: int = 50, **filters: str | None) -> api.Page[api.JobView]:
        """One page of jobs, newest first; filters: state, queue, agent, cursor."""
        return self._transport.view(
            api.Page[api.JobView], "GET", "/jobs", params=_given(limit=limit, **filters)
        )

    def cancel(self, job: str, reason: str = "", *, patient: bool = False) -> api.JobView:
        """Wish that a job ends; its state follows when its agent has done it."""
        return self._transport.view(
            api.JobView,
            "POST",
            f"/jobs/{_at(job)}/cancel",
            json={"reason": reason},
            patient=patient,
        )

    def retry(self, job: str) -> api.JobView:
        """A new job from an ended one's specification."""
        return self._transport.view(api.JobView, "POST", f"/jobs/{_at(job)}/retry", repeat=False)

    def timeline(self, job: str) -> list[api.TimelineEntry]:
        """Everything that happened to a job, in order."""
        page = self._transport.view(
            api.Page[api.TimelineEntry], "GET", f"/jobs/{_at(job)}/timeline"
        )
        return page.items

    def wait(self, job: str, timeout: float | None = None) -> api.JobView:
        """The job once it has ended. ClientError when `timeout` seconds pass before."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.02
        while True:
            view = self.job(job, patient=deadline is None)
            if view.state.terminal:
                return view
            if deadline is not None and time.monotonic() >= deadline:
                raise ClientError(f"job {job} is still {view.state} after {timeout:g} s")
            self._sleep(pause)
            pause = min(pause * 1.5, 1.0)

    # Logs and events -------------------------------------------------------------------------

    def log(self, job: str, *, attempt: int | None = None, stream: str | None = None) -> bytes:
        """The job's own bytes so far, whole in memory."""
        params = _given(attempt=attempt, stream=stream)
        return self._transport.call("GET", f"/jobs/{_at(job)}/log", params=params).content

    def stored_log(
        self, job: str, *, attempt: int | None = None, offset: int = 0, follow: bool = False
    ) -> Iterator[bytes]:
        """Whole CRI records of an attempt's log from byte `offset` on, in large pieces.

        With `follow` it ends when the attempt has ended and everything has come. A broken link or
        a restarted server is bridged: it goes on at the byte where it broke.
        """
        return stored(self._transport, f"/jobs/{_at(job)}/log", attempt, offset, follow)

    def follow_log(self, job: str, *, attempt: int | None = None) -> Iterator[cri.Record]:
        """The records of an attempt's log from the first on, live until the attempt has ended."""
        for piece in self.stored_log(job, attempt=attempt, follow=True):
            yield from cri.records(piece)

    def events(self, after: int = 0, follow: bool = True) -> Iterator[api.TimelineEntry]:
        """Every change of job state behind `after`; with `follow` it goes on for ever."""
        params = _given(after=after, follow="true" if follow else None)
        pending = b""
        for piece, _ in self._transport.stream("/events", params, "application/x-ndjson"):
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                if line.strip():
                    yield api.TimelineEntry.model_validate_json(line)

    # Agents ----------------------------------------------------------------------------------

    def agents(self, limit: int = 200, cursor: str | None = None) -> api.Page[api.AgentView]:
        """One page of agents."""
        return self._transport.view(
            api.Page[api.AgentView], "GET", "/agents", params=_given(limit=limit, cursor=cursor)
        )

    def agent(self, name: str) -> api.AgentView:
        """One agent."""
        return self._transport.view(api.AgentView, "GET", f"/agents/{_at(name)}")

    def change_agent(self, name: str, change: api.AgentChange) -> api.AgentView:
        """Change queues, labels or capacity; applied live."""
        return self._transport.view(
            api.AgentView, "PATCH", f"/agents/{_at(name)}", json=_body(change)
        )

    def pause_agent(self, name: str, comment: str = "") -> api.AgentView:
        """No new jobs for an agent; kept over restarts."""
        return self._transport.view(
            api.AgentView, "POST", f"/agents/{_at(name)}/pause", json={"comment": comment}
        )

    def resume_agent(self, name: str) -> api.AgentView:
        """Take pause and drain back."""
        return self._transport.view(api.AgentView, "POST", f"/agents/{_at(name)}/resume")

    def drain_agent(self, name: str, deadline: float | None = None) -> api.AgentView:
        """Let an agent finish its jobs, then exit; `deadline` seconds later they are cancelled."""
        return self._transport.view(
            api.AgentView, "POST", f"/agents/{_at(name)}/drain", json={"deadline": deadline}
        )

    def rotate_agent_token(self, name: str) -> api.AgentToken:
        """A new token for an agent; the old one ends at once."""
        return self._transport.view(
            api.AgentToken, "POST", f"/agents/{_at(name)}/rotate-token", repeat=False
        )

    def delete_agent(self, name: str) -> None:
        """Remove an agent and its token."""
        self._transport.call("DELETE", f"/agents/{_at(name)}")

    # Queues ----------------------------------------------------------------------------------

    def queues(self) -> list[api.QueueView]:
        """All queues with their load."""
        return self.queue_page().items

    def queue_page(self) -> api.Page[api.QueueView]:
        """The same as the API's own document."""
        return self._transport.view(api.Page[api.QueueView], "GET", "/queues")

    def queue(self, name: str) -> api.QueueView:
        """One queue."""
        return self._transport.view(api.QueueView, "GET", f"/queues/{_at(name)}")

    def create_queue(self, queue: api.QueueCreate) -> api.QueueView:
        """Make a queue."""
        return self._transport.view(
            api.QueueView, "POST", "/queues", json=_body(queue), repeat=False
        )

    def change_queue(self, name: str, change: api.QueueChange) -> api.QueueView:
        """Change a queue; fields that are not set stay."""
        return self._transport.view(
            api.QueueView, "PATCH", f"/queues/{_at(name)}", json=_body(change)
        )

    def delete_queue(self, name: str) -> None:
        """Remove a queue that no job waits in and no agent serves."""
        self._transport.call("DELETE", f"/queues/{_at(name)}")

    # Tokens ----------------------------------------------------------------------------------

    def token_page(self, kind: str = "tokens") -> api.Page[api.TokenView]:
        """API and agent tokens, or with `registration-tokens` those."""
        return self._transport.view(api.Page[api.TokenView], "GET", f"/{kind}")

    def create_token(
        self,
        name: str,
        role: Role = Role.VIEWER,
        *,
        agent: str | None = None,
        expires: float | None = None,
    ) -> api.TokenCreated:
        """An API token, or with `agent` the token of one agent to come."""
        body = _body(api.TokenCreate(name=name, role=role, agent=agent, expires=expires))
        return self._transport.view(api.TokenCreated, "POST", "/tokens", json=body, repeat=False)

    def create_registration_token(self, request: api.RegistrationTokenCreate) -> api.TokenCreated:
        """A token with which agents enrol."""
        return self._transport.view(
            api.TokenCreated,
            "POST",
            "/registration-tokens",
            json=request.model_dump(mode="json"),
            repeat=False,
        )

    def revoke_token(self, token: str, kind: str = "tokens") -> None:
        """End a token at once, by its id."""
        self._transport.call("DELETE", f"/{kind}/{_at(token)}")

    def version(self) -> api.VersionView:
        """What the server is."""
        return self._transport.view(api.VersionView, "GET", "/version")


def _given(**values: object) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if value is not None}


def _body(model: BaseModel) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(model.model_dump_json(exclude_unset=True))
    return document
