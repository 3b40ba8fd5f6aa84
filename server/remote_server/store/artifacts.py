"""Artifacts of attempts: what was announced, and what became of it. Queries live here.

The bytes are elsewhere (`artifacts.ports`); a row says `complete` only when they are durable.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import bindparam, insert, select, update

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Artifact, ArtifactLost, Ended
from remote_protocol.states import AttemptState
from remote_protocol.units import format_size
from remote_server.domain.model import ArtifactSet, StoredArtifact
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.schema import artifact_sets, artifacts, attempts

_OF: Final = (artifacts.c.job == bindparam("of"), artifacts.c.attempt == bindparam("at_attempt"))
_SET: Final = select(artifact_sets.c.expected, artifact_sets.c.warning).where(
    artifact_sets.c.job == bindparam("of"), artifact_sets.c.attempt == bindparam("at_attempt")
)
_ALL: Final = select(*artifacts.c).where(*_OF).order_by(artifacts.c.number)
_HOLDER: Final = select(attempts.c.agent, attempts.c.state).where(
    attempts.c.job == bindparam("of"), attempts.c.number == bindparam("at_attempt")
)
_NOTE: Final = insert(artifact_sets)
_ADD: Final = insert(artifacts)
_AGAIN: Final = (
    update(artifacts)
    .where(*_OF, artifacts.c.number == bindparam("at_number"))
    .values(size=bindparam("size"), checksum=bindparam("checksum"), at=bindparam("at"))
)
_END: Final = (
    update(artifacts)
    .where(
        *_OF,
        artifacts.c.number == bindparam("at_number"),
        is_state(artifacts.c.state, "uploading"),
    )
    .values(state=bindparam("state"), reason=bindparam("reason"), at=bindparam("at"))
)
_STALE: Final = (
    select(artifacts.c.job, artifacts.c.attempt, artifacts.c.number)
    .where(is_state(artifacts.c.state, "uploading"), artifacts.c.at < bindparam("before"))
    .order_by(artifacts.c.at)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_UNKNOWN: Final = "the server does not know that this agent's job gives it back"


class Announced(NamedTuple):
    """What is known of an artifact that an agent speaks of."""

    state: ArtifactState
    reason: str = ""
    stale: bool = False
    """What has come of it before is of no use."""


def note_artifacts(tx: Transaction, ended: Ended) -> None:
    """Write down how many artifacts an attempt has, in the transaction that writes its end. Nothing
    for an attempt without."""
    if ended.artifacts or ended.artifacts_warning:
        job, number = ended.attempt
        warning = (ended.artifacts_warning or "").replace("\0", "")
        count = ended.artifacts or 0
        row = {"job": job, "attempt": number, "expected": count, "warning": warning}
        tx.run(_NOTE, row)


def artifact_count(reader: Reader, attempt: AttemptId) -> int:
    """How many artifacts an attempt has, announced or not."""
    row = reader.one(_SET, _where(attempt))
    return 0 if row is None else int(row.expected)


class Artifacts(Repository):
    """The repository of artifacts."""

    async def artifacts_of(self, attempt: AttemptId) -> ArtifactSet:
        """Those of an attempt, as far as they were announced."""
        return await self._database.read(lambda reader: _set_of(reader, attempt))

    async def announce_artifact(
        self, agent: str, message: Artifact | ArtifactLost, most: int, now: float
    ) -> Announced:
        """Note what an agent says of an artifact; again it changes nothing. `most`: bytes that all
        of one attempt may have. What is not allowed is noted as failed, with the reason."""

        def note(tx: Transaction) -> Announced:
            key = message.attempt
            holder = tx.one(_HOLDER, _where(key))
            known = _set_of(tx, key)
            is_theirs = (
                holder is not None
                and holder.agent == agent
                and holder.state == AttemptState.ENDED.value
            )
            if not is_theirs or message.number > known.expected:
                return Announced(ArtifactState.FAILED, _UNKNOWN)
            found = next((one for one in known.items if one.number == message.number), None)
            if found is not None:
                return _noted_again(tx, found, message, known, most, now)
            lost = message.reason if isinstance(message, ArtifactLost) else ""
            fault = lost or _fault(message, known, most)
            if any(one.name == message.name for one in known.items):
                return Announced(ArtifactState.FAILED, "another artifact has its name")
            state = ArtifactState.FAILED if fault else ArtifactState.UPLOADING
            tx.run(_ADD, _row(message, state, fault, now))
            return Announced(state, fault)

        return await self._database.write(note)

    async def end_artifact(
        self, attempt: AttemptId, number: int, state: ArtifactState, reason: str, now: float
    ) -> bool:
        """It is complete, or has failed; one that has ended stays as it is. Whether it was there,
        and had not ended."""
        row = {"at_number": number, "state": state.value, "reason": reason, "at": now}
        where = {**_where(attempt), **row}
        return await self._database.write(lambda tx: bool(tx.changed(_END, where)))

    async def stale_artifacts(self, before: float, limit: int = 100) -> list[tuple[AttemptId, int]]:
        """Those that are not complete and were announced before `before` (Unix seconds)."""
        where = {"before": before, "count": limit}
        rows = await self._database.read(lambda reader: reader.all(_STALE, where))
        return [(AttemptId(row.job, row.attempt), row.number) for row in rows]


def _where(key: AttemptId) -> dict[str, object]:
    return {"of": key.job, "at_attempt": key.number}


def _set_of(reader: Reader, key: AttemptId) -> ArtifactSet:
    row = reader.one(_SET, _where(key))
    if row is None:
        return ArtifactSet()
    items = tuple(_from(one) for one in reader.all(_ALL, _where(key)))
    return ArtifactSet(row.expected, row.warning, items)


def _from(row: Row) -> StoredArtifact:
    state = ArtifactState(row.state)
    return StoredArtifact(row.number, row.name, row.size, row.checksum, state, row.reason)


def _row(
    message: Artifact | ArtifactLost, state: ArtifactState, reason: str, now: float
) -> dict[str, object]:
    return {
        "job": message.attempt.job,
        "attempt": message.attempt.number,
        "number": message.number,
        "name": message.name,
        "size": message.size if isinstance(message, Artifact) else 0,
        "checksum": message.checksum if isinstance(message, Artifact) else "",
        "state": state.value,
        "reason": reason.replace("\0", ""),
        "at": now,
    }


def _noted_again(
    tx: Transaction,
    found: StoredArtifact,
    message: Artifact | ArtifactLost,
    known: ArtifactSet,
    most: int,
    now: float,
) -> Announced:
    """What is known of one that was announced before."""
    if found.state is not ArtifactState.UPLOADING:
        return Announced(found.state, found.reason)
    where = {**_where(message.attempt), "at_number": message.number, "at": now}
    fault = message.reason if isinstance(message, ArtifactLost) else _fault(message, known, most)
    if found.name != message.name:
        fault = "it was announced by another name before"
    if fault or isinstance(message, ArtifactLost):
        reason = fault.replace("\0", "") or "its host has given it up"
        tx.run(_END, {**where, "state": ArtifactState.FAILED.value, "reason": reason})
        return Announced(ArtifactState.FAILED, reason, stale=True)
    changed = (found.size, found.checksum) != (message.size, message.checksum)
    tx.run(_AGAIN, {**where, "size": message.size, "checksum": message.checksum})
    return Announced(found.state, "", changed)


def _fault(message: Artifact | ArtifactLost, known: ArtifactSet, most: int) -> str:
    if isinstance(message, ArtifactLost):
        return ""
    others = sum(
        one.size
        for one in known.items
        if one.number != message.number and one.state is not ArtifactState.FAILED
    )
    if others + message.size > most:
        return (
            f"the artifacts of the job are larger than {format_size(most)}, the most that the "
            "server takes ([limits] max_artifacts)"
        )
    return ""
