"""What a planner need not say is what a start order says by itself."""

from __future__ import annotations

from remote_agent.planning.work import Work
from remote_agent.shim.order import Order


def test_the_defaults_are_those_of_a_start_order() -> None:
    work, order = Work(["true"]), Order("J.1", ["true"], {}, "/")
    for name in ("workload", "options", "payload", "filter"):
        assert getattr(work, name) == getattr(order, name), name
    assert list(work.secrets) == order.secrets
