"""`remotectl audit`: who did what to what, from where, with what result."""

from __future__ import annotations

from typing import Any

import click

from remote_client.cli.options import Command, Look, limited, list_options
from remote_client.cli.output import age, one_line, pairs, say, text_of, when
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, note_more, print_list
from remote_client.transport import Document
from remote_protocol.printable import json_text


@click.command(cls=Command)
@click.option("--follow", "-f", is_flag=True, help="Print what happens from now on, until Ctrl-C.")
@click.option("--since", metavar="D", help="Since then: 2h, or a time with its zone.")
@click.option("--until", metavar="D", help="Before then.")
@click.option("--actor", metavar="NAME", help="Only by this token, by name or id.")
@click.option("--action", metavar="TEXT", help="Only what begins like this, e.g. agent.")
@click.option("--subject", metavar="NAME", help="Only about this: a name or id, or agent:web-7.")
@click.option("--result", metavar="CODE", help="Only ok, refused, or one code of a refusal.")
@limited
@list_options
@pass_session
def audit(session: Session, /, follow: bool, most: int | None, look: Look, **given: Any) -> None:
    """The newest entries of the audit; for admins.

    With --output json each entry is a line of its own, the oldest one first: with --all an export.

    \b
    Examples:
      remotectl audit --since 24h --result refused
      remotectl audit --action agent. --subject agent:web-7
      remotectl audit --follow --output json
      remotectl audit --all --output json > audit.ndjson
    """
    filters = {name: value for name, value in given.items() if value is not None}
    if follow:
        # From a moment in the past, or from now on.
        after = 0 if "since" in filters else -1
        for entry in session.calls.audit_stream(after, True, filters):
            _print(entry, look)
    elif look.output == "json" and most is None:
        for entry in session.calls.audit_stream(0, False, filters):
            _print(entry, look)
    else:
        page = session.calls.many("audit", most, filters)
        if look.output == "json":
            for entry in reversed(page["items"]):
                _print(entry, look)
            return
        print_list(page, _COLUMNS, look, "No entries match.", "number")
        note_more(page, "entries", most)


def _print(entry: Document, look: Look) -> None:
    if look.output == "json":
        say(json_text(entry, indent=None))
    elif look.quiet:
        say(text_of(entry, "number"))
    else:
        words = [when(entry.get("at")), _actor(entry), text_of(entry, "address")]
        words += [text_of(entry, "action"), _subject(entry), _result(entry), _detail(entry)]
        say("  ".join(one_line(word) for word in words if word))


def _actor(item: Document) -> str:
    kind, name = text_of(item, "actor_kind"), text_of(item, "actor")
    return name if kind == "api" else f"{kind} {name}" if name and name != kind else kind


def _subject(item: Document) -> str:
    return f"{text_of(item, 'subject_kind')} {text_of(item, 'subject')}".strip()


def _result(item: Document) -> str:
    more = item.get("repeated")
    return f"{text_of(item, 'result')} ({more} more like this)" if more else text_of(item, "result")


def _detail(item: Document) -> str:
    found = item.get("detail")
    return pairs({key: _brief(value) for key, value in found.items()}) if found else ""


def _brief(value: object) -> object:
    if isinstance(value, dict) and set(value) == {"old", "new"}:
        return f"{_brief(value['old'])} → {_brief(value['new'])}"
    return json_text(value, indent=None) if isinstance(value, dict | list) else value


_COLUMNS = (
    Column("NUMBER", lambda item: text_of(item, "number"), drop=4),
    Column("AGE", lambda item: age(item.get("at"))),
    Column("TIME", lambda item: when(item.get("at")), wide=True),
    Column("ACTOR", _actor, cut=12),
    Column("ADDRESS", lambda item: text_of(item, "address"), drop=3),
    Column("ACTION", lambda item: text_of(item, "action")),
    Column("SUBJECT", _subject, cut=16),
    Column("RESULT", _result, cut=10),
    Column("DETAIL", _detail, cut=20, drop=1),
)
