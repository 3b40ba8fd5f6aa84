"""What is counted while the server runs."""

from __future__ import annotations

from remote_protocol.metrics import Distribution, Sample
from remote_server.queries.metrics import Counter, Histogram


def test_a_counter_without_labels_starts_at_zero() -> None:
    counter = Counter("x_total", "Things.")
    assert counter.family().samples == [Sample((), 0.0)]
    counter.add()
    counter.add(2)
    assert counter.family().samples == [Sample((), 3.0)]


def test_a_counter_with_labels() -> None:
    counter = Counter("x_total", "Things.", ("kind",))
    assert counter.family().samples == []
    counter.add(1, "a")
    counter.add(4, "a")
    counter.add(1, "b")
    assert counter.family().samples == [Sample(("a",), 5.0), Sample(("b",), 1.0)]
    assert counter.family({"b", "c"}).samples == [Sample(("b",), 1.0)]


def test_a_histogram_spreads_what_it_observes() -> None:
    histogram = Histogram("x", "Times.", (0.1, 1), ("way",))
    for seconds in (0.05, 0.1, 0.5, 7):
        histogram.observe(seconds, "up")
    assert histogram.family().samples == [Sample(("up",), Distribution((0.1, 1), (2, 1, 1), 7.65))]
    assert histogram.family({"down"}).samples == []


def test_a_histogram_without_labels_starts_at_zero() -> None:
    (sample,) = Histogram("x", "Times.", (1,)).family().samples
    assert sample == Sample((), Distribution((1,), (0, 0), 0.0))
