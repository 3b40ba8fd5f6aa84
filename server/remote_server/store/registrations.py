"""Registrations of agents: who gets a name, and what for. Writes agents and tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final

from remote_protocol.api.registration import Registration
from remote_protocol.errors import ErrorCode
from remote_protocol.limits import MAX_LABELS
from remote_server.domain.audit import changed_fields
from remote_server.domain.enrolment import Grant, newcomer, registered, uncovered
from remote_server.domain.model import Agent, Principal, Token
from remote_server.errors import NameTaken, Refused
from remote_server.store.agents import (
    INSERT_AGENT,
    REPLACED,
    find_agent,
    grant_of,
    save_agent,
)
from remote_server.store.ports import Transaction
from remote_server.store.repository import Repository, require_queues
from remote_server.store.rows import agent_row
from remote_server.store.tokens import TokenRow, insert_token, prune_agent_tokens, use_token

_TAKEN: Final = "another host took over the agent's name"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a registration led to."""

    agent: Agent
    changed: bool
    """False when nothing but the token is new."""
    token_issued: bool
    """The offered new agent token is valid now."""


class Registrations(Repository):
    """The repository of registrations."""

    async def register(
        self,
        registration: Registration,
        token: Token,
        digest: str,
        now: float,
        by: Principal | None = None,
        audited: bool = True,
    ) -> Enrolment:
        """Enrol an agent, or take note that it exists.

        `token` is the bearer's: a registration token, or the agent's own one. `digest` is the
        hash of a new agent token, which becomes valid when the bearer's was a registration token.
        `audited`: the audit says so where anything is new.
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
                tx.run(INSERT_AGENT, agent_row(agent))
            elif changed:
                save_agent(tx, agent)
            if not own:
                if not same:
                    use_token(tx, token.id)
                prune_agent_tokens(tx, name, 1 if same else 0, _TAKEN if replaced else REPLACED)
                insert_token(tx, replace(row, queues=json.dumps(agent.allowed_queues)))
            if changed:
                tx.changes.agents.add(name)
            if replaced:
                tx.changes.removed_agents[name] = _TAKEN
            if audited and (changed or not own):
                tx.audit("agent.register", "agent", name, _described(agent, known, replaced))
            return Enrolment(agent, changed, not own)

        return await self._database.write(enrol, by=token.principal if by is None else by)


def _described(agent: Agent, known: Agent | None, replaced: bool) -> dict[str, object]:
    """What the audit says of a registration."""
    now: dict[str, object] = {
        "queues": agent.queues,
        "labels": agent.labels,
        "capacity": agent.capacity,
    }
    if known is None:
        return now
    was = {"queues": known.queues, "labels": known.labels, "capacity": known.capacity}
    return {**changed_fields(was, now), "replaced": replaced}


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


def _host(agent: Agent | None) -> str:
    host = agent.platform.hostname if agent else ""
    return f" ({host})" if host else ""
