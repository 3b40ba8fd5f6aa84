"""What a shell offers for a word: names and ids that the server knows. Silent, and quick.

Whatever fails offers nothing: nobody wants to read a traceback between two keystrokes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import click

from remote_client.cli.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_WITHIN: Final = 1.0
"""Seconds for the server to answer."""
_JOBS: Final = 50
"""The newest jobs are offered."""
Offer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def completed(kind: str) -> Offer:
    """Offers `queues`, `agents`, `jobs` or `contexts`."""

    def offer(context: click.Context, param: click.Parameter, word: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            found = list(_jobs(context, word) if kind == "jobs" else _names(context, kind))
        except Exception:  # see above
            return []
        return [
            CompletionItem(value, help=words)
            for value, words in found
            if value.startswith(word if kind != "jobs" else word.upper())
        ]

    return offer


def _names(context: click.Context, kind: str) -> Iterator[tuple[str, str]]:
    if kind == "contexts":
        from remote_client.config import read_contexts

        for name, stored in read_contexts().known.items():
            yield name, str(stored.get("url", ""))
        return
    for item in context.ensure_object(Session).briefly(_WITHIN).page(kind, limit=1000)["items"]:
        yield item["name"], str(item.get("state") or item.get("description") or "")


def _jobs(context: click.Context, word: str) -> Iterator[tuple[str, str]]:
    """The short forms of ids; whole ones once that is what somebody types."""
    page = context.ensure_object(Session).briefly(_WITHIN).jobs(limit=_JOBS)
    for job in page["items"]:
        whole = word and job["id"].startswith(word.upper())
        what = job.get("name") or " ".join(job.get("command") or ())
        yield job["id"] if whole else job["id"][-8:], f"{job['state']} {what}"[:60]
