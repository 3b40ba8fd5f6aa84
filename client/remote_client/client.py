"""The Python client: one method for each call of the HTTP API, with the models of the API.

Touches the network only. Calls that are safe to repeat are repeated when the link breaks or the
server restarts; a submitted job carries an idempotency key, so that repeating it is safe too.

    with Client("http://127.0.0.1:8750", token) as client:
        job = client.submit(CommandSpec(command=["make", "test"]))
        for record in client.follow_log(job.id):
            sys.stdout.buffer.write(record.data)
        print(client.wait(job.id).exit_code)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from remote_client.calls import Calls, key
from remote_client.errors import NotOurs
from remote_client.transport import Document, Transport
from remote_protocol import cri
from remote_protocol.api.agents import AgentChange, AgentToken, AgentView
from remote_protocol.api.bodies import Page
from remote_protocol.api.events import TimelineEntry
from remote_protocol.api.inputs import InputView
from remote_protocol.api.jobs import JobBatch, JobBatchCreated, JobView
from remote_protocol.api.queues import QueueChange, QueueCreate, QueueView
from remote_protocol.api.server import VersionView
from remote_protocol.api.tokens import RegistrationTokenCreate, TokenCreate, TokenCreated, TokenView
from remote_protocol.ids import Role
from remote_protocol.spec import JobSpec

V = TypeVar("V", bound=BaseModel)


class Client:
    """A connection to one server. Not for use by several threads at once.

    `url` is the server's base URL without `/api/v1`, `token` an API token; UsageError when one of
    them can be none. Every method raises ApiError when the server refuses, Unreachable when it
    gives no usable answer. `notice` is told, in a sentence, when the server goes away and when it
    is back.
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
        self._calls = Calls(self._transport)
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

    def submit(self, spec: JobSpec) -> JobView:
        """Submit one job; safe to repeat by its idempotency key."""
        return self._view(JobView, self._calls.submit(json.loads(spec.short_json)))

    def submit_batch(self, specs: Sequence[JobSpec]) -> list[str]:
        """Submit many jobs in one transaction; their ids in order. Each gets its own key."""
        keyed = [
            spec if spec.idempotency_key else spec.model_copy(update={"idempotency_key": key()})
            for spec in specs
        ]
        body = JobBatch(jobs=keyed).model_dump(mode="json", exclude_none=True)
        return self._view(JobBatchCreated, self._calls.submit_batch(body["jobs"])).ids

    def job(self, job: str, *, patient: bool = False) -> JobView:
        """One job with its attempts; a `patient` call bears an outage of about ten minutes."""
        return self._view(JobView, self._calls.job(job, patient=patient))

    def jobs(self, limit: int = 50, **filters: str | None) -> Page[JobView]:
        """One page of jobs, newest first; filters: state, queue, agent, cursor."""
        return self._view(Page[JobView], self._calls.jobs(limit=limit, **filters))

    def cancel(self, job: str, reason: str = "", *, patient: bool = False) -> JobView:
        """Wish that a job ends; its state follows when its agent has done it."""
        return self._view(JobView, self._calls.cancel(job, reason, patient=patient))

    def send_input(self, job: str, offset: int, part: bytes, end: bool = False) -> InputView:
        """Put a part of a job's input, at most 1 MiB, at `offset`: what the server has already
        changes nothing. With `end` nothing follows; only then the job sees the end."""
        return self._view(InputView, self._calls.send_input(job, offset, part, end))

    def input(self, job: str) -> InputView:
        """How much of a job's input the server has: where to go on."""
        return self._view(InputView, self._calls.input(job))

    def retry(self, job: str) -> JobView:
        """A new job from an ended one's specification."""
        return self._view(JobView, self._calls.retry(job))

    def timeline(self, job: str) -> list[TimelineEntry]:
        """Everything that happened to a job, in order."""
        return self._view(Page[TimelineEntry], self._calls.timeline(job)).items

    def wait(self, job: str, timeout: float | None = None) -> JobView:
        """The job once it has ended. ClientError when `timeout` seconds pass before."""
        return self._view(JobView, self._calls.wait(job, timeout, self._sleep))

    # Logs and events -------------------------------------------------------------------------

    def log(self, job: str, *, attempt: int | None = None, stream: str | None = None) -> bytes:
        """The job's own bytes so far, of one stream or both, whole in memory."""
        only = None if stream is None else stream.encode()
        return b"".join(cri.decode(piece, only) for piece in self.stored_log(job, attempt=attempt))

    def stored_log(
        self, job: str, *, attempt: int | None = None, offset: int = 0, follow: bool = False
    ) -> Iterator[bytes]:
        """Whole CRI records of an attempt's log from byte `offset` on, in large pieces.

        With `follow` it ends when the attempt has ended and everything has come. A broken link or
        a restarted server is bridged: it goes on at the byte where it broke.
        """
        return iter(self._calls.log(job, attempt=attempt, offset=offset, follow=follow))

    def follow_log(self, job: str, *, attempt: int | None = None) -> Iterator[cri.Record]:
        """The records of an attempt's log from the first on, live until the attempt has ended."""
        for piece in self.stored_log(job, attempt=attempt, follow=True):
            yield from cri.records(piece)

    def events(self, after: int = 0, follow: bool = True) -> Iterator[TimelineEntry]:
        """Every change of job state after `after`; with `follow` it goes on for ever."""
        for event in self._calls.events(after, follow):
            yield self._view(TimelineEntry, event)

    # Agents ----------------------------------------------------------------------------------

    def agents(self, limit: int = 200, cursor: str | None = None) -> Page[AgentView]:
        """One page of agents."""
        page = self._calls.page("agents", limit=limit, cursor=cursor)
        return self._view(Page[AgentView], page)

    def agent(self, name: str) -> AgentView:
        """One agent."""
        return self._view(AgentView, self._calls.one("agents", name))

    def change_agent(self, name: str, change: AgentChange) -> AgentView:
        """Change queues, labels or capacity; applied live."""
        return self._view(AgentView, self._calls.change("agents", name, _body(change)))

    def pause_agent(self, name: str, comment: str = "") -> AgentView:
        """No new jobs for an agent; kept over restarts."""
        return self._view(AgentView, self._calls.wish(name, "pause", {"comment": comment}))

    def resume_agent(self, name: str) -> AgentView:
        """Take pause and drain back."""
        return self._view(AgentView, self._calls.wish(name, "resume"))

    def drain_agent(self, name: str, deadline: float | None = None) -> AgentView:
        """Let an agent finish its jobs, then exit; `deadline` seconds later they are cancelled."""
        return self._view(AgentView, self._calls.wish(name, "drain", {"deadline": deadline}))

    def rotate_agent_token(self, name: str) -> AgentToken:
        """A new token for an agent; the old one ends at once."""
        return self._view(AgentToken, self._calls.rotate_agent_token(name))

    def delete_agent(self, name: str) -> None:
        """Remove an agent and its token."""
        self._calls.delete("agents", name)

    # Queues ----------------------------------------------------------------------------------

    def queues(self) -> list[QueueView]:
        """All queues with their load."""
        return self._view(Page[QueueView], self._calls.page("queues")).items

    def queue(self, name: str) -> QueueView:
        """One queue."""
        return self._view(QueueView, self._calls.one("queues", name))

    def create_queue(self, queue: QueueCreate) -> QueueView:
        """Make a queue."""
        return self._view(QueueView, self._calls.create("queues", _body(queue)))

    def change_queue(self, name: str, change: QueueChange) -> QueueView:
        """Change a queue; fields that are not set stay."""
        return self._view(QueueView, self._calls.change("queues", name, _body(change)))

    def delete_queue(self, name: str) -> None:
        """Remove a queue that no job waits in and no agent serves."""
        self._calls.delete("queues", name)

    # Tokens ----------------------------------------------------------------------------------

    def token_page(self, kind: str = "tokens") -> Page[TokenView]:
        """API and agent tokens, or with `registration-tokens` those."""
        return self._view(Page[TokenView], self._calls.page(kind))

    def create_token(
        self,
        name: str,
        role: Role = Role.VIEWER,
        *,
        agent: str | None = None,
        expires: float | None = None,
    ) -> TokenCreated:
        """An API token, or with `agent` the token of one agent to come."""
        body = _body(TokenCreate(name=name, role=role, agent=agent, expires=expires))
        return self._view(TokenCreated, self._calls.create("tokens", body))

    def create_registration_token(self, request: RegistrationTokenCreate) -> TokenCreated:
        """A token with which agents enrol."""
        body = request.model_dump(mode="json")
        return self._view(TokenCreated, self._calls.create("registration-tokens", body))

    def revoke_token(self, token: str, kind: str = "tokens") -> None:
        """End a token at once, by its id."""
        self._calls.delete(kind, token)

    def version(self) -> VersionView:
        """What the server is."""
        return self._view(VersionView, self._calls.version())

    def _view(self, model: type[V], document: Document) -> V:
        try:
            return model.model_validate(document)
        except ValidationError:
            raise NotOurs(
                f"{self.url} answered, but not as a remote-server of this version does; check that "
                "it is the server's base URL and that no proxy answers."
            ) from None


def _body(model: BaseModel) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(model.model_dump_json(exclude_unset=True))
    return document
