"""Changes of attempts as agents report them, which the store decides upon. Pure types."""

from __future__ import annotations

from remote_protocol.attempt_id import AttemptId
from remote_protocol.frozen import frozen
from remote_protocol.messages import Ended


@frozen
class Accepted:
    """The agent holds the attempt durably."""

    key: AttemptId
    first: bool = False
    """Until now it was only offered, so that none of its log can have come: what lies under its
    name is another attempt's, which the database lost in a power cut."""


@frozen
class Withdrawn:
    """The attempt has not started and never will: back to the queue, same number."""

    key: AttemptId
    detail: str
    refused: bool = False
    """The agent itself gave it back."""


@frozen
class Rejected:
    """The agent's policy forbids the job: it ends as `rejected`."""

    key: AttemptId
    detail: str


@frozen
class Running:
    """The job's process exists."""

    key: AttemptId
    pid: int
    at: float


@frozen
class Finished:
    """The attempt ended and its log is complete, or as complete as it will ever be."""

    key: AttemptId
    ended: Ended
    torn: str = ""
    """Why the log is not complete, in words; empty when it is."""


@frozen
class Lost:
    """The agent says hello without an attempt that it had accepted: its disk has lost it."""

    key: AttemptId
    detail: str


@frozen
class Returned:
    """A lost attempt is alive, and the job's policy keeps it."""

    key: AttemptId


Change = Accepted | Withdrawn | Rejected | Running | Finished | Lost | Returned
