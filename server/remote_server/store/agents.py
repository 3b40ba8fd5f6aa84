"""Agents: register, connect, desired state, edits, contact, delete. Queries live here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, delete, insert, literal_column, select, update

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.registration import Registration
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_protocol.limits import MAX_LABELS
from remote_protocol.messages import Condition, Hello, Settings
from remote_server.domain.enrolment import (
    Grant,
    allow,
    announce,
    connected,
    edited,
    newcomer,
    registered,
    uncovered,
)
from remote_server.domain.events import Lost
from remote_server.domain.model import SYSTEM, Agent, Principal, Token
from remote_server.errors import NameTaken, NotFound, Refused
from remote_server.store.attempts import live_keys
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import Repository, existing_agents, is_state, require_queues
from remote_server.store.rows import SELECT_AGENT, agent_from, agent_row
from remote_server.store.schema import agents, attempts
from remote_server.store.tokens import (
    TokenRow,
    insert_token,
    prune_agent_tokens,
    require_valid,
    use_token,
)
from remote_server.store.transitions import apply

_AGENT: Final = SELECT_AGENT.where(agents.c.name == bindparam("wanted"))
_AGENTS: Final = SELECT_AGENT.order_by(agents.c.name)
_SERVING: Final = select(agents.c.name, agents.c.queues).order_by(agents.c.name)
_INSERT: Final = insert(agents).values({column.name: bindparam(column.name) for column in agents.c})
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
_DELETED: Final = "the agent was deleted on the server"
_REPLACED: Final = "the agent's token was replaced by a new one"
_TAKEN: Final = "another host took over the agent's name"
_IDLE_EPHEMERAL: Final = select(agents.c.name, agents.c.last_seen_at).where(
    agents.c.ephemeral == literal_column("1"),
    ~select(attempts.c.job)
    .where(
        attempts.c.agent == agents.c.name,
        is_state(attempts.c.state, "offered", "accepted", "running"),
    )
    .exists(),
)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a registration led to."""

    agent: Agent
    changed: bool
    """False when nothing but the token is new."""
    token_issued: bool
    """The offered new agent token is valid now."""
    replaced: bool = False
    """Another host held the name: its links must be closed."""


class Agents(Repository):
    """The repository of agents."""

    async def register(
        self,
        registration: Registration,
        token: Token,
        digest: str,
        now: float,
        by: Principal | None = None,
    ) -> Enrolment:
        """Enrol an agent, or take note that it exists.

        `token` is the bearer's: a registration token, or the agent's own one. `digest` is the
        hash of a new agent token, which becomes valid when the bearer's was a registration token.
        UnknownQueue, NameTaken (another host holds the name and `replace` is not set), Refused
        (a token that is used up, for another agent, or that does not cover what is asked for). A
        use of the token is spent only if all is well.
        """
        name = registration.name
        row = TokenRow(self._ulids.make(now), "agent", name, digest, now, agent=name)

        def enrol(tx: Transaction) -> Enrolment:
            require_queues(tx, set(registration.settings.queues or ()))
            own = token.kind == "agent"
            if own and token.agent != name:
                raise Refused(
                    ErrorCode.FORBIDDEN,
                    f"this token belongs to the agent {token.agent!r}, not to {name!r}",
                )
            known = find_agent(tx, name)
            _require_covered(token, known, registration)
            print_ = registration.fingerprint
            same = known is not None and bool(print_) and known.fingerprint == print_
            replaced = known is not None and not same and not own
            if replaced and known is not None:
                _require_replaceable(known, token, registration)
            grant = grant_of(token)
            base = known
            if base is None or replaced:
                base = newcomer(name, grant, now)
                if known is not None:
                    # Epochs fence sessions: they never go back, whoever holds the name.
                    base = replace(base, epoch=known.epoch)
            # Its own token widens nothing: whoever took over the host has it, too.
            agent = registered(base, registration, grant if known is None or not own else None)
            _require_few_labels(agent, registration)
            changed = known is None or agent != known
            if known is None:
                tx.run(_INSERT, agent_row(agent))
            elif changed:
                _save(tx, agent)
            if not own:
                if not same:
                    use_token(tx, token.id)
                prune_agent_tokens(tx, name, 1 if same else 0, _TAKEN if replaced else _REPLACED)
                insert_token(tx, replace(row, queues=json.dumps(agent.allowed_queues)))
            if changed:
                tx.changes.agents.add(name)
            if replaced:
                tx.changes.removed_agents[name] = _TAKEN
            return Enrolment(agent, changed, not own, replaced)

        return await self._database.write(enrol, by=token.principal if by is None else by)

    async def bump_epoch(
        self, name: str, hello: Hello, address: str, now: float, token: Token | None = None
    ) -> Agent:
        """Begin a new session of an agent: count it, note its hello. An agent that comes with a
        token made beforehand, without having registered, is enrolled by this.

        `token` is the link's; None: nobody's, as in tests. Refused when it was revoked or has
        expired: an agent that is deleted at this very moment must not come back.
        """

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
                tx.run(_INSERT, agent_row(agent))
                tx.changes.agents.add(name)
            else:
                _save(tx, agent)
            return agent

        return await self._database.write(begin)

    async def announce(self, name: str, settings: Settings) -> Agent:
        """Take note of what an agent's host says in a later hello of a session. NotFound."""
        known = await self.agent(name)
        if announce(known, settings) == known:
            return known
        return await self._edit(name, lambda agent: announce(agent, settings))

    async def agent(self, name: str) -> Agent:
        """One agent. NotFound."""
        return await self._database.read(lambda reader: _get(reader, name))

    async def agents(self) -> list[Agent]:
        """All agents by name."""
        rows = await self._database.read(lambda reader: reader.all(_AGENTS))
        return [agent_from(row) for row in rows]

    async def serving(self, queues: Collection[str]) -> dict[str, list[str]]:
        """The names of the agents that serve each of these queues."""
        rows = await self._database.read(lambda reader: reader.all(_SERVING))
        found: dict[str, list[str]] = {queue: [] for queue in queues}
        for row in rows:
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

        return await self._edit(name, change, by=by)

    async def update_agent(self, name: str, change: AgentChange, by: Principal = SYSTEM) -> Agent:
        """Store an operator's edit of queues, labels or capacity. NotFound, UnknownQueue."""
        names = set(change.queues or ())
        return await self._edit(name, lambda agent: edited(agent, change), names, by)

    async def delete_agent(
        self, name: str, now: float, why: str = _DELETED, by: Principal = SYSTEM
    ) -> list[AttemptId]:
        """Forget an agent: its tokens are revoked and the attempts it held, which are returned,
        are lost. `why` is what its host is told. NotFound."""

        def forget(tx: Transaction) -> list[AttemptId]:
            _get(tx, name)
            held = live_keys(tx, name)
            for key in held:
                apply(tx, key, name, Lost(key, f"the agent {name!r} was deleted"), now)
            prune_agent_tokens(tx, name, 0, why)
            tx.run(_DELETE, {"wanted": name})
            tx.changes.agents.add(name)
            tx.changes.removed_agents[name] = why
            return held

        return await self._database.write(forget, by=by)

    async def rotate_token(
        self, name: str, digest: str, now: float, by: Principal = SYSTEM
    ) -> None:
        """Give an agent a new token and revoke its former ones. NotFound."""
        row = TokenRow(self._ulids.make(now), "agent", name, digest, now, agent=name)

        def rotate(tx: Transaction) -> None:
            allowed = _get(tx, name).allowed_queues
            prune_agent_tokens(tx, name, 0, _REPLACED)
            insert_token(tx, replace(row, queues=json.dumps(allowed)))

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
    ) -> Agent:
        def edit(tx: Transaction) -> Agent:
            known = _get(tx, name)
            require_queues(tx, names or set())
            agent = change(known)
            if agent != known:
                _save(tx, agent)
                tx.changes.agents.add(name)
            return agent

        return await self._database.write(edit, by=by)


def find_agent(reader: Reader, name: str) -> Agent | None:
    """One agent; None when there is no such one."""
    row = reader.one(_AGENT, {"wanted": name})
    return None if row is None else agent_from(row)


def _get(reader: Reader, name: str) -> Agent:
    found = find_agent(reader, name)
    if found is None:
        raise NotFound("agent", name)
    return found


def _save(tx: Transaction, agent: Agent) -> None:
    row = agent_row(agent)
    row["wanted"] = row.pop("name")
    tx.run(_UPDATE, row)


def grant_of(token: Token) -> Grant:
    """What a token lets a host ask for."""
    return Grant(token.queues, token.labels)


def _require_covered(token: Token, known: Agent | None, registration: Registration) -> None:
    """Refused when a host asks for queues that neither its token nor a former one covers."""
    grants = [grant_of(token)]
    if known is not None and token.kind == "agent":
        grants.append(Grant(known.allowed_queues))
    forbidden = uncovered(grants, registration.settings.queues or ())
    if forbidden:
        covered = ", ".join(grants[-1].usual)
        if token.kind == "agent":
            raise Refused(
                ErrorCode.FORBIDDEN,
                f"the agent {registration.name!r} is not registered for the queue "
                f"{forbidden[0]!r}, only for: {covered}; register it again with a registration "
                "token that covers it",
            )
        raise Refused(
            ErrorCode.FORBIDDEN,
            f"this registration token does not cover the queue {forbidden[0]!r}; it covers: "
            f"{covered}",
        )


def _require_replaceable(known: Agent, token: Token, registration: Registration) -> None:
    """NameTaken or Refused when a host may not take over the name of another one."""
    name = known.name
    held = f"the name {name!r} is held by another host{_host(known)}"
    if not registration.replace:
        raise NameTaken(f"{held}; choose another --name, or take it over with --replace")
    if not token.allow_replace:
        raise Refused(
            ErrorCode.FORBIDDEN,
            f"{held}, and this registration token may not replace agents; choose another --name, "
            "or ask an admin for a token made with --allow-replace",
        )
    forbidden = uncovered([grant_of(token)], known.allowed_queues)
    if forbidden:
        raise Refused(
            ErrorCode.FORBIDDEN,
            f"{held}, which may serve the queue {forbidden[0]!r}; this registration token does "
            "not cover that queue and cannot replace the agent",
        )


def _require_few_labels(agent: Agent, registration: Registration) -> None:
    labels = {**(registration.settings.labels or {}), **agent.server_labels}
    if len(labels) > MAX_LABELS:
        raise Refused(
            ErrorCode.VALIDATION,
            f"settings.labels: with the {len(agent.server_labels)} labels that its token gives, "
            f"the agent would have {len(labels)}; at most {MAX_LABELS} are allowed",
        )


@lru_cache(maxsize=1024)
def _queues(text: str) -> tuple[str, ...]:
    """Stored queues; most agents share the same few texts."""
    return tuple(json.loads(text))


def _host(agent: Agent | None) -> str:
    host = agent.platform.hostname if agent else ""
    return f" ({host})" if host else ""
