"""Agents: register, connect, desired state, edits, contact, delete. Queries live here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, delete, insert, literal_column, select, update

from remote_protocol.api.agents import AgentChange
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Condition, Hello, Settings
from remote_server.domain.changes import Lost
from remote_server.domain.enrolment import (
    Grant,
    allow,
    announce,
    connected,
    edited,
    newcomer,
)
from remote_server.domain.model import SYSTEM, Agent, Principal, Token
from remote_server.errors import Conflict, NotFound
from remote_server.slices import slices
from remote_server.store.attempts import live_keys
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import (
    NONE_SKIPPED,
    Repository,
    existing_agents,
    is_state,
    require_queues,
)
from remote_server.store.rows import SELECT_AGENT, agent_from, agent_row
from remote_server.store.schema import agents, attempts
from remote_server.store.tokens import (
    TokenRow,
    insert_token,
    prune_agent_tokens,
    require_valid,
)
from remote_server.store.transitions import apply

_AGENT: Final = SELECT_AGENT.where(agents.c.name == bindparam("wanted"))
_AGENTS: Final = (
    SELECT_AGENT.where(agents.c.name > bindparam("after"))
    .order_by(agents.c.name)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_EVERY: Final = 1 << 31
_PARSED: Final = 100
"""Rows of agents that are parsed without letting others run: some milliseconds."""
_SERVING: Final = select(agents.c.name, agents.c.queues).order_by(agents.c.name)
INSERT_AGENT: Final = insert(agents).values(
    {column.name: bindparam(column.name) for column in agents.c}
)
_UPDATE: Final = (
    update(agents)
    .where(agents.c.name == bindparam("wanted"))
    .values({column.name: bindparam(column.name) for column in agents.c if column.name != "name"})
)
_CONTACT: Final = (
    update(agents)
    .where(agents.c.name == bindparam("wanted"))
    .values(last_seen_at=bindparam("last_seen_at"))
)
_CONDITION: Final = (
    update(agents)
    .where(agents.c.name == bindparam("wanted"))
    .values(condition=bindparam("condition"))
)
_DELETE: Final = delete(agents).where(agents.c.name == bindparam("wanted"))
_NOTHING_SAID: Final[Mapping[str, object]] = {}
_DELETED: Final = "the agent was deleted on the server"
REPLACED: Final = "the agent's token was replaced by a new one"
_IDLE_EPHEMERAL: Final = select(agents.c.name, agents.c.last_seen_at).where(
    agents.c.ephemeral == literal_column("1"),
    ~select(attempts.c.job)
    .where(
        attempts.c.agent == agents.c.name,
        is_state(attempts.c.state, "offered", "accepted", "running"),
    )
    .exists(),
)


class Agents(Repository):
    """The repository of agents."""

    async def bump_epoch(
        self,
        name: str,
        hello: Hello,
        address: str,
        now: float,
        token: Token | None = None,
        audited: bool = True,
    ) -> Agent:
        """Begin a new session of an agent: count it, note its hello. An agent that comes with a
        token made beforehand, without having registered, is enrolled by this.

        `token` is the link's; None: nobody's, as in tests. Refused when it was revoked or has
        expired: an agent that is deleted at this very moment must not come back. `audited`: the
        audit says so.
        """
        by = connecting(name, address, token)

        def begin(tx: Transaction) -> Agent:
            if token is not None:
                require_valid(tx, token.id, now)
            known = find_agent(tx, name)
            base = known
            if base is None:
                grant = Grant() if token is None else grant_of(token)
                base = allow(newcomer(name, grant, now), hello.settings, grant)
            agent = connected(base, hello, address, now)
            if known is None:
                require_queues(tx, set(agent.queues))
                tx.run(INSERT_AGENT, agent_row(agent))
                tx.changes.agents.add(name)
            else:
                save_agent(tx, agent)
            if audited:
                tx.audit("agent.connect", "agent", name, _hello_in_short(agent))
            return agent

        return await self._database.write(begin, by=by)

    async def announce(self, name: str, settings: Settings) -> Agent:
        """Take note of what an agent's host says in a later hello of a session. NotFound."""
        known = await self.agent(name)
        if announce(known, settings) == known:
            return known
        return await self._edit(name, lambda agent: announce(agent, settings))

    async def agent(self, name: str) -> Agent:
        """One agent. NotFound."""
        return await self._database.read(lambda reader: _get(reader, name))

    async def agents(self, after: str = "", limit: int = _EVERY) -> list[Agent]:
        """Agents by name: at most `limit` of those that come after a name, by default all."""
        where = {"after": after, "count": limit}
        rows = await self._database.read(lambda reader: reader.all(_AGENTS, where), long=True)
        return [agent_from(row) async for part in slices(rows, _PARSED) for row in part]

    async def serving(self, queues: Collection[str]) -> dict[str, list[str]]:
        """The names of the agents that serve each of these queues."""
        rows = await self._database.read(lambda reader: reader.all(_SERVING))
        found: dict[str, list[str]] = {queue: [] for queue in queues}
        async for part in slices(rows):
            for row in part:
                for queue in _queues(row.queues):
                    if queue in found:
                        found[queue].append(row.name)
        return found

    async def existing(self, names: Collection[str]) -> frozenset[str]:
        """Those of these agents that there are."""
        return await self._database.read(lambda reader: existing_agents(reader, names))

    async def save_contact(self, seen: Mapping[str, float]) -> None:
        """Write down when agents were last heard (Unix seconds)."""
        rows = [{"wanted": name, "last_seen_at": at} for name, at in seen.items()]
        await self._database.write(lambda tx: tx.many(_CONTACT, rows), relaxed=True)

    async def set_condition(self, name: str, condition: Condition) -> None:
        """Write down whether an agent takes jobs, as it says itself."""
        row = {"wanted": name, "condition": condition.model_dump_json()}
        await self._database.write(lambda tx: tx.run(_CONDITION, row), relaxed=True)

    async def set_wishes(
        self,
        name: str,
        now: float,
        *,
        paused: bool | None = None,
        comment: str = "",
        draining: bool | None = None,
        deadline: float | None = None,
        by: Principal = SYSTEM,
    ) -> Agent:
        """Store what operators want of an agent (I7); None leaves it as it is. `deadline`:
        seconds from now until jobs of a draining agent are cancelled. NotFound."""

        def change(agent: Agent) -> Agent:
            if paused is not None:
                agent = replace(agent, paused=paused, pause_comment=comment if paused else "")
            if draining is not None:
                at = now + deadline if draining and deadline is not None else None
                agent = replace(agent, draining=draining, drain_deadline_at=at)
            return agent

        said = {"comment": comment} if comment else {}
        if deadline is not None:
            said["deadline"] = f"{deadline:g} s"
        return await self._edit(name, change, by=by, action=_wish(paused, draining), said=said)

    async def request_restart(self, name: str, now: float, by: Principal = SYSTEM) -> Agent:
        """Have the process that an agent had at its last hello make room for a new one. Asked for
        again before that, it stays one restart. NotFound; Conflict when it has none that can."""

        def change(agent: Agent) -> Agent:
            if not agent.process:
                raise Conflict(_why_not(agent))
            return replace(agent, restart_requested_at=agent.restart_requested_at or now)

        return await self._edit(name, change, by=by, action="agent.restart")

    async def update_agent(self, name: str, change: AgentChange, by: Principal = SYSTEM) -> Agent:
        """Store an operator's edit of queues, labels or capacity. NotFound, UnknownQueue."""
        names = set(change.queues or ())
        said = change.model_dump(exclude_unset=True)
        return await self._edit(
            name, lambda agent: edited(agent, change), names, by, "agent.update", said
        )

    async def delete_agent(
        self,
        name: str,
        now: float,
        why: str = _DELETED,
        by: Principal = SYSTEM,
        audited: bool = True,
    ) -> list[AttemptId]:
        """Forget an agent: its tokens are revoked and the attempts it held, which are returned,
        are lost. `why` is what its host is told. `audited`: the audit says so. NotFound."""

        def forget(tx: Transaction) -> list[AttemptId]:
            _get(tx, name)
            held = live_keys(tx, name)
            for key in held:
                apply(tx, key, name, Lost(key, f"the agent {name!r} was deleted"), now)
            prune_agent_tokens(tx, name, 0, why)
            tx.run(_DELETE, {"wanted": name})
            tx.changes.agents.add(name)
            tx.changes.removed_agents[name] = why
            if audited:
                action = "agent.unregister" if by.kind == "agent" else "agent.delete"
                tx.audit(action, "agent", name, {"why": why, "attempts": len(held)})
            return held

        return await self._database.write(forget, by=by)

    async def rotate_token(
        self, name: str, digest: str, now: float, by: Principal = SYSTEM
    ) -> None:
        """Give an agent a new token and revoke its former ones. NotFound."""
        row = TokenRow(self._ulids.make(now), "agent", name, digest, now, agent=name)

        def rotate(tx: Transaction) -> None:
            allowed = _get(tx, name).allowed_queues
            prune_agent_tokens(tx, name, 0, REPLACED)
            insert_token(tx, replace(row, queues=json.dumps(allowed)))
            tx.audit("agent.rotate_token", "agent", name, {"token": row.id})

        await self._database.write(rotate, by=by)

    async def idle_ephemeral(self) -> dict[str, float | None]:
        """Agents that are to be deleted when they are gone and that hold nothing, with the time
        they were last seen."""
        rows = await self._database.read(lambda reader: reader.all(_IDLE_EPHEMERAL))
        return {row.name: row.last_seen_at for row in rows}

    async def _edit(
        self,
        name: str,
        change: Callable[[Agent], Agent],
        names: set[str] | None = None,
        by: Principal = SYSTEM,
        action: str = "",
        said: Mapping[str, object] = _NOTHING_SAID,
    ) -> Agent:
        def edit(tx: Transaction) -> Agent:
            known = _get(tx, name)
            require_queues(tx, names or set())
            agent = change(known)
            if agent != known:
                save_agent(tx, agent)
                tx.changes.agents.add(name)
            if action:
                tx.audit(action, "agent", name, said)
            return agent

        return await self._database.write(edit, by=by)


def _why_not(agent: Agent) -> str:
    if agent.connected_at is None:
        return (
            f"{agent.name} was never connected: there is nothing to restart; start it on its host"
        )
    return (
        f"{agent.name} runs version {agent.version}, which cannot be restarted from here; "
        "restart it on its host: remote-agent service restart"
    )


def connecting(name: str, address: str, token: Token | None) -> Principal:
    """The agent itself, at this network address, as the audit knows it."""
    return Principal("" if token is None else token.id, name, address, "agent")


def _hello_in_short(agent: Agent) -> dict[str, object]:
    """What the audit says of a new session of an agent."""
    return {"session": agent.epoch, "version": agent.version, "queues": agent.queues}


def _wish(paused: bool | None, draining: bool | None) -> str:
    """What the audit calls a change of what operators want of an agent."""
    if paused:
        return "agent.pause"
    return "agent.drain" if draining else "agent.resume"


def find_agent(reader: Reader, name: str) -> Agent | None:
    """One agent; None when there is no such one."""
    row = reader.one(_AGENT, {"wanted": name})
    return None if row is None else agent_from(row)


def _get(reader: Reader, name: str) -> Agent:
    found = find_agent(reader, name)
    if found is None:
        raise NotFound("agent", name)
    return found


def save_agent(tx: Transaction, agent: Agent) -> None:
    """Store what is known of an agent now."""
    row = agent_row(agent)
    row["wanted"] = row.pop("name")
    tx.run(_UPDATE, row)


def grant_of(token: Token) -> Grant:
    """What a token lets a host ask for."""
    return Grant(token.queues, token.labels)


@lru_cache(maxsize=1024)
def _queues(text: str) -> tuple[str, ...]:
    """Stored queues; most agents share the same few texts."""
    return tuple(json.loads(text))
