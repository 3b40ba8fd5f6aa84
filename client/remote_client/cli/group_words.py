"""Groups in words: whom they wait for, how many ended how, a line for each member. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from remote_client.cli.options import Look
from remote_client.cli.output import between, text_of
from remote_client.cli.table import Column, laid_out
from remote_client.transport import Document

MOST_SHOWN: Final = 100
"""Members of which a summary shows all; of more, those that did not succeed."""
_STATES: Final = ("succeeded", "failed", "cancelled", "running", "assigned", "queued")
_NAMED: Final = 5
MEMBER_COLUMNS: Final = (
    Column("AGENT", lambda item: text_of(item, "agent")),
    Column("STATE", lambda item: text_of(item, "state")),
    Column("EXIT CODE", lambda item: text_of(item, "exit_code")),
    Column("TOOK", lambda item: between(item.get("started_at"), item.get("ended_at")), drop=1),
    Column("JOB", lambda item: text_of(item, "job"), drop=2),
    Column(
        "WHY", lambda item: "" if item["state"] == "succeeded" else text_of(item, "end_detail"),
        cut=20,
    ),
)  # fmt: skip


def counts_in_words(group: Document) -> str:
    """`3 succeeded, 1 failed`; states that no member is in are left out."""
    counts = group.get("counts") or {}
    return ", ".join(f"{counts[state]} {state}" for state in _STATES if counts.get(state))


def agents_in_words(group: Document) -> str:
    """How many agents it has, and which of them take no jobs now."""
    size = group.get("size", 0)
    agents = f"{size} agent{'' if size == 1 else 's'}"
    if not group.get("unavailable"):
        return agents
    away = group["unavailable"]
    return f"{agents}, of which {away} take{'s' if away == 1 else ''} no jobs now: {_away(group)}"


def waits_for(group: Document) -> str:
    """Whom it waits for when agents that take no jobs are all that is left; else empty."""
    counts = group.get("counts") or {}
    busy = counts.get("running", 0) + counts.get("assigned", 0)
    queued, away = counts.get("queued", 0), group.get("unavailable", 0)
    if group.get("halted_at") and queued:
        return "was halted: no other job is started"
    if busy or not queued or queued != away or group.get("cancel_requested"):
        return ""
    return f"waits for {away} agent{'' if away == 1 else 's'}: {_away(group)}"


def _away(group: Document) -> str:
    found = group.get("unavailable_agents") or []
    named = ", ".join(f"{one['agent']} ({one['reason']})" for one in found[:_NAMED])
    more = group.get("unavailable", 0) - min(len(found), _NAMED)
    return f"{named} and {more} more" if more > 0 else named


def summary(members: Sequence[Document]) -> list[str]:
    """A table of how the members ended; of many, only those that did not succeed."""
    shown = list(members)
    if len(shown) > MOST_SHOWN:
        shown = [member for member in shown if member["state"] != "succeeded"]
    return laid_out(shown, MEMBER_COLUMNS, Look("table"), None) if shown else []
