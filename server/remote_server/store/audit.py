"""The audit: write, list, follow, verify, forget. Queries live here.

Entries are never changed. Lists look through them from new to old in slices, as numbers have no
gaps; a bound in time is found by halving, because time grows with the number.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, delete, literal_column, select

from remote_server.domain.audit import OK, Entry, Link, Recorded, first_fault
from remote_server.store.chain import read_anchor, set_anchor
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository
from remote_server.store.schema import audit

SLICE: Final = 5000
"""Entries that are looked through without letting others run: some milliseconds."""
SEARCH_TIME: Final = 1.0
"""Seconds of looking through entries after which a page ends."""
FORGOTTEN: Final = 2000
"""Entries removed in one transaction."""
MAX_PAGE: Final = 1000
_LAST: Final = "\U0010ffff"
_ROW: Final = select(*audit.c)
_ONE: Final = _ROW.where(audit.c.number == bindparam("wanted"))
_AFTER: Final = (
    _ROW.where(audit.c.number > bindparam("after"))
    .order_by(audit.c.number)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_REMOVE: Final = delete(audit).where(audit.c.number <= bindparam("upto"))
_SURPLUS: Final = (
    _ROW.where(audit.c.number > bindparam("after")).limit(literal_column("1")).offset(NONE_SKIPPED)
)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list has; what is not given does not matter."""

    actor: str | None = None
    """Name of the actor, or the id of its token."""
    action: str | None = None
    """The action, or how it begins."""
    kind: str | None = None
    """What kind of thing it was done to."""
    subject: str | None = None
    """Its name or id."""
    result: str | None = None
    """`ok`, `refused`, or the code of a refusal."""
    since: float | None = None
    """Then or later, in Unix seconds."""
    until: float | None = None
    """Before then."""

    @property
    def parameters(self) -> dict[str, object]:
        """Values of the conditions, by name."""
        found: dict[str, object] = {}
        for name in ("actor", "kind", "subject"):
            value = getattr(self, name)
            if value is not None:
                found[f"in_{name}"] = value
        if self.action is not None:
            found |= {"in_action": self.action, "in_action_end": self.action + _LAST}
        if self.result == "refused":
            found["in_refused"] = OK
        elif self.result is not None:
            found["in_result"] = self.result
        return found


EVERYTHING: Final = AuditFilter()


@lru_cache(maxsize=64)
def _page(names: frozenset[str], newest_first: bool) -> Select[Any]:
    """Entries in a range of numbers that meet the conditions with these names."""
    conditions: list[ColumnElement[bool]] = [
        audit.c.number >= bindparam("floor"),
        audit.c.number < bindparam("before"),
    ]
    if "in_actor" in names:
        who: Any = bindparam("in_actor")
        conditions.append((audit.c.actor == who) | (audit.c.token == who))
    for name in ("kind", "subject", "result"):
        if f"in_{name}" in names:
            conditions.append(audit.c[name] == bindparam(f"in_{name}"))
    if "in_action" in names:
        conditions.append(audit.c.action >= bindparam("in_action"))
        conditions.append(audit.c.action < bindparam("in_action_end"))
    if "in_refused" in names:
        conditions.append(audit.c.result != bindparam("in_refused"))
    order = audit.c.number.desc() if newest_first else audit.c.number
    return _ROW.where(*conditions).order_by(order).limit(bindparam("count")).offset(NONE_SKIPPED)


class Audit(Repository):
    """The repository of the audit."""

    async def record_audit(self, entries: Sequence[Entry]) -> None:
        """Write entries of what changed nothing else."""

        def write(tx: Transaction) -> None:
            for entry in entries:
                tx.record(entry)

        if entries:
            await self._database.write(write, relaxed=True)

    async def audit_page(
        self, wanted: AuditFilter = EVERYTHING, *, limit: int = 50, cursor: int | None = None
    ) -> tuple[list[Recorded], int | None]:
        """A page of entries, the newest first, and the cursor of the next page (None: the last).

        A page may be short and still have a next one: it ends after SEARCH_TIME seconds.
        """
        floor, before = await self._range(wanted)
        before = before if cursor is None else min(before, cursor)
        limit = max(1, min(limit, MAX_PAGE))
        found: list[Recorded] = []
        spent = 0.0
        while before > floor:
            begun = time.perf_counter()
            least = max(floor, before - SLICE)
            found += await self._slice(wanted, least, before, limit + 1 - len(found), True)
            if len(found) > limit:
                return found[:limit], found[limit - 1].number
            before = least
            spent += time.perf_counter() - begun
            if spent > SEARCH_TIME:
                return found, before if before > floor else None
            await asyncio.sleep(0)
        return found, None

    async def audit_after(
        self, after: int, wanted: AuditFilter = EVERYTHING, *, limit: int = 200
    ) -> tuple[list[Recorded], int]:
        """The entries after a number, the oldest first, and the number up to which was looked."""
        floor, before = await self._range(wanted)
        floor = max(floor, after + 1)
        if before <= floor:
            return [], after
        upto = min(before, floor + SLICE)
        found = await self._slice(wanted, floor, upto, limit, False)
        return found, found[-1].number if len(found) == limit else upto - 1

    async def audit_end(self) -> Link:
        """Where the chain ends: the highest number there was, the newest entry's hash."""
        return await self._database.read(lambda reader: reader.audit_end())

    async def audit_anchor(self) -> Link:
        """The newest entry that retention has removed."""
        return await self._database.read(read_anchor)

    async def audit_fault(self) -> str | None:
        """What is wrong with the first entry that was changed or removed, in a sentence; None when
        the chain is whole."""
        end = await self.audit_end()
        reached = await self.audit_anchor()
        while reached.number < end.number:
            after = reached

            def look(reader: Reader, after: Link = after) -> tuple[Link, list[Row]]:
                where = {"after": after.number, "count": SLICE}
                return read_anchor(reader), reader.all(_AFTER, where)

            anchor, rows = await self._database.read(look, long=True)
            if anchor.number > after.number:
                # Retention was at work meanwhile.
                reached = anchor
                continue
            known = [_recorded(row) for row in rows if row.number <= end.number]
            fault, reached = first_fault(known, after)
            if fault is not None:
                return fault
            if not known:
                return f"entry {after.number + 1} of the audit was removed"
        if reached.number == end.number and reached.hash != end.hash:
            return f"entry {end.number} of the audit was changed"
        return await self._surplus()

    async def _surplus(self) -> str | None:
        """Entries that were added without the chain's knowledge."""

        def look(reader: Reader) -> tuple[Link, Row | None]:
            end = reader.audit_end()
            return end, reader.one(_SURPLUS, {"after": end.number})

        end, more = await self._database.read(look, long=True)
        if more is None:
            return None
        return f"entry {more.number} of the audit was added past the server: {end.number} is last"

    async def forget_audit(self, before: float) -> int:
        """Remove the oldest entries, those from before `before` (Unix seconds); how many, not too
        many at a time. The chain still holds from the first one that is kept."""
        first = (await self.audit_anchor()).number + 1
        upto = min(await self._number_at(before), first + FORGOTTEN) - 1
        # The newest one stays, however old it is: the chain goes on from it.
        upto = min(upto, (await self.audit_end()).number - 1)
        if upto < first:
            return 0

        def forget(tx: Transaction) -> int:
            last = tx.one(_ONE, {"wanted": upto})
            if last is None:
                return 0
            count = tx.changed(_REMOVE, {"upto": upto})
            set_anchor(tx, Link(upto, last.hash))
            return count

        return await self._database.write(forget, relaxed=True)

    async def _range(self, wanted: AuditFilter) -> tuple[int, int]:
        """The least number of a list, and the one before which all are."""

        def ends(reader: Reader) -> tuple[int, int]:
            return read_anchor(reader).number + 1, reader.audit_end().number + 1

        floor, before = await self._database.read(ends)
        if wanted.since is not None:
            floor = max(floor, await self._number_at(wanted.since))
        if wanted.until is not None:
            before = min(before, await self._number_at(wanted.until))
        return floor, before

    async def _number_at(self, moment: float) -> int:
        """The number of the first entry that is not older than a moment."""

        def halve(reader: Reader) -> int:
            low = read_anchor(reader).number + 1
            high = reader.audit_end().number + 1
            while low < high:
                middle = (low + high) // 2
                row = reader.one(_ONE, {"wanted": middle})
                if row is not None and row.at < moment:
                    low = middle + 1
                else:
                    high = middle
            return low

        return await self._database.read(halve)

    async def _slice(
        self, wanted: AuditFilter, floor: int, before: int, count: int, newest_first: bool
    ) -> list[Recorded]:
        where = wanted.parameters
        statement = _page(frozenset(where), newest_first)
        where |= {"floor": floor, "before": before, "count": count}
        rows = await self._database.read(lambda reader: reader.all(statement, where), long=True)
        return [_recorded(row) for row in rows]


def _recorded(row: Row) -> Recorded:
    return Recorded(*row)
