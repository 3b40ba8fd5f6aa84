"""Jobs on their way into the database: they may be given to an agent by the very commit that stores
them. No I/O.

The dispatcher finds them among those that wait, in their rank; what it assigns is carried out after
what stores them, in the same transaction or a later one. One that is not stored after all is not
found then, and given to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from remote_server.domain.model import Waiting

FEW: Final = 16
"""Jobs of one call that are expected; more of them find no place at once, or a commit is little
beside what they cost."""
Listener = Callable[[Sequence[Waiting]], None]


class Arrivals:
    """Jobs that are being stored."""

    def __init__(self) -> None:
        self._jobs: dict[str, Waiting] = {}
        self._listeners: list[Listener] = []

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._jobs.values())

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def on_arrival(self, listener: Listener) -> None:
        """Call `listener` when jobs are about to be stored."""
        self._listeners.append(listener)

    def expect(self, jobs: Sequence[Waiting]) -> None:
        """These jobs are stored next; all jobs of one call, or none."""
        if len(jobs) > FEW:
            return
        self._jobs |= {waiting.job: waiting for waiting in jobs}
        for listener in self._listeners:
            listener(jobs)

    def forget(self, jobs: Iterable[str]) -> None:
        """They are stored, or will not be."""
        if self._jobs:
            for job in jobs:
                self._jobs.pop(job, None)
