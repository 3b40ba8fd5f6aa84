"""The audit: who did what to what, from where, with what result; each entry chained to the former
one by a hash, so that one that is changed or removed shows. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from remote_server.domain.model import Principal

OK: Final = "ok"
"""The result of what was done; of what was refused it is the code of the refusal."""
NO_HASH: Final = "0" * 64
"""Before the first entry."""
LONGEST_NAME: Final = 256
"""Characters of any name or address in an entry."""
LONGEST_DETAIL: Final = 2000
"""Characters of the detail, which is JSON."""
# `json.dumps` makes an encoder for each text when it is told how to write.
_canonical: Final = json.JSONEncoder(separators=(",", ":")).encode
_json: Final = json.JSONEncoder(separators=(",", ":"), default=str).encode
_LONGEST_TEXT: Final = 200
_MOST_ITEMS: Final = 20


class Entry(NamedTuple):
    """Something that is to be written into the audit."""

    by: Principal
    action: str
    """What was done, as `job.cancel`."""
    kind: str
    """What it was done to: `agent`, `job`, `queue`, …"""
    subject: str
    """Its name or id."""
    detail: Mapping[str, Any] = {}
    """What else people want to know; never a secret, an environment, an input."""
    result: str = OK
    repeated: int = 0
    """It stands for so many more like the entry before it."""


class Link(NamedTuple):
    """A place in the chain: the entry's number, and its hash."""

    number: int
    hash: str

    @property
    def text(self) -> str:
        """The stored form."""
        return f"{self.number} {self.hash}"


ORIGIN: Final = Link(0, NO_HASH)
"""Before the first entry."""


def link_from(text: str | None) -> Link:
    """The link that a text stands for; the origin without one. ValueError."""
    if text is None:
        return ORIGIN
    number, _, digest = text.partition(" ")
    return Link(int(number), digest)


class Recorded(NamedTuple):
    """An entry of the audit (a row)."""

    number: int
    """From 1 on, without gaps."""
    at: float
    """When it was committed, in Unix seconds, to the microsecond."""
    actor_kind: str
    """`api`, `agent`, `registration` (the kind of the actor's token), `server`, `command_line`, or
    `unknown`: nobody whom the server knows."""
    actor: str
    token: str
    """The id of the actor's token; empty for one without."""
    address: str
    action: str
    kind: str
    subject: str
    result: str
    repeated: int
    detail: str
    """JSON."""
    hash: str = ""

    @property
    def canonical(self) -> str:
        """Its content as the hash covers it: a JSON array, in ASCII, without spaces."""
        return _canonical_text(self.number, self.at, self[2:-1])

    def hash_after(self, former: str) -> str:
        """Its hash, where `former` is that of the entry before it."""
        return _hash(former, self.canonical)


def chained(entries: Iterable[Entry], end: Link, now: float) -> list[Recorded]:
    """The entries as they follow the end of the chain, each with its hash."""
    number, former = end
    at = round(now, 6)
    rows = []
    for by, action, kind, subject, detail, result, repeated in entries:
        number += 1
        content = (
            by.kind or "unknown",
            _name(by.name),
            _name(by.id),
            _name(by.address),
            action,
            kind,
            _name(subject),
            result,
            repeated,
            bounded(detail),
        )
        former = _hash(former, _canonical_text(number, at, content))
        rows.append(Recorded(number, at, *content, former))
    return rows


def _canonical_text(number: int, at: float, content: Sequence[object]) -> str:
    return _canonical((number, f"{at:.6f}", *content))


def _hash(former: str, text: str) -> str:
    return sha256(f"{former}\n{text}".encode()).hexdigest()


def first_fault(rows: Iterable[Recorded], after: Link) -> tuple[str | None, Link]:
    """What is wrong with the first of these rows that does not follow `after`, in words, and how
    far the chain holds."""
    for row in rows:
        expected = after.number + 1
        if row.number != expected:
            return f"entry {expected} of the audit was removed", after
        if row.hash != row.hash_after(after.hash):
            return (
                f"entry {row.number} of the audit ({row.action} of {row.kind} {row.subject!r}) "
                "was changed, or the one before it with its hash",
                after,
            )
        after = Link(row.number, row.hash)
    return None, after


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What differs, field by field, before and after."""
    return {
        name: {"old": old[name], "new": new[name]} for name in new if old.get(name) != new[name]
    }


def bounded(detail: Mapping[str, Any]) -> str:
    """A detail as JSON, cut where it is too long."""
    if not detail:
        return "{}"
    text = _json(detail)
    if len(text) > LONGEST_DETAIL:
        text = _json({name[:_LONGEST_TEXT]: _cut(value) for name, value in detail.items()})
    if len(text) > LONGEST_DETAIL:
        names = sorted(str(name)[:40] for name in detail)[:_MOST_ITEMS]
        text = _json({"too_long_to_show": names})
    return text


def _cut(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[: _LONGEST_TEXT - 1]}…"
    if isinstance(value, Mapping):
        items = list(value.items())[:_MOST_ITEMS]
        cut = {str(name)[:_LONGEST_TEXT]: _cut(part) for name, part in items}
        return cut if len(value) <= _MOST_ITEMS else {**cut, "…": len(value) - _MOST_ITEMS}
    if isinstance(value, list | tuple):
        parts = [_cut(part) for part in value[:_MOST_ITEMS]]
        return (
            parts if len(value) <= _MOST_ITEMS else [*parts, f"… {len(value) - _MOST_ITEMS} more"]
        )
    return value


def _name(text: str) -> str:
    """A name as every database keeps it: short, without U+0000 and lone surrogates."""
    if len(text) <= LONGEST_NAME and text.isascii() and text.isprintable():
        return text
    sound = text[:LONGEST_NAME].encode("utf-8", "replace").decode()
    return sound.replace("\0", "\N{REPLACEMENT CHARACTER}")
