"""Rules and dashboard ask for nothing that a real server and agent do not have."""

from __future__ import annotations

import pytest

from tests.monitoring.conftest import Site
from tests.monitoring.expressions import OF_PROMETHEUS, expressions, grouped, labels, names

ALL = expressions()


@pytest.mark.parametrize("where", sorted(ALL))
def test_every_metric_and_label_is_exposed(where: str, site: Site) -> None:
    expression, exposed = ALL[where], site.exposed()
    used = names(expression)
    assert used, expression
    assert used <= exposed.keys()
    for name, label in labels(expression):
        assert label in exposed[name] | OF_PROMETHEUS, (name, label)
    known = set().union(*(exposed[name] for name in used))
    assert grouped(expression) <= known


def test_a_wrong_name_would_be_found(site: Site) -> None:
    assert names('sum(remote_queue_deep{queue="remote_x"})') == {"remote_queue_deep"}
    assert "remote_queue_deep" not in site.exposed()
    asked = 'remote_agents{kind="offline",instance=~"a,b"} > 0'
    assert list(labels(asked)) == [("remote_agents", "kind"), ("remote_agents", "instance")]
    assert grouped("sum by (queue, le) (x)") == {"queue"}
