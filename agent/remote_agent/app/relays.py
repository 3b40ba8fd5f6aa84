"""Relays of jobs, from the first job on that asks for one: before it, nothing of it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from remote_agent.connection.endpoint import Endpoint
from remote_agent.session.attempt import FoundAttempt
from remote_protocol.attempt_id import AttemptId

if TYPE_CHECKING:
    from remote_agent.relay.endpoints import RelayEndpoints


class Ends(Protocol):
    """Who tells of attempts that end (the runner)."""

    on_end: Callable[[AttemptId], None] | None


class Relays:
    """The endpoints of attempts. `held` are those that this agent has."""

    def __init__(
        self,
        state_dir: Path,
        endpoint: Callable[[], Endpoint],
        held: Collection[AttemptId],
        ends: Ends,
    ) -> None:
        self._state_dir = state_dir
        self._endpoint = endpoint
        self._held = held
        self._ends = ends
        self._made: RelayEndpoints | None = None

    def _all(self) -> RelayEndpoints:
        if self._made is None:
            from remote_agent.relay.endpoints import RelayEndpoints

            self._made = RelayEndpoints(self._state_dir, self._endpoint)
            self._made.sweep(self._held)
            self._ends.on_end = self._made.close
        return self._made

    def open(self, key: AttemptId) -> dict[str, str]:
        """Have the endpoint of an attempt; what its job is given of it. OSError."""
        return self._all().open(key)

    def reattach(self, found: Iterable[FoundAttempt]) -> None:
        """Have the endpoints again of jobs that a former process of this agent has started."""
        for attempt in found:
            if attempt.spec is not None and attempt.spec.relay and attempt.ended is None:
                self._all().reopen(attempt.key)

    def turn(self) -> None:
        """About a second went by."""
        if self._made is not None:
            self._made.turn()

    def leave(self) -> None:
        """The agent ends, and its jobs run on."""
        if self._made is not None:
            self._made.leave()
