"""What is fuzzed: a real server, and beside it a real agent whose job must not notice.

Cases name things by placeholders (`{job}`, `{ended}`, `{agent}` …) and tokens by their kind, so
that a case means the same in every run; the ground knows what they are now. Nothing that is
generated may name the queue or the agent of the honest job.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from remote_client.errors import ApiError
from remote_protocol.api.queues import QueueCreate
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.ids import Role
from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.states import EndReason, JobState
from tests.support.rogues import enrol
from tests.support.stack import Stack
from tests.support.watch import Watch

HONEST: Final = "honest"
"""Agent and queue of the job that must not notice anything."""
FUZZED: Final = "fuzz"
"""Queue of the rogues' jobs."""
ROGUES: Final = 6
_BOOK: Final = (
    "while [ ! -e {go} ]; do n=$((n+1)); echo line $n; sleep 0.05; done; echo last; exit 3"
)


class Ground:
    """The server, the honest agent and the tokens. `check` fails when the server has suffered."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = stack.client
        for name in (HONEST, FUZZED):
            self.client.create_queue(QueueCreate(name=name))
        stack.agent(HONEST, "--queue", HONEST, capacity=4)
        ended = self._run_honest()
        self._tokens = {
            role.value: self.client.create_token(role.value, role).token for role in Role
        }
        revoked = self.client.create_token("revoked", Role.ADMIN)
        self.client.revoke_token(revoked.id)
        self._tokens["revoked"] = revoked.token
        self._tokens["registration"] = self._registration()
        self.rogues = [self._enrol(f"rogue-{number}") for number in range(ROGUES)]
        self._tokens["agent"] = self._enrol("fuzz-agent")
        self.feed()
        waiting = self.client.submit(CommandSpec(queue=FUZZED, command=["true"], priority=-1000))
        self._go = stack.root / "go"
        self._honest = stack.submit(_BOOK.format(go=self._go), queue=HONEST).id
        stack.reaches(self._honest, JobState.RUNNING)
        self.places = {
            "job": waiting.id,
            "ended": ended,
            "foreign": self._honest,
            "agent": "fuzz-agent",
            "unknown": "01JD0000000000000000000000",
        }
        self.watch = Watch(stack)

    def token(self, kind: str) -> str:
        """The token of that kind; other text is one itself."""
        return self._tokens.get(kind, kind)

    def fill(self, text: str) -> str:
        """The text with its placeholders replaced."""
        for name, value in self.places.items():
            text = text.replace("{" + name + "}", value)
        return text

    def feed(self) -> None:
        """See that the rogues can be offered something."""
        waiting = next(q for q in self.client.queues() if q.name == FUZZED).queued
        if waiting < 20:
            spec = JobSpec.model_validate(
                {
                    "queue": FUZZED,
                    "command": ["true"],
                    "max_attempts": 100,
                    "retry_backoff": 0,
                    "on_disconnect": {"lost_after": 1},
                }
            )
            self.client.submit_batch([spec] * 40)

    def renew(self) -> None:
        """Enrol the agents anew whose tokens a case has ended."""
        self._tokens["agent"] = self._enrol("fuzz-agent")

    def check(self) -> None:
        """AssertionError when the server is not what it was."""
        self.watch.check()

    def finish(self) -> None:
        """The honest job ends as it would have ended alone, and a new one runs."""
        self._go.touch()
        job = self.client.wait(self._honest, 60)
        assert (job.state, job.end_reason, job.exit_code) == (JobState.FAILED, EndReason.EXIT, 3)
        log = self.client.log(job.id).decode().splitlines()
        assert log == [*(f"line {n}" for n in range(1, len(log))), "last"]
        assert job.attempts[-1].log_complete
        self._run_honest()
        self.check()

    def close(self) -> None:
        """End the watch."""
        self.watch.close()

    def _run_honest(self) -> str:
        job = self.stack.run("echo hello; echo oops >&2", queue=HONEST, deadline=60)
        assert job.state is JobState.SUCCEEDED, job
        said = [self.client.log(job.id, stream=name) for name in ("stdout", "stderr")]
        assert said == [b"hello\n", b"oops\n"]
        return job.id

    def _registration(self) -> str:
        created = RegistrationTokenCreate(queues=[FUZZED, "default"], expires=86_400, uses=1_000)
        return self.client.create_registration_token(created).token

    def _enrol(self, name: str) -> str:
        """Register an agent that is only played; its token."""
        try:
            self.client.delete_agent(name)
        except ApiError as error:
            if error.code != "not_found":
                raise
        # Not with the token of the cases, which use it up.
        return enrol(self.stack.url, name, self._registration(), queues=[FUZZED])


@contextmanager
def fuzzed_ground(folder: Path) -> Iterator[Ground]:
    """A ground for as long as the block lasts; in the end the honest job is judged."""
    with Stack(folder) as stack:
        stack.start_server()
        ground = Ground(stack)
        try:
            yield ground
            ground.finish()
        finally:
            ground.close()
