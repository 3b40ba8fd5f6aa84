"""`remotectl run --explain`: whether and where a job would run, without submitting it."""

from __future__ import annotations

from typing import Any, Final

from remote_client.cli.options import Look
from remote_client.cli.output import ago, one_line, print_json, say
from remote_client.cli.session import Session
from remote_client.cli.table import Column, print_list
from remote_client.transport import Document

_LEADS: Final = {
    "now": "It would start now",
    "later": "It would wait, and start by itself when an agent has room",
    "blocked": "It would wait until somebody acts",
    "never": "No agent that is registered could run it",
    "refused": "The server would refuse it",
}
_CODES: Final = {"now": 0, "later": 0, "blocked": 1}
_IMPOSSIBLE: Final = 125
"""As of a job that could not be run."""


def explain(session: Session, spec: Document, output: str) -> int:
    """Print what would become of the job; the exit code that says it."""
    found = session.calls.explain(spec)
    outlook = str(found.get("outlook"))
    if output == "json":
        print_json(found)
    else:
        _print(found, outlook, output)
    return _CODES.get(outlook, _IMPOSSIBLE)


def _print(found: Document, outlook: str, output: str) -> None:
    say(one_line(f"{_LEADS.get(outlook, outlook)}: {found.get('reason')}."))
    for said in (found.get("withheld") or {}).values():
        say(one_line(f"Unless its agent's host has it: {said}."))
    candidates = found.get("candidates") or []
    if not candidates:
        return
    said = f"{found.get('serving')} agents serve the queue, {found.get('fitting')} fit."
    say(one_line(f"{said} Nearest first:"))
    conditions = candidates[0].get("conditions") or []
    columns = [
        Column("AGENT", lambda item: str(item["agent"])),
        Column("MISSES", lambda item: str(item["misses"])),
        *(_column(number, one) for number, one in enumerate(conditions)),
    ]
    print_list({"items": candidates}, columns, Look(output), "", "agent")


def _column(number: int, condition: dict[str, Any]) -> Column:
    what = str(condition.get("what"))
    wanted = str(condition.get("wanted") or "")
    title = " ".join(part for part in (what.upper().replace("_", " "), wanted) if part)

    def text(candidate: Document) -> str:
        own = candidate["conditions"][number]
        has = str(own.get("found"))
        if what == "online" and own.get("met") is not None:
            has = ago(candidate.get("last_seen_at")) or has
        if own.get("met") is None:
            return f"? {has}"
        return has if own["met"] else f"NO: {has}"

    return Column(title, text, cut=12)
