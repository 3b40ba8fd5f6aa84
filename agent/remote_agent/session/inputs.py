"""The inputs of all jobs that an agent's session fetches (`input_copy`). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from remote_agent.session.attempt import HeldAttempt
from remote_agent.session.effects import Effect
from remote_agent.session.events import InputReceived
from remote_agent.session.input_copy import InputCopy
from remote_protocol.attempt_id import AttemptId


class Inputs:
    """The copies of all attempts in `held`."""

    def __init__(self, held: Mapping[AttemptId, HeldAttempt]) -> None:
        self._held = held

    def received(self, event: InputReceived) -> list[Effect]:
        """A piece of an input came."""
        copy = self._copy(event.key)
        return [] if copy is None else copy.take(event)

    def stored(self, key: AttemptId, size: int) -> list[Effect]:
        """A piece was appended (answer to `AppendInput`)."""
        copy = self._copy(key)
        return [] if copy is None else copy.stored(key, size)

    def failed(self, key: AttemptId) -> list[Effect]:
        """The disk did not take it."""
        copy = self._copy(key)
        if copy is not None:
            copy.failing = True
        return []

    def finish(self, key: AttemptId, size: int) -> list[Effect]:
        """The server says how long the whole input is."""
        copy = self._copy(key)
        return [] if copy is None else copy.finish(key, size)

    def ended(self, key: AttemptId) -> list[Effect]:
        """It is complete here (answer to `EndInput`)."""
        copy = self._copy(key)
        if copy is not None:
            copy.ended = True
        return []

    def retry(self) -> list[Effect]:
        """Ask once more for what the disk did not take."""
        return [
            effect
            for key, attempt in self._held.items()
            if attempt.input is not None and attempt.input.failing and attempt.reads
            for effect in attempt.input.ask(key)
        ]

    def _copy(self, key: AttemptId) -> InputCopy | None:
        attempt = self._held.get(key)
        return attempt.input if attempt is not None and attempt.reads else None
