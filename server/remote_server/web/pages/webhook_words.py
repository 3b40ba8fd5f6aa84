"""What a webhook tells, and how it fares, in words. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from remote_protocol.api.webhooks import DeliveryView, WebhookEvent, WebhookView

EVENTS: Final[dict[str, str]] = {
    WebhookEvent.JOB_ENDED: "a job has ended",
    WebhookEvent.AGENT_OFFLINE: "an agent is offline",
    WebhookEvent.AGENT_ONLINE: "an agent is online again",
    WebhookEvent.QUEUE_UNSERVED: "no agent of a queue is online",
    WebhookEvent.QUEUE_SERVED: "an agent of a queue is online again",
}
"""When a message is sent, for each event."""
_PAGES: Final = {"job": "jobs", "agent": "agents", "queue": "queues"}
_STATES: Final = {"pending": "queued", "delivered": "succeeded", "failed": "failed"}


def condition(hook: WebhookView) -> tuple[str, str]:
    """How it is: a state of pages, and a word."""
    if not hook.enabled:
        return "paused", "disabled"
    if hook.failing_since is not None:
        return "error", "failing"
    return ("warning", "cannot send") if hook.attention else ("healthy", "enabled")


def narrowed(hook: WebhookView) -> str:
    """Which of its events it tells; empty: all of them."""
    parts = []
    if hook.queues:
        parts.append(f"queue {' or '.join(hook.queues)}")
    if hook.job_name is not None:
        parts.append(f"job name {hook.job_name}")
    if hook.agent_name is not None:
        parts.append(f"agent name {hook.agent_name}")
    if hook.states:
        parts.append(f"state {' or '.join(hook.states)}")
    if hook.end_reasons:
        said = " or ".join(reason.replace("_", " ") for reason in hook.end_reasons)
        parts.append(f"end reason {said}")
    return "; ".join(parts)


def receiver(hook: WebhookView) -> str:
    """The host that gets its messages; what follows in a URL often tells who may send."""
    parts = urlsplit(hook.url)
    return parts.netloc


def subject_page(delivery: DeliveryView) -> str:
    """The page of what a message is about; empty: it has none."""
    kind = delivery.type.partition(".")[0]
    return f"{_PAGES[kind]}/{delivery.subject}" if kind in _PAGES else ""


def delivery_state(delivery: DeliveryView) -> tuple[str, str]:
    """What became of a message: a state of pages, and words."""
    words = delivery.state.value
    if words == "pending":
        words = "waits" if not delivery.attempts else "is tried again"
    return _STATES[delivery.state.value], words


FILTERS: Final = {
    "delivery_state": delivery_state,
    "narrowed": narrowed,
    "receiver": receiver,
    "subject_page": subject_page,
    "webhook_condition": condition,
}
