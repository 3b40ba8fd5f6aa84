"""Filters by their names: unknown ones are refused, known ones change all output of a real job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.shim.filters import FILTERS, Filters, make_filters
from remote_agent.shim.order import Order, OrderError
from remote_protocol.cri import STDERR, STDOUT
from tests.support.shim_harness import Run, ShimHarness
from tests.support.shim_seams import Redact, extended_client

ORDER = Order("J.1", ["x"], {}, "/")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ShimHarness]:
    """One whose shims know a filter that redacts the values of secrets."""
    harness = ShimHarness(tmp_path / "state")
    with extended_client():
        harness.shims.start(2)
    try:
        yield harness
    finally:
        harness.close()


def test_without_a_name_there_is_none_and_an_unknown_one_is_refused() -> None:
    assert make_filters(ORDER, {}) is None
    with pytest.raises(OrderError, match="filtered by 'none-such', which this shim does not have"):
        make_filters(ORDER._replace(filter="none-such"), {})


def test_each_stream_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILTERS, "redact", lambda order, secrets: Filters(lambda: Redact(secrets)))
    made = make_filters(ORDER._replace(filter="redact"), {"A": "xyz"})
    assert made is not None and made.source is None
    assert made.feed(b"1xy", STDOUT) == b"1" and made.feed(b"2xyz", STDERR) == b"2***"
    assert (made.flush(STDOUT), made.flush(STDERR)) == (b"xy", b"")


def test_an_attempt_with_an_unknown_filter_never_begins(harness: ShimHarness) -> None:
    record = harness.ended(harness.start(["echo", "plain"], filter="none-such"))
    assert (record["exit_code"], record["end_reason"], record["size"]) == (126, "spawn_error", 0)


def test_the_output_of_a_real_job_is_filtered_across_reads(harness: ShimHarness) -> None:
    # The secret comes in two writes with a pause, so that no read has all of it.
    script = (
        'printf "begin %.5s" "$TOKEN"; sleep 0.2; printf "%s\\n" "${TOKEN#?????}"; '
        'printf "$TOKEN" >&2; printf open5'
    )
    directory = harness.make(["sh", "-c", script], secrets=["TOKEN"], filter="redact")
    harness.shims.request(directory, {"TOKEN": "open5-hunter22"})
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.stdout, run.stderr) == (0, b"begin ***\nopen5", b"***")
    assert b"hunter" not in run.log
    assert run.record["usage"]["stdout_bytes"] == len("begin open5-hunter22\nopen5")
