"""Jobs on their way into the database: they may be given to agents by the very commit that stores
them. No I/O.

Whoever gives jobs to agents hears of them before they are written. What finds a place at once is
stored as given. The others the dispatcher finds among those that wait, in their rank; what it
assigns is carried out after what stores them, in the same transaction or a later one. One that is
not stored after all is not found then, and given to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from remote_server.domain.model import Lease, Waiting

FEW: Final = 16
"""Jobs of one call that are expected; more of them find no place at once, or a commit is little
beside what they cost."""


class Places(Protocol):
    """Agents that have a place for jobs which are about to be stored."""

    agents: Mapping[str, str]
    """Who is to have which job."""
    at: float
    """When they were found (Unix seconds)."""

    def written(self, leases: Sequence[Lease]) -> None:
        """Those that are stored were written; their commit follows, and may fail."""

    def stored(self, leases: Sequence[Lease]) -> None:
        """These are committed, and no others: where a submit failed, none."""


Listener = Callable[[Sequence[Waiting]], Places | None]


class Arrivals:
    """Jobs that are being stored, and have no agent yet."""

    def __init__(self) -> None:
        self._jobs: dict[str, Waiting] = {}
        self._listener: Listener | None = None

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._jobs.values())

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def on_arrival(self, listener: Listener) -> None:
        """Have `listener` find places for jobs that are about to be stored."""
        self._listener = listener

    def expect(self, jobs: Sequence[Waiting]) -> Places | None:
        """These jobs are stored next; all jobs of one call, or none. Some may have places."""
        if len(jobs) > FEW:
            return None
        places = None if self._listener is None else self._listener(jobs)
        placed: Collection[str] = () if places is None else places.agents
        self._jobs |= {waiting.job: waiting for waiting in jobs if waiting.job not in placed}
        return places

    def forget(self, jobs: Iterable[str]) -> None:
        """They are stored, or will not be."""
        if self._jobs:
            for job in jobs:
                self._jobs.pop(job, None)
