"""Outputs of attempts, as their agents report them with the end. Queries live here."""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import bindparam, insert, select

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended
from remote_server.domain.model import NO_OUTPUTS, JobOutputs
from remote_server.store.artifacts import artifact_count
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import Repository
from remote_server.store.schema import outputs

_KEEP: Final = insert(outputs)
_OF_ATTEMPT: Final = select(outputs.c.warning, outputs.c.body).where(
    outputs.c.job == bindparam("of"), outputs.c.number == bindparam("at")
)


def keep_outputs(tx: Transaction, ended: Ended) -> None:
    """Write down the outputs of an attempt, in the transaction that writes its end: they are there
    once, exactly when the end is. Nothing for an attempt without."""
    if ended.outputs or ended.outputs_warning:
        body = json.dumps(ended.outputs or {}, ensure_ascii=False, separators=(",", ":"))
        warning = (ended.outputs_warning or "").replace("\0", "")
        job, number = ended.attempt
        tx.run(_KEEP, {"job": job, "number": number, "warning": warning, "body": body})


class KeptOutputs(Repository):
    """The repository of outputs."""

    async def outputs_of(self, attempt: AttemptId) -> JobOutputs:
        """The outputs of an attempt; none where it has written none, or has not ended."""
        return await self._database.read(lambda reader: _outputs(reader, attempt))


def _outputs(reader: Reader, attempt: AttemptId) -> JobOutputs:
    row = reader.one(_OF_ATTEMPT, {"of": attempt.job, "at": attempt.number})
    artifacts = artifact_count(reader, attempt)
    if row is None:
        return NO_OUTPUTS._replace(artifacts=artifacts) if artifacts else NO_OUTPUTS
    return JobOutputs(json.loads(row.body), row.warning, artifacts)
