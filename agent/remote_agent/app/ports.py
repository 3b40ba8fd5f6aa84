"""What the session driver acts upon. Each port has one implementation in the agent, which the docs
of its method name, and a fake in the tests; the simulation has ports of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from remote_agent.session.events import Event, OfferFailed, OfferStored
from remote_agent.session.secret_needs import SecretNeeds
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ContentChunk, Written
from remote_protocol.errors import CloseCode
from remote_protocol.messages import AgentMessage, ArtifactAck, ContentLost, Offer, Welcome
from remote_protocol.metrics import Family
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason


class Watch(Protocol):
    """Who only looks on, for an extension (`[agent] compatible_with`). Nothing it does changes what
    the agent does, and it answers at once."""

    def online(self, welcome: Welcome) -> None:
        """The server has welcomed the agent."""

    def seen(self, event: Event, spec: JobSpec | None) -> None:
        """Something has happened, with an attempt of a job of this `spec` if it is known."""

    def families(self, running: Sequence[JobSpec]) -> Sequence[Family]:
        """Metrics, beside the agent's own. `running`: jobs that run or will."""


class LinkPort(Protocol):
    """The WebSocket (`connection.link.Link`)."""

    def send(self, message: AgentMessage | Written) -> None:
        """Write a message now."""

    def close(self, code: CloseCode, detail: str) -> None:
        """Close the link; a new one is made."""


class StorePort(Protocol):
    """Where attempts are written and made durable (`execution.storing.AttemptStore`)."""

    def store(self, offer: Offer) -> OfferStored | OfferFailed:
        """Write an attempt's directory; how it went."""

    def force(self, key: AttemptId) -> None:
        """Force to the disk that it is accepted, after what was sent; an event says how it went."""


class RunnerPort(Protocol):
    """What runs on this host (`execution.runner.Runner`)."""

    def start(self, key: AttemptId) -> None:
        """Have a shim run the attempt."""

    def stop(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        """End it politely."""

    def kill(self, key: AttemptId, detail: str) -> None:
        """End it at once."""

    def forget(self, key: AttemptId) -> None:
        """The server needs nothing more of it."""

    def resize(self, capacity: int) -> None:
        """So many attempts may run at a time."""


class SecretsPort(Protocol):
    """Who finds the secrets of jobs (`execution.secret_start.SecretStart`)."""

    def start_with_secrets(self, key: AttemptId, needs: SecretNeeds) -> None:
        """Have a shim run the attempt with its secrets, or end it before it starts."""


class UploaderPort(Protocol):
    """The upload of log bytes (`connection.uploader.Uploader`)."""

    def wake(self) -> None:
        """There may be something to send."""

    def forget(self, key: AttemptId) -> None:
        """Nothing of this attempt is sent any more."""

    def acknowledged(self, key: AttemptId, offset: int) -> None:
        """The server has all before `offset`."""


class InputsPort(Protocol):
    """The copies of inputs (`journal.inputs.InputFiles`)."""

    def append(self, key: AttemptId, offset: int, payload: memoryview) -> bool:
        """Write a piece at the end of a copy; False when the disk does not take it."""

    def end(self, key: AttemptId, size: int) -> bool:
        """Note that a copy is complete; False when the disk does not take it."""


class ContactPort(Protocol):
    """What shims read about the server's absence (`shim.contact.ContactNote`)."""

    def note(self, at: float) -> None:
        """The server has answered what was sent at this moment of the boot clock. OSError."""


class DiskPort(Protocol):
    """Who looks after the disk (`local.janitor.Janitor`)."""

    def refused(self, reason: str) -> None:
        """The disk has refused an attempt."""


class ShutdownPort(Protocol):
    """Who decides about the agent's exit (`app.shutdown.Shutdown`)."""

    def attempt_taken(self) -> bool:
        """An attempt was taken; whether the desired state has changed by that."""


class OwnLogPort(Protocol):
    """Who sends the agent's own log (`connection.log_sender.LogSender`)."""

    def begin(self, cursor: str | None) -> None:
        """The server has it up to this cursor; None: it wants nothing, or the link is gone."""

    def stored(self, cursor: str) -> None:
        """The server has it up to this cursor now."""


class ArtifactsPort(Protocol):
    """Who sends artifacts (`connection.artifact_sender.ArtifactSender`)."""

    def begin(self) -> None:
        """There is a link, and the server has welcomed it."""

    def stop(self) -> None:
        """There is no link."""

    def answered(self, ack: ArtifactAck) -> None:
        """The server says what it has of one."""


class ContentsPort(Protocol):
    """Who has attempts wait for their files (`app.contents.Contents`)."""

    def prepare(self, key: AttemptId, spec: JobSpec, start: Callable[[], None]) -> None:
        """Have the attempt's files put into place, then call `start`."""

    def drop(self, key: AttemptId) -> None:
        """The attempt needs no files any more."""

    def begin(self) -> None:
        """There is a link, and the server has welcomed it."""

    def stop(self) -> None:
        """There is no link."""

    def received(self, chunk: ContentChunk) -> None:
        """A piece of one came."""

    def lost(self, message: ContentLost) -> None:
        """The server cannot give one."""


class StatusPort(Protocol):
    """The service manager (`local.notify.ServiceStatus`)."""

    def report(self, text: str) -> None:
        """The agent's status in a few words."""


class Ports(NamedTuple):
    """All that the effects of a session act upon."""

    link: LinkPort
    store: StorePort
    runner: RunnerPort
    secrets: SecretsPort
    uploader: UploaderPort
    inputs: InputsPort
    contact: ContactPort
    disk: DiskPort
    shutdown: ShutdownPort
    status: StatusPort
    own_log: OwnLogPort
    artifacts: ArtifactsPort
    contents: ContentsPort
