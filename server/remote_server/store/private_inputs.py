"""Inputs that came with the submission of jobs, until these have ended. Queries live here.

Only sealed values come here. A job's policy says whether it has one, so that the end of any other
job costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import bindparam, delete, insert, literal_column, select, update

from remote_protocol.states import JobState
from remote_server.domain.secrets import Sealed, Sealer
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.schema import jobs, private_inputs

_ENDED: Final = is_state(jobs.c.state, *(state.value for state in JobState if state.terminal))
_KEEP: Final = insert(private_inputs).values(
    {column.name: bindparam(column.name) for column in private_inputs.c}
)
_OF: Final = select(*private_inputs.c).where(private_inputs.c.job == bindparam("of"))
_EVERY: Final = select(*private_inputs.c).order_by(private_inputs.c.job)
_ANY: Final = select(private_inputs.c.job).limit(literal_column("1")).offset(NONE_SKIPPED)
_RESEAL: Final = (
    update(private_inputs)
    .where(private_inputs.c.job == bindparam("of"))
    .values({name: bindparam(name) for name in ("key_id", "nonce", "ciphertext")})
)
_FORGET: Final = delete(private_inputs).where(private_inputs.c.job == bindparam("of"))
_FORGET_ENDED: Final = delete(private_inputs).where(
    private_inputs.c.job.in_(select(jobs.c.id).where(_ENDED))
)


def keep_private_inputs(tx: Transaction, sealed: Sequence[tuple[str, Sealer]]) -> None:
    """Store the inputs of these new jobs."""
    tx.many(_KEEP, [{"job": job, **seal(job)._asdict()} for job, seal in sealed])


def forget_private_input(tx: Transaction, job: str) -> None:
    """A job has ended: nobody needs its input any more."""
    tx.run(_FORGET, {"of": job})


def forget_ended_inputs(tx: Transaction) -> None:
    """Forget the inputs of all jobs that have ended."""
    tx.run(_FORGET_ENDED)


def reseal_private_inputs(
    tx: Transaction, key_id: str, reseal: Callable[[str, Sealed], Sealed]
) -> int:
    """Replace what is stored of every input that is not sealed with the key `key_id`; how many."""
    rows = [row for row in tx.all(_EVERY) if row.key_id != key_id]
    for row in rows:
        tx.run(_RESEAL, {"of": row.job, **reseal(row.job, _sealed(row))._asdict()})
    return len(rows)


class PrivateInputs(Repository):
    """The repository of private inputs."""

    async def sealed_input(self, job: str) -> Sealed | None:
        """The input of a job that has not ended; None where there is none."""

        def read(reader: Reader) -> Sealed | None:
            row = reader.one(_OF, {"of": job})
            return None if row is None else _sealed(row)

        # No commit for each such job; it is taken away with the end of its job only.
        return await self._database.read(read, ahead=True)

    async def has_private_inputs(self) -> bool:
        """Whether any is kept."""
        return await self._database.read(lambda reader: reader.one(_ANY)) is not None


def _sealed(row: Row) -> Sealed:
    return Sealed(row.key_id, row.nonce, row.ciphertext)
