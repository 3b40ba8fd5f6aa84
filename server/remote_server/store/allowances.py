"""What agents and tokens may serve and jobs may read, when a queue is deleted. Queries live here.

A queue that is made again under the same name is another queue: whoever might serve the former one
has no claim to its jobs and their environments, and its jobs have none to the former one's secrets.
"""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import bindparam, literal_column, select, update

from remote_server.store.ports import Transaction
from remote_server.store.schema import agents, secrets, tokens
from remote_server.store.tokens import revoke_token

_ALLOWED: Final = select(agents.c.name, agents.c.allowed_queues, agents.c.queues)
_ALLOW: Final = (
    update(agents)
    .where(agents.c.name == bindparam("wanted"))
    .values(allowed_queues=bindparam("allowed"))
)
_COVERED: Final = select(tokens.c.id, tokens.c.queues, tokens.c.agent).where(
    tokens.c.revoked == literal_column("0")
)
_COVER: Final = (
    update(tokens).where(tokens.c.id == bindparam("wanted")).values(queues=bindparam("covered"))
)
_READABLE: Final = select(secrets.c.name, secrets.c.queues)
_READ: Final = (
    update(secrets).where(secrets.c.name == bindparam("wanted")).values(queues=bindparam("left"))
)


def withdraw_queue(tx: Transaction, queue: str) -> None:
    """Take a queue that nobody serves from all agents, tokens and secrets.

    A token that covers nothing else is revoked: one without a queue would cover `default`. That of
    a registered agent stays, with the queues of its agent.
    """
    allowed: dict[str, str] = {}
    for agent in tx.all(_ALLOWED):
        text, left = agent.allowed_queues, _without(queue, agent.allowed_queues)
        if left is not None:
            text = left if left != "[]" else agent.queues
            tx.run(_ALLOW, {"wanted": agent.name, "allowed": text})
            tx.changes.agents.add(agent.name)
        allowed[agent.name] = text
    for row in tx.all(_COVERED):
        token, left = row.id, _without(queue, row.queues)
        if left is None:
            continue
        if left == "[]":
            left = allowed.get(row.agent, left)
        if left == "[]":
            revoke_token(
                tx, token, f"the token covered only the queue {queue!r}, which was deleted"
            )
        else:
            tx.run(_COVER, {"wanted": token, "covered": left})
            tx.changes.tokens.add(token)
    for secret in tx.all(_READABLE):
        left = _without(queue, secret.queues)
        if left is not None:
            tx.run(_READ, {"wanted": secret.name, "left": left})


def _without(queue: str, text: str) -> str | None:
    """Stored queues without one of them; None when it is not among them."""
    names = json.loads(text)
    return json.dumps([name for name in names if name != queue]) if queue in names else None
