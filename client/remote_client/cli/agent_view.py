"""How agents are shown to people: the columns of lists, and the fields of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from remote_client.cli.output import (
    age,
    ago,
    names,
    pairs,
    print_fields,
    print_json,
    size,
    text_of,
    when,
)
from remote_client.cli.table import Column
from remote_client.transport import Document

_NAMED: Final = 5
"""So many agents are named of those that have another version."""


def _remark(item: Document) -> str:
    if item.get("restart_requested_at"):
        return "to be restarted"
    if item.get("draining"):
        return "draining"
    if item.get("paused"):
        comment = item.get("pause_comment")
        return f"paused: {comment}" if comment else "paused"
    condition = item.get("condition") or {}
    return str(condition.get("reason") or item.get("warning") or "")


def _load(item: Document) -> str:
    places = (item.get("capacity") or {}).values()
    return f"{item.get('running', 0)}/{sum(n for n in places if isinstance(n, int))}"


COLUMNS = (
    Column("NAME", lambda item: text_of(item, "name")),
    Column("STATE", lambda item: text_of(item, "state")),
    Column("QUEUES", lambda item: names(item.get("queues")), cut=12, drop=2),
    Column("JOBS", _load),
    Column("LABELS", lambda item: pairs(item.get("labels")), cut=12, drop=4),
    Column("VERSION", lambda item: text_of(item, "version"), drop=5),
    Column("SEEN", lambda item: age(item.get("last_seen_at"))),
    Column("ADDRESS", lambda item: text_of(item, "address"), wide=True),
    Column("CONNECTED", lambda item: when(item.get("connected_at")), wide=True),
    Column("REMARK", _remark, cut=20, drop=1),
)


def differ(items: Sequence[Document], version: str) -> bool:
    """Whether an agent has another version, as far as they say theirs."""
    return any(item.get("version") not in (None, "", version) for item in items)


def other_versions(items: Sequence[Document], version: str) -> str:
    """Which agents have another version than the server's, and what to do; empty: none."""
    others = [item for item in items if differ([item], version)]
    if not others:
        return ""
    named = ", ".join(
        f"{text_of(item, 'name')} ({text_of(item, 'version')})" for item in others[:_NAMED]
    )
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    many = "1 agent has" if len(others) == 1 else f"{len(others)} agents have"
    return (
        f"{many} another version than the server, which has {version}: {named}{more}; update the "
        "server first, then agents: jobs run on"
    )


def print_agent(view: Document, output: str) -> None:
    if output == "json":
        print_json(view)
        return
    place = view.get("platform") or {}
    system = " ".join(text_of(place, key) for key in ("system", "release", "machine")).strip()
    print_fields(
        [
            ("Agent", text_of(view, "name")),
            ("State", text_of(view, "state")),
            ("Remark", _remark(view)),
            ("Queues", names(view.get("queues"))),
            ("Labels", pairs(view.get("labels"))),
            ("Capacity", pairs(view.get("capacity"))),
            ("Running", text_of(view, "running")),
            ("Jobs", names(view.get("jobs"))),
            ("Version", text_of(view, "version")),
            ("Host", f"{text_of(place, 'hostname')} ({system})" if system else ""),
            ("Load", _host_load(view.get("load") or {})),
            ("Address", text_of(view, "address")),
            ("Log not sent", size(view.get("spool_bytes"))),
            ("Registered", when(view.get("registered_at"))),
            ("Connected", when(view.get("connected_at"))),
            ("Last seen", ago(view.get("last_seen_at"))),
        ]
    )


def _host_load(load: Document) -> str:
    """How busy its host is, as far as it says."""
    found = []
    if load.get("cpu") is not None:
        found.append(f"CPU {load['cpu']:g} %")
    for name in ("memory", "disk"):
        if load.get(f"{name}_total"):
            free, total = size(load.get(f"{name}_free")), size(load[f"{name}_total"])
            found.append(f"{name} {free} free of {total}")
    if load.get("load") is not None:
        found.append(f"load {load['load']:g}")
    return ", ".join(found)
