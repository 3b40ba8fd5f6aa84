"""Takes the artifacts that one agent sends: notes them, appends by offset, compares, completes.

May touch the store and the artifacts' files. Nothing about an artifact is acknowledged before it is
where it must be: `complete` comes after the commit, and that after the bytes are durable.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ArtifactChunk
from remote_protocol.messages import Artifact, ArtifactAck, ArtifactLost, ServerMessage
from remote_protocol.stream import Append, Gap, place
from remote_server.artifacts import ArtifactUnavailable
from remote_server.errors import StoreUnavailable
from remote_server.hub.owner import Owner

_MOST_OPEN: Final = 64
"""Artifacts of one link that are received at a time; an honest agent sends four."""
_UPLOADING: Final = ArtifactState.UPLOADING


class _Receiving(NamedTuple):
    size: int
    checksum: str


class ArtifactReceiver:
    """The artifacts of one link. `run` carries work beside the reading of frames."""

    def __init__(
        self,
        owner: Owner,
        agent: str,
        send: Callable[[ServerMessage], None],
        run: Callable[[Coroutine[Any, Any, None]], None],
        failed: Callable[[AttemptId, Exception], None],
    ) -> None:
        self._owner = owner
        self._agent = agent
        self._send = send
        self._run = run
        self._failed = failed
        self._open: dict[tuple[AttemptId, int], _Receiving] = {}
        self._completing: set[tuple[AttemptId, int]] = set()

    def hear(self, message: Artifact | ArtifactLost) -> None:
        """The agent speaks of an artifact. Without an answer it says it again."""
        self._run(self._note(message))

    async def _note(self, message: Artifact | ArtifactLost) -> None:
        key, number, owner = message.attempt, message.number, self._owner
        try:
            known = await owner.artifact_rows.announce_artifact(
                self._agent, message, owner.terms.max_artifacts, owner.clock.wall()
            )
            if known.state is not _UPLOADING:
                self._open.pop((key, number), None)
                if known.stale:
                    owner.artifacts.discard(key, number)
                self._answer(key, number, known.state, detail=known.reason)
                return
            if known.stale:
                owner.artifacts.discard(key, number)
        except (StoreUnavailable, ArtifactUnavailable) as error:
            self._failed(key, error)
            return
        if isinstance(message, Artifact):
            self._expect(message)

    def _expect(self, message: Artifact) -> None:
        key, number = message.attempt, message.number
        if (key, number) in self._completing:
            return
        try:
            length = self._owner.artifacts.length(key, number)
            if length > message.size:
                self._owner.artifacts.discard(key, number)
                length = 0
        except ArtifactUnavailable as error:
            self._failed(key, error)
            return
        if len(self._open) >= _MOST_OPEN:
            self._open.pop(next(iter(self._open)))
        self._open[key, number] = _Receiving(message.size, message.checksum)
        if length == message.size:
            self._complete(key, number)
        else:
            self._answer(key, number, _UPLOADING, length, again=True)

    def take(self, chunk: ArtifactChunk) -> None:
        """A piece came."""
        key, number = chunk.attempt, chunk.number
        wanted = self._open.get((key, number))
        if wanted is None or (key, number) in self._completing:
            return
        artifacts = self._owner.artifacts
        try:
            length = artifacts.length(key, number)
            where = place(length, chunk.offset, len(chunk.payload))
            if isinstance(where, Gap):
                self._answer(key, number, _UPLOADING, length, again=True)
                return
            if isinstance(where, Append):
                fresh = chunk.payload[where.skip :][: wanted.size - length]
                artifacts.append(key, number, length, fresh)
                length += len(fresh)
        except ArtifactUnavailable as error:
            self._failed(key, error)
            return
        self._answer(key, number, _UPLOADING, length)
        if length == wanted.size:
            self._complete(key, number)

    def _complete(self, key: AttemptId, number: int) -> None:
        self._completing.add((key, number))
        self._run(self._compare(key, number))

    async def _compare(self, key: AttemptId, number: int) -> None:
        owner, wanted = self._owner, self._open[key, number]
        try:
            if await owner.artifacts.checksum(key, number) != wanted.checksum:
                owner.artifacts.discard(key, number)
                self._answer(key, number, _UPLOADING, 0, again=True)
                return
            await owner.artifacts.finish(key, number)
            state = ArtifactState.COMPLETE
            now = owner.clock.wall()
            if not await owner.artifact_rows.end_artifact(key, number, state, "", now):
                # Ended otherwise meanwhile, or forgotten with its job: the next answer says so.
                self._open.pop((key, number), None)
                return
            self._open.pop((key, number), None)
            self._answer(key, number, state, wanted.size)
        except (StoreUnavailable, ArtifactUnavailable) as error:
            self._failed(key, error)
        finally:
            self._completing.discard((key, number))

    def _answer(
        self,
        key: AttemptId,
        number: int,
        state: ArtifactState,
        offset: int = 0,
        again: bool = False,
        detail: str = "",
    ) -> None:
        self._send(
            ArtifactAck(
                attempt=key,
                number=number,
                state=state,
                offset=offset,
                again=again,
                detail=detail[:2000],
            )
        )
