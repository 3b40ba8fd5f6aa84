"""Metrics as StatsD's datagrams."""

from __future__ import annotations

from remote_protocol.metrics import Distribution, Family, Sample, single
from remote_protocol.statsd import LARGEST, Statsd


def lines(statsd: Statsd, *families: Family) -> list[str]:
    return b"\n".join(statsd.datagrams(families)).decode().split("\n")


def test_gauges_say_what_is_and_counters_what_came() -> None:
    statsd = Statsd()
    depth = Family("depth", "gauge", "", ("queue",), [Sample(("a",), 2.5), Sample(("b",), 0)])
    assert lines(statsd, depth, single("n_total", "counter", "", 7)) == [
        "depth:2.5|g|#queue:a",
        "depth:0|g|#queue:b",
        "n_total:7|c",
    ]
    assert lines(statsd, single("n_total", "counter", "", 7)) == [""]
    assert lines(statsd, single("n_total", "counter", "", 9)) == ["n_total:2|c"]


def test_a_histogram_is_counted_and_summed() -> None:
    statsd = Statsd()
    first = Distribution((1,), (2, 1), 3.5)
    spread = Family("wait", "histogram", "", ("queue",), [Sample(("a",), first)])
    assert lines(statsd, spread) == ["wait.count:3|c|#queue:a", "wait.sum_ms:3500|c|#queue:a"]
    more = spread._replace(samples=[Sample(("a",), Distribution((1,), (3, 1), 3.75))])
    assert lines(statsd, more) == ["wait.count:1|c|#queue:a", "wait.sum_ms:250|c|#queue:a"]


def test_what_is_gone_is_forgotten() -> None:
    statsd = Statsd()
    ended = Family("n_total", "counter", "", ("queue",), [Sample(("a",), 5)])
    lines(statsd, ended)
    lines(statsd, ended._replace(samples=[]))
    assert lines(statsd, ended) == ["n_total:5|c|#queue:a"]


def test_labels_cannot_write_lines_of_their_own() -> None:
    odd = Family("x", "gauge", "", ("l",), [Sample(("a|b,c\nx:1|g#d",), 1)])
    assert lines(Statsd(), odd) == ["x:1|g|#l:a_b_c_x_1_g_d"]


def test_datagrams_fit_into_a_frame() -> None:
    many = Family("depth", "gauge", "", ("queue",), [Sample((f"q{n}",), n) for n in range(500)])
    found = list(Statsd().datagrams([many]))
    assert max(map(len, found)) <= LARGEST and len(found) > 5
    assert len(b"\n".join(found).split(b"\n")) == 500
    assert list(Statsd().datagrams([])) == []
