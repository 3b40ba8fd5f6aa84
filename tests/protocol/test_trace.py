"""The trace of a job, and the ids of its spans."""

from __future__ import annotations

import pytest

from remote_protocol.ids import make_ulid, ulid_to_bytes
from remote_protocol.trace import (
    Part,
    check_traceparent,
    span_of,
    trace_of,
    traceparent_for,
    usable,
)

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
JOB = make_ulid(1_800_000_000_000, bytes(range(1, 11)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        GIVEN.upper(),
        GIVEN + "-x",
        GIVEN + "\n",
        "ff" + GIVEN[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        GIVEN.replace("1", "\u0661"),
    ],
)
def test_what_is_no_traceparent(text: str) -> None:
    with pytest.raises(ValueError, match="W3C Trace Context"):
        check_traceparent(text)
    assert usable(text) is None


def test_a_trace_is_continued() -> None:
    assert check_traceparent(GIVEN) == usable(GIVEN) == GIVEN
    assert trace_of(JOB, GIVEN) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00")
    made = traceparent_for(JOB, 2, GIVEN)
    assert made == f"00-0af7651916cd43dd8448eb211c80319c-{span_of(JOB, Part.RUN, 2)}-00"
    assert check_traceparent(made)


def test_of_a_later_version_what_is_known_counts() -> None:
    for text in ("01" + GIVEN[2:], "cc" + GIVEN[2:] + "-what-comes-later"):
        assert usable(text) == GIVEN
        with pytest.raises(ValueError, match="W3C Trace Context"):
            check_traceparent(text)
    for text in ("ff" + GIVEN[2:], "01" + GIVEN[2:] + "x", "01" + "-" + "0" * 52):
        assert usable(text) is None


def test_a_job_begins_a_trace_of_its_own() -> None:
    assert usable(None) is None
    assert trace_of(JOB, None) == (ulid_to_bytes(JOB).hex(), "", "01")
    assert check_traceparent(traceparent_for(JOB, 1, None))


def test_no_two_spans_of_a_job_have_one_id() -> None:
    parts = [part for part in Part if part not in (Part.JOB, Part.SUBMIT)]
    once = {span_of(JOB), span_of(JOB, Part.SUBMIT)}
    ids = once | {span_of(JOB, part, n) for part in parts for n in range(1, 200)}
    assert len(ids) == 2 + len(parts) * 199
    assert all(len(one) == 16 and int(one, 16) for one in ids)
    empty = make_ulid(0, bytes(10))
    assert int(span_of(empty), 16) == 1, "never zero: that names no span"
