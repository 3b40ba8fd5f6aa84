"""Makes messages for webhooks from what happened. Queries live here.

The timeline is the outbox of jobs: the event of an end is committed with the end itself, and a
number in `meta` says up to where events were turned into messages. Both move in one transaction, so
that a crash loses no message and makes none twice. Of agents and queues it is stored what was told
of them last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, insert, literal_column, select

from remote_protocol.states import JobState
from remote_server.domain.webhook_messages import Draft, of_agent, of_job, of_queue
from remote_server.domain.webhooks import TRY_FOR, Delivery, Webhook, delivery_id, wants
from remote_server.store.deliveries import count, insert_deliveries, waiting
from remote_server.store.history import last_event
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.schema import agents, jobs, queues, timeline, webhook_states
from remote_server.store.webhooks import enabled, read_cursor, save_webhook, write_cursor

BATCH: Final = 50
"""Events that are turned into messages in one transaction: some milliseconds."""
_TERMINAL: Final = tuple(state.value for state in JobState if state.terminal)
_ENDS: Final = (
    select(
        timeline.c.seq,
        timeline.c.at,
        jobs.c.id,
        jobs.c.name,
        jobs.c.queue,
        jobs.c.demand,
        jobs.c.state,
        jobs.c.end_reason,
        jobs.c.end_detail,
        jobs.c.exit_code,
        jobs.c.attempt,
        jobs.c.agent,
        jobs.c.submitted_by,
        jobs.c.created_at,
        jobs.c.started_at,
        jobs.c.ended_at,
    )
    .join_from(timeline, jobs, jobs.c.id == timeline.c.job)
    .where(timeline.c.seq > bindparam("after"), is_state(timeline.c.state, *_TERMINAL))
    .order_by(timeline.c.seq)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_UNTOLD: Final = (
    select(timeline.c.seq)
    .where(timeline.c.job == bindparam("of"), timeline.c.seq > bindparam("after"))
    .limit(literal_column("1"))
    .offset(NONE_SKIPPED)
)
_AGENTS: Final = select(agents.c.name, agents.c.queues, agents.c.registered_at)
_QUEUES: Final = select(queues.c.name)
_STATES: Final = select(*webhook_states.c)
_SET_STATE: Final = insert(webhook_states).values(
    kind=bindparam("kind"), name=bindparam("name"), up=bindparam("up")
)
_FORGET_STATE: Final = delete(webhook_states).where(
    webhook_states.c.kind == bindparam("of_kind"), webhook_states.c.name == bindparam("wanted")
)
_FORGET_STATES: Final = delete(webhook_states)
AGENT: Final = "agent"
QUEUE: Final = "queue"


class Place(NamedTuple):
    """An agent as far as webhooks ask for it."""

    name: str
    queues: str
    """As stored: JSON."""
    registered_at: float


class Observed(NamedTuple):
    """The state of an agent or a queue, as it was seen just now."""

    up: bool | None
    """Online, or served; None: that cannot be said now."""
    queues: tuple[str, ...] = ()
    seen_at: float | None = None
    since: float | None = None
    """When the agent was registered; for a queue None."""


Key = tuple[str, str]
"""`agent` or `queue`, and its name."""


class Outbox(Repository):
    """The repository of what webhooks have to tell."""

    async def make_deliveries(self, now: float, max_pending: int) -> int:
        """Turn events of jobs into messages for the webhooks that ask for them; how many events,
        BATCH when there may be more. A webhook that has `max_pending` messages gets no more."""

        def make(tx: Transaction) -> int:
            hooks = enabled(tx)
            if not hooks:
                return 0
            after, last = read_cursor(tx), last_event(tx)
            if last <= after:
                return 0
            rows = tx.all(_ENDS, {"after": after, "count": BATCH})
            drafts = [of_job(row) for row in rows]
            _put(tx, hooks, drafts, now, max_pending)
            write_cursor(tx, rows[-1].seq if len(rows) == BATCH else last)
            return len(rows)

        return await self._database.write(make)

    # States of agents and queues -------------------------------------------------------------

    async def places(self) -> tuple[list[Place], list[str]]:
        """All agents in short, and the names of all queues."""

        def find(reader: Reader) -> tuple[list[Place], list[str]]:
            found = [Place(*row) for row in reader.all(_AGENTS)]
            return found, [row.name for row in reader.all(_QUEUES)]

        return await self._database.read(find)

    async def note_states(
        self, observed: Mapping[Key, Observed], now: float, max_pending: int
    ) -> int:
        """Compare what was seen with what was told last, and make messages of what differs; how
        many states changed. An agent that was registered after a webhook became active, and that is
        online, has come online; of a queue that was never seen nothing is told."""

        def note(tx: Transaction) -> int:
            hooks = enabled(tx)
            told = {(row.kind, row.name): bool(row.up) for row in tx.all(_STATES)}
            gone = told.keys() - observed.keys()
            changed = {
                key: seen
                for key, seen in observed.items()
                if seen.up is not None and told.get(key) is not seen.up
            }
            for kind, name in [*gone, *changed]:
                if (kind, name) in told:
                    tx.run(_FORGET_STATE, {"of_kind": kind, "wanted": name})
            if changed:
                tx.many(
                    _SET_STATE,
                    [
                        {"kind": kind, "name": name, "up": int(bool(seen.up))}
                        for (kind, name), seen in changed.items()
                    ],
                )
            drafts = [
                _draft(key, seen, now, key not in told)
                for key, seen in changed.items()
                if key in told or (seen.up and seen.since is not None)
            ]
            _put(tx, hooks, drafts, now, max_pending)
            return len(changed)

        return await self._database.write(note)

    async def forget_states(self) -> None:
        """Forget what was told of agents and queues: nobody asks for it any more."""
        if await self._database.read(lambda reader: reader.all(_STATES)):
            await self._database.write(lambda tx: tx.run(_FORGET_STATES))


def untold_jobs(reader: Reader, jobs: Iterable[str]) -> frozenset[str]:
    """Those of these jobs whose end was not yet turned into messages, where webhooks ask for it."""
    if not enabled(reader):
        return frozenset()
    after = read_cursor(reader)
    return frozenset(
        job for job in jobs if reader.one(_UNTOLD, {"of": job, "after": after}) is not None
    )


def _draft(key: Key, seen: Observed, now: float, news: bool) -> Draft:
    kind, name = key
    if kind == QUEUE:
        return of_queue(name, bool(seen.up), now)
    draft = of_agent(name, seen.queues, bool(seen.up), seen.seen_at, now)
    return draft._replace(since=seen.since) if news else draft


def _put(
    tx: Transaction,
    hooks: Sequence[Webhook],
    drafts: Sequence[Draft],
    now: float,
    max_pending: int,
) -> None:
    """Store a message for each webhook and each draft that it asks for."""
    made: list[Delivery] = []
    for hook in hooks:
        wanted = [
            draft for draft in drafts if not _before(hook, draft) and wants(hook.rule, draft.told)
        ]
        if not wanted:
            continue
        room = max(0, max_pending - waiting(tx, hook.id, max_pending))
        dropped = len(wanted) - len(wanted[:room])
        if dropped:
            save_webhook(tx, replace(hook, dropped=hook.dropped + dropped))
            count(tx, "dropped", dropped)
        for draft in wanted[:room]:
            told = draft.told
            what = f"{told.event} {told.subject} {draft.seq or draft.at}"
            id = delivery_id(hook.id, what, now)
            body = draft.body(id)
            made.append(
                Delivery(
                    id, hook.id, told.event, told.subject, body, now, now + TRY_FOR, next_at=now
                )
            )
    if made:
        insert_deliveries(tx, made)


def _before(webhook: Webhook, draft: Draft) -> bool:
    """Whether it happened before the webhook became active."""
    if draft.since is not None and draft.since < webhook.active_since:
        return True
    return 0 < draft.seq <= webhook.since_seq
