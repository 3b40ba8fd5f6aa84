"""A server with one honest agent, and what must hold of both while somebody attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from remote_client.client import Client
from remote_protocol.api.queues import QueueCreate
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.ids import Role
from remote_protocol.states import EndReason, JobState
from tests.support.rogues import enrol
from tests.support.stack import Stack
from tests.support.watch import MOST_HELD, MOST_MEMORY, Watch, watching

HONEST = "honest"
_PRINTING = "n=0; while [ ! -e {go} ]; do n=$((n+1)); echo line $n; sleep 0.05; done; exit 3"


class Rogue(NamedTuple):
    """An agent that is only played."""

    name: str
    token: str


class Place:
    """A server of its own, an honest agent on its own queue, and clients of every role."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = stack.client
        self.client.create_queue(QueueCreate(name=HONEST))
        stack.agent(HONEST, "--queue", HONEST, capacity=4)
        self._jobs = 0
        self._rogues = 0
        self._tokens: dict[Role, str] = {}
        self.short()

    def token(self, role: Role) -> str:
        """An API token of that role, made once."""
        if role not in self._tokens:
            self._tokens[role] = self.client.create_token(role.value, role).token
        return self._tokens[role]

    def rogue(self, *queues: str, capacity: int = 4, **settings: object) -> Rogue:
        """An agent that is only played, with a name of its own."""
        self._rogues += 1
        name = f"rogue-{self._rogues}"
        known = {queue.name for queue in self.client.queues()}
        for queue in queues:
            if queue not in known:
                self.client.create_queue(QueueCreate(name=queue))
        registration = self.registration(*queues)
        allowed = {"queues": list(queues), "capacity": {"default": capacity}, **settings}
        return Rogue(name, enrol(self.stack.url, name, registration, **allowed))

    def registration(self, *queues: str) -> str:
        """A registration token for these queues."""
        created = RegistrationTokenCreate(queues=list(queues), uses=1)
        return self.client.create_registration_token(created).token

    def link(self) -> str:
        """Where agents connect."""
        return self.stack.url.replace("http", "ws") + "/api/v1/agent/session"

    def short(self) -> None:
        """An honest job from its submission to its end, at once."""
        job = self.stack.run("echo hello; echo oops >&2", queue=HONEST, deadline=90)
        assert job.state is JobState.SUCCEEDED, job
        said = [self.client.log(job.id, stream=name) for name in ("stdout", "stderr")]
        assert said == [b"hello\n", b"oops\n"]

    @contextmanager
    def attacked(
        self, *, most_memory: float = MOST_MEMORY, most_held: float = MOST_HELD
    ) -> Iterator[Watch]:
        """Within the block an honest job runs; in the end another one, and both are judged."""
        self._jobs += 1
        go = self.stack.root / f"go-{self._jobs}"
        job = self.stack.submit(_PRINTING.format(go=go), queue=HONEST).id
        self.stack.reaches(job, JobState.RUNNING)
        try:
            with watching(self.stack, most_memory=most_memory, most_held=most_held) as watch:
                yield watch
                self.short()
                go.touch()
                ended = self.client.wait(job, 90)
        finally:
            go.touch()
        assert (ended.state, ended.end_reason) == (JobState.FAILED, EndReason.EXIT), ended
        assert ended.exit_code == 3
        lines = self.client.log(job).decode().splitlines()
        assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
        assert ended.attempts[-1].log_complete


def client_of(place: Place, role: Role) -> Client:
    """A client with that role."""
    return Client(place.stack.url, place.token(role))


Placed = Callable[..., AbstractContextManager[Place]]
"""Makes a place with settings of its own: `placed(LIMITS_MAX_JOB_LOG="1MiB")`."""
