"""Entries of the audit: their chain, and what is kept of a detail."""

from __future__ import annotations

import json
from hashlib import sha256

from remote_server.domain.audit import (
    LONGEST_DETAIL,
    NO_HASH,
    ORIGIN,
    Entry,
    Link,
    Recorded,
    bounded,
    chained,
    changed_fields,
    first_fault,
    link_from,
)
from remote_server.domain.model import Principal

ALICE = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice", "192.0.2.7", "api")


def rows(count: int, after: Link = ORIGIN) -> list[Recorded]:
    entries = [Entry(ALICE, "job.cancel", "job", f"j{n}", {"was": "running"}) for n in range(count)]
    return chained(entries, after, 12.3456789)


def test_an_entry_says_who_did_what_to_what_from_where() -> None:
    (row,) = rows(1)
    assert row[:-1] == (
        *(1, 12.345679, "api", "alice", ALICE.id, "192.0.2.7"),
        *("job.cancel", "job", "j0", "ok", 0, '{"was":"running"}'),
    )


def test_the_hash_is_that_of_the_documentation() -> None:
    # As docs/audit.md has it, so that anybody can verify an export without this program.
    (row,) = rows(1)
    said = (
        '[1,"12.345679","api","alice","01ARZ3NDEKTSV4RRFFQ69G5FAV","192.0.2.7","job.cancel",'
        '"job","j0","ok",0,"{\\"was\\":\\"running\\"}"]'
    )
    assert row.canonical == said
    assert row.hash == sha256(f"{'0' * 64}\n{said}".encode()).hexdigest()
    assert row.hash == row.hash_after(NO_HASH)


def test_a_chain_that_is_whole_has_no_fault() -> None:
    found = rows(5)
    assert first_fault(found, ORIGIN) == (None, Link(5, found[-1].hash))
    more = rows(2, Link(5, found[-1].hash))
    assert first_fault(found + more, ORIGIN)[0] is None


def test_the_first_changed_entry_is_named() -> None:
    found = rows(5)
    found[2] = found[2]._replace(actor="mallory")
    fault, reached = first_fault(found, ORIGIN)
    assert fault is not None
    assert fault.startswith("entry 3 of the audit (job.cancel of job 'j2') was changed")
    assert reached.number == 2
    # Whoever computes its hash again changes what the next one stands on.
    found[2] = found[2]._replace(hash=found[2].hash_after(found[1].hash))
    fault, _ = first_fault(found, ORIGIN)
    assert fault is not None
    assert fault.startswith("entry 4 ")


def test_the_first_removed_entry_is_named() -> None:
    found = rows(5)
    assert first_fault(found[:1] + found[3:], ORIGIN)[0] == "entry 2 of the audit was removed"
    assert first_fault(found[1:], ORIGIN)[0] == "entry 1 of the audit was removed"


def test_every_field_is_in_the_hash() -> None:
    (row,) = rows(1)
    for name, value in row._asdict().items():
        if name == "hash":
            continue
        other = f"{value}x" if isinstance(value, str) else value + 1
        changed = Recorded(**{**row._asdict(), name: other})
        assert changed.hash_after(NO_HASH) != row.hash, name


def test_links_are_stored_as_text() -> None:
    link = Link(7, "ab")
    assert link_from(link.text) == link
    assert link_from(None) == ORIGIN


def test_names_are_short_and_can_be_stored_anywhere() -> None:
    by = Principal("", "\0" + "ä" * 500 + "\ud800", "", "")
    (row,) = chained([Entry(by, "access", "call", "x" * 5000)], ORIGIN, 1)
    assert row.actor == "\N{REPLACEMENT CHARACTER}" + "ä" * 255
    assert len(row.subject) == 256
    assert row.actor_kind == "unknown"


def test_a_detail_is_bounded_and_stays_json() -> None:
    for detail in (
        {"comment": "x" * 100_000},
        {"labels": {f"k{n}": "v" * 1000 for n in range(1000)}},
        {"queues": [f"q{n}" for n in range(10_000)]},
        {f"field-{n}": "y" * 300 for n in range(1000)},
    ):
        text = bounded(detail)
        assert len(text) <= LONGEST_DETAIL
        assert json.loads(text)
    assert bounded({"a": 1}) == '{"a":1}'
    assert bounded({}) == "{}"


def test_changed_fields_have_both_values() -> None:
    old, new = {"a": 1, "b": 2}, {"a": 1, "b": 3}
    assert changed_fields(old, new) == {"b": {"old": 2, "new": 3}}
