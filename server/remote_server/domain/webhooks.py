"""Webhooks: which of them tell what, and when a message is tried again. Pure.

A message is made for each webhook that wants it, with an id made of what it tells and for whom:
making it twice gives the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Final, NamedTuple

from remote_protocol.api.webhooks import DeliveryState, WebhookEvent, WebhookRule
from remote_protocol.frozen import frozen
from remote_protocol.ids import ULID_ENTROPY, make_ulid
from remote_protocol.states import EndReason, JobState

MOST: Final = 100
"""Webhooks of a server."""
FIRST_PAUSE: Final = 5.0
"""Seconds before the second attempt; each pause is twice the one before it."""
LONGEST_PAUSE: Final = 4 * 3600.0
TRY_FOR: Final = 86400.0
"""Seconds after which a message is tried no more."""
GONE: Final = 410
_TOO_MANY: Final = (429, 503)


@frozen
class Webhook:
    """A webhook (a row)."""

    id: str
    name: str
    url: str
    rule: WebhookRule
    created_at: float
    active_since: float
    """When it was made or enabled last: what happened before is not told."""
    since_seq: int
    """The number of the last event before that."""
    key_id: str
    """Of the server's key that its secrets are made from."""
    generation: int = 1
    """Counts its secrets."""
    former_until: float = 0.0
    """Until when messages are signed with the former secret, too."""
    enabled: bool = True
    disabled_reason: str = ""
    failing_since: float | None = None
    delivered_at: float | None = None
    dropped: int = 0

    def secrets(self, now: float) -> list[int]:
        """Generations of the secrets that sign now, the newest first."""
        former = now < self.former_until and self.generation > 1
        return [self.generation, self.generation - 1] if former else [self.generation]


@frozen
class Delivery:
    """A message and what became of it (a row)."""

    id: str
    webhook: str
    type: str
    subject: str
    body: str
    created_at: float
    give_up_at: float
    state: DeliveryState = DeliveryState.PENDING
    next_at: float | None = None
    attempts: int = 0
    last_at: float | None = None
    status: int | None = None
    seconds: float | None = None
    error: str = ""


class Told(NamedTuple):
    """What happened, as far as rules ask for it."""

    event: WebhookEvent
    subject: str
    queues: Collection[str]
    agent: str | None = None
    job_name: str | None = None
    state: JobState | None = None
    reason: EndReason | None = None


def wants(rule: WebhookRule, told: Told) -> bool:
    """Whether the rule asks for this."""
    if told.event not in rule.events:
        return False
    if rule.queues and not any(queue in rule.queues for queue in told.queues):
        return False
    of_queue = told.event in (WebhookEvent.QUEUE_SERVED, WebhookEvent.QUEUE_UNSERVED)
    if rule.agent_name is not None and not of_queue and not _like(told.agent, rule.agent_name):
        return False
    if told.event is not WebhookEvent.JOB_ENDED:
        return True
    return (
        (rule.job_name is None or _like(told.job_name, rule.job_name))
        and (not rule.states or told.state in rule.states)
        and (not rule.end_reasons or told.reason in rule.end_reasons)
    )


def _like(name: str | None, pattern: str) -> bool:
    return name is not None and fnmatchcase(name, pattern)


STATE_EVENTS: Final = frozenset(WebhookEvent) - {WebhookEvent.JOB_ENDED}
"""Those that tell of the state of agents and queues."""


def watch_states(webhooks: Iterable[Webhook]) -> bool:
    """Whether one of them asks for the state of agents or queues."""
    return any(STATE_EVENTS.intersection(webhook.rule.events) for webhook in webhooks)


def delivery_id(webhook: str, what: str, at: float) -> str:
    """The id of the message to a webhook about `what`, made at a time (Unix seconds)."""
    digest = sha256(f"{webhook} {what}".encode()).digest()
    return make_ulid(int(at * 1000), digest[:ULID_ENTROPY])


class Answer(NamedTuple):
    """What came of one attempt to deliver a message."""

    seconds: float
    """How long it took."""
    status: int | None = None
    """HTTP status; None: there was no answer."""
    error: str = ""
    """Why it failed, in words; empty when it did not."""
    retry_after: float = 0.0
    """Seconds that the receiver asks us to wait."""


class Result(NamedTuple):
    """What follows from it."""

    state: DeliveryState
    next_at: float | None = None
    disable: str = ""
    """Why the webhook is disabled; empty: it is not."""


def judge(delivery: Delivery, answer: Answer, now: float, jitter: float) -> Result:
    """What becomes of a message after an attempt. `jitter`: from 0 to 1, by which messages that
    failed together are tried again apart."""
    if not answer.error:
        return Result(DeliveryState.DELIVERED)
    if answer.status == GONE:
        return Result(DeliveryState.FAILED, disable="the receiver answered 410 Gone")
    pause = min(FIRST_PAUSE * 2.0 ** min(delivery.attempts, 20), LONGEST_PAUSE) * (
        0.75 + jitter / 2
    )
    if answer.status in _TOO_MANY:
        pause = max(pause, min(answer.retry_after, LONGEST_PAUSE))
    if now + pause > delivery.give_up_at:
        return Result(DeliveryState.FAILED)
    return Result(DeliveryState.PENDING, now + pause)
