"""What can go wrong in the server, as types with a stable code. Pure.

    ServerError
    ├── StoreUnavailable      the database cannot be used now; nothing was stored; it may pass
    │   ├── CommitUnknown     the same, but nobody can say whether it was stored
    │   └── StoreOverloaded   too much waits for the database
    ├── DatabaseUnusable      the database cannot be used as it is: newer, foreign, damaged
    ├── NotFound              there is no such job, agent, queue or token
    ├── UnknownQueue          a job or an agent names a queue that does not exist
    │   └── NoQueueNamed      a job names none, and the default queue is not its submitter's
    ├── UnknownAgent          a job names an agent that is not registered
    ├── NoAgentMatches        a group would have no members
    ├── ContentMissing        a job names content that is not here for whoever submits it
    ├── JobTooLarge           no offer to an agent could carry the job
    ├── Conflict              the request contradicts what is stored
    │   └── NameTaken         another host holds the agent's name
    ├── Refused               the bearer of a token may not do this
    └── Stale                 a report about an attempt that its sender no longer holds (I2)

The text is a sentence for people: cause and cure. `code` is for programs (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from typing import ClassVar, Final

from remote_protocol.errors import ErrorCode

NAMED: Final = 20
"""Names that an error gives of what there is."""


def first_names(names: Iterable[str]) -> list[str]:
    """As many of these, sorted, as the text of an error needs: of thousands a copy for each of
    thousands of errors would take seconds."""
    return nsmallest(NAMED + 1, names)


class ServerError(Exception):
    """Base of all errors of the server that are not bugs."""

    code: ErrorCode = ErrorCode.INTERNAL
    exit_code: ClassVar[int] = 1
    """Exit code of the command line that meets it."""
    retry_after: ClassVar[int] = 1
    """Seconds after which it is worth trying again, where it is at all."""


class StoreUnavailable(ServerError):
    """The database cannot be used now. Nothing was stored; trying again may help."""

    code = ErrorCode.STORE_UNAVAILABLE


class CommitUnknown(StoreUnavailable):
    """The database went away while it was told to store something: perhaps it has."""


class StoreOverloaded(StoreUnavailable):
    """So much waits for the database that nothing more is taken. Nothing was stored."""

    retry_after = 5


class DatabaseUnusable(ServerError):
    """The database is newer than the program, is none of ours, or is damaged."""

    code = ErrorCode.STORE_UNAVAILABLE
    exit_code = 2


class NotFound(ServerError):
    """There is no `kind` (job, agent, queue, token) called `name`."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is no {kind} {name!r}")
        self.kind = kind
        self.name = name


class UnknownQueue(ServerError):
    """A job or an agent names a queue that does not exist; the text names those that do, or with
    `limited` those that a token is limited to."""

    code = ErrorCode.UNKNOWN_QUEUE

    def __init__(self, queue: str, existing: Iterable[str], *, limited: bool = False) -> None:
        names = sorted(existing)
        some = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
        super().__init__(
            f"there is no queue {queue!r}; "
            + (f"the queues are: {some}; " if names else "there are no queues yet; ")
            + (
                "the token is limited to them"
                if limited
                else f"create it with: remotectl queue create {queue}"
            )
        )
        self.queue = queue


class NoQueueNamed(UnknownQueue):
    """A job names no queue, and its submitter is limited to others than the default one."""

    def __init__(self, queue: str, existing: Iterable[str]) -> None:
        super().__init__(queue, (), limited=True)
        names = sorted(existing)
        some = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
        # Without the default queue's name, which is none of theirs.
        self.args = (
            "the job names no queue, and the token may not use the server's default queue; "
            + (f"name one of those to which it is limited: {some}" if names else "it has none"),
        )


class UnknownAgent(ServerError):
    """A job names an agent that is not registered; the text names some that are."""

    code = ErrorCode.UNKNOWN_AGENT

    def __init__(self, agent: str, existing: Iterable[str]) -> None:
        names = sorted(existing)
        some = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
        super().__init__(
            f"there is no agent {agent!r}; "
            + (f"the agents are: {some}" if names else "no agent is registered yet")
        )
        self.agent = agent


class NoAgentMatches(ServerError):
    """No agent is what a group asks for."""

    code = ErrorCode.UNKNOWN_AGENT


class ContentMissing(ServerError):
    """A job names content that its submitter has not sent, or that is kept no longer."""

    code = ErrorCode.CONTENT_MISSING


class JobTooLarge(ServerError):
    """A job whose JSON is larger than what an offer to an agent may carry."""

    code = ErrorCode.VALIDATION


class Conflict(ServerError):
    """The request contradicts what is stored."""

    code = ErrorCode.CONFLICT


class NameTaken(Conflict):
    """Another host is registered under the agent's name."""

    code = ErrorCode.NAME_TAKEN


class Refused(ServerError):
    """The bearer of a token may not do this; `code` says which refusal it is (forbidden,
    used_token, expired_token, invalid_token)."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Stale(ServerError):
    """A report about an attempt that its sender does not hold (any more): fenced (I2)."""

    code = ErrorCode.CONFLICT
