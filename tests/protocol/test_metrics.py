"""The Prometheus text format, as the client library of Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parse

from remote_protocol.metrics import Distribution, Family, Sample, number, single, text_of


def test_a_family_reads_as_it_was_meant() -> None:
    odd = 'b"\\\n{}, é'
    given = Family("x", "gauge", "Things.", ("a", "b"), [Sample((odd, ""), 1.5)])
    (read,) = parse(text_of([given]))
    assert (read.name, read.type, read.documentation) == ("x", "gauge", "Things.")
    ((name, labels, value, *_),) = read.samples
    assert (name, labels, value) == ("x", {"a": odd, "b": ""}, 1.5)


def test_a_histogram_counts_up() -> None:
    spread = Distribution((0.1, 1), (2, 1, 1), 7.65)
    (read,) = parse(
        text_of([Family("x", "histogram", "Times.", ("way",), [Sample(("up",), spread)])])
    )
    assert read.type == "histogram"
    found = {(s.name, s.labels.get("le")): s.value for s in read.samples}
    assert found == {
        ("x_bucket", "0.1"): 2,
        ("x_bucket", "1"): 3,
        ("x_bucket", "+Inf"): 4,
        ("x_sum", None): 7.65,
        ("x_count", None): 4,
    }
    assert all(s.labels["way"] == "up" for s in read.samples)


def test_what_has_no_labels_has_no_braces() -> None:
    assert text_of([single("x_total", "counter", "Things.", 3)]).splitlines()[-1] == "x_total 3"


def test_numbers_are_short_and_exact() -> None:
    assert [number(n) for n in (0.0, 3.0, 0.1, 1 << 60)] == ["0", "3", "0.1", str(1 << 60)]
