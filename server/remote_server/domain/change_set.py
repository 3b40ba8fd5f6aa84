"""What one commit changed: the store publishes it, and whoever depends on it reads again. Pure.

Nobody is called after a write: dispatcher, sweeper, hub, authenticator and followers subscribe to
the change sets. They name rows and carry no rows, so that several servers can share them later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason

K = TypeVar("K")
T = TypeVar("T")
Heard = TypeVar("Heard", bound=Callable[..., None])


class Submitted(NamedTuple):
    """A job was submitted."""

    job: str
    created_at: float
    """Unix seconds."""
    traceparent: str | None
    """The trace that it continues, if it does."""


class Cancel(NamedTuple):
    """An agent must end an attempt: somebody asked for it."""

    agent: str
    reason: EndReason
    detail: str


class Held(NamedTuple):
    """A member of a group that waits until the group and its agent let it start."""

    job: str
    not_before: float | None = None
    """Its next attempt is made then at the earliest (Unix seconds)."""


class GroupNews(NamedTuple):
    """What a commit left of a group."""

    room: int | None
    """How many more members may start; None: as many as wait."""
    waiting: bool
    """Some members have not started."""
    stopped: bool
    """No other member is started."""


class Made(Generic[T]):
    """A field that is made when it is first asked for: most commits fill in five of two dozen."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, changes: Any, owner: type) -> T:
        made: T = self._make()
        # From now on Python finds it in the object itself.
        vars(changes)[self._name] = made
        return made


class ChangeSet:
    """What one commit changed. Operations on the database fill it in; afterwards nobody does."""

    def __init__(self, **given: object) -> None:
        vars(self).update(given)

    jobs = Made[set[str]](set)
    """Jobs with new timeline events."""
    ended = Made[set[str]](set)
    """Those of them that ended."""
    submitted = Made[list[Submitted]](list)
    """New jobs."""
    started = Made[list[tuple[str, float, str]]](list)
    """First attempts that started: the job, when (Unix seconds), and the queue."""
    queued: bool = False
    """The dispatcher may have something to do: a job waits (again), or a queue was resumed."""
    deferred_until: float | None = None
    """When the first of the jobs that now wait for their next attempt's time may be assigned."""
    ready_counts = Made[dict[str, int]](dict)
    """How the number of jobs ready to be assigned changed, for each demand's stored text."""
    state_counts = Made[dict[tuple[str, str], int]](dict)
    """How the number of jobs changed, for each queue and state."""
    end_counts = Made[dict[tuple[str, str], int]](dict)
    """How many jobs ended, for each queue and end reason."""
    failures = Made[dict[str, int]](dict)
    """How many jobs failed, for each queue."""
    cancels = Made[dict[AttemptId, Cancel]](dict)
    """Attempts that an agent holds and whose job somebody wants to end, asked for again or not."""
    given_up = Made[dict[AttemptId, tuple[str, str]]](dict)
    """Leases that the server gave up: whose, and why. Their agents must kill what they have. It is
    told here and not by whoever wrote it, so that no hello that was answered since is meant."""
    given_again = Made[dict[AttemptId, str]](dict)
    """Attempts that were withdrawn before, and are given under the same number: to which agents."""
    groups = Made[dict[str, GroupNews]](dict)
    """Groups that are new, or of which a member changed its state."""
    held = Made[dict[tuple[str, str], Held | None]](dict)
    """Members, by group and agent, that wait now; None: that do not any more."""
    stopping = Made[set[str]](set)
    """Groups that were stopped, and have members which have to be ended."""
    agents = Made[set[str]](set)
    """Agents that were registered, or whose assignment or desired state was changed."""
    removed_agents = Made[dict[str, str]](dict)
    """Agents that were deleted, or whose name another host took over: why. What the former host
    runs is nobody's any more, and must not go on there (I2)."""
    queues = Made[set[str]](set)
    """Queues that were created, changed or deleted."""
    tokens = Made[set[str]](set)
    """Ids of tokens that were created, changed or revoked."""
    revoked = Made[dict[str, str]](dict)
    """Those of them that hold no more: why."""
    sessions = Made[set[str]](set)
    """Sessions of browsers that ended, by the hashes of their secrets."""
    seconds: float = 0.0
    """How long the transaction took, its commit included."""
    webhooks = Made[set[str]](set)
    """Names of webhooks that were created, changed or deleted, or that have a new message."""
    webhook_counts = Made[dict[str, int]](dict)
    """How many of their messages were delivered, put off, failed or dropped."""
    audited: bool = False
    """The audit has new entries."""

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return any(what for name, what in vars(self).items() if name != _TIME)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChangeSet) and self._told() == other._told()

    __hash__ = None  # type: ignore[assignment]  # it grows while it is filled in

    def __repr__(self) -> str:
        return f"ChangeSet({self._told()})"

    def _told(self) -> dict[str, object]:
        return {name: what for name, what in vars(self).items() if what and name != _TIME}

    @property
    def kinds(self) -> frozenset[str]:
        """The names of the fields that were asked for; all others have nothing."""
        return frozenset(vars(self))

    def defer(self, until: float) -> None:
        """A job waits until then (Unix seconds); the dispatcher must hear of it, to be awake."""
        known = self.deferred_until
        self.deferred_until = until if known is None else min(known, until)
        self.queued = True

    def give_again(self, key: AttemptId, agent: str) -> None:
        """An agent gets an attempt that was withdrawn. If it was the same agent's and this commit
        withdrew it, there is nothing to tell: the agent may have heard of the new offer already."""
        self.given_again[key] = agent
        holder = self.given_up.get(key)
        if holder is not None and holder[0] == agent:
            del self.given_up[key]

    def merge(self, other: ChangeSet) -> None:
        """Add what a later operation of the same commit changed."""
        for name, theirs in vars(other).items():
            mine = getattr(self, name)
            if name in _COUNTS:
                add_counts(mine, theirs)
            elif name == "given_again":
                for key, agent in theirs.items():
                    self.give_again(key, agent)
            elif isinstance(theirs, list):
                mine.extend(theirs)
            elif isinstance(theirs, set | dict):
                mine.update(theirs)
            elif name == "deferred_until":
                self.defer(theirs)
            elif name != _TIME:
                setattr(self, name, mine or theirs)


_TIME: Final = "seconds"
_COUNTS: Final = frozenset(
    {"ready_counts", "state_counts", "end_counts", "failures", "webhook_counts"}
)


def hears(*kinds: str) -> Callable[[Heard], Heard]:
    """Marks what hears of commits: it does nothing about those that have nothing in these fields,
    and is not called for them."""

    def mark(heard: Heard) -> Heard:
        heard.kinds = frozenset(kinds)  # type: ignore[attr-defined]
        return heard

    return mark


def add_counts(counts: dict[K, int], changes: dict[K, int]) -> None:
    """Add changes to counts."""
    for name, change in changes.items():
        counts[name] = counts.get(name, 0) + change
