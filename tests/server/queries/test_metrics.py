"""The Prometheus text format."""

from __future__ import annotations

from remote_server.queries.metrics import Counter, Histogram, family


def test_a_family() -> None:
    text = family("x", "gauge", "Things.", ("a",), [(('b"\\\n',), 1.0), (("c",), 0.5)])
    assert text == '# HELP x Things.\n# TYPE x gauge\nx{a="b\\"\\\\\\n"} 1\nx{a="c"} 0.5\n'


def test_a_counter_without_labels_starts_at_zero() -> None:
    counter = Counter("x_total", "Things.")
    assert counter.render().endswith("\nx_total 0\n")
    counter.add()
    counter.add(2)
    assert counter.render().endswith("\nx_total 3\n")


def test_a_counter_with_labels() -> None:
    counter = Counter("x_total", "Things.", ("kind",))
    assert "{" not in counter.render()
    counter.add(1, "a")
    counter.add(4, "a")
    assert 'x_total{kind="a"} 5\n' in counter.render()


def test_a_histogram_counts_up() -> None:
    histogram = Histogram("x", "Times.", (0.1, 1), ("way",))
    for seconds in (0.05, 0.1, 0.5, 7):
        histogram.observe(seconds, "up")
    lines = histogram.render().splitlines()[2:]
    assert lines == [
        'x_bucket{way="up",le="0.1"} 2',
        'x_bucket{way="up",le="1"} 3',
        'x_bucket{way="up",le="+Inf"} 4',
        'x_sum{way="up"} 7.65',
        'x_count{way="up"} 4',
    ]
