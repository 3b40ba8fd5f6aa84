"""Workloads by their names."""

from __future__ import annotations

import pytest

from remote_agent.shim.order import Order, OrderError
from remote_agent.shim.workload import make_workload
from remote_agent.shim.workload.process import ProcessWorkload
from tests.support.shim_harness import ShimHarness


def test_an_order_names_its_workload() -> None:
    order = Order("J.1", ["x"], {}, "/")
    assert isinstance(make_workload(order, guarded=True), ProcessWorkload)
    with pytest.raises(
        OrderError, match=r"the workload 'moon', which this shim does not have \(it"
    ):
        make_workload(order._replace(workload="moon"), guarded=True)


def test_an_attempt_with_an_unknown_workload_ends_in_words(harness: ShimHarness) -> None:
    record = harness.ended(harness.start(["true"], workload="moon"))
    assert (record["exit_code"], record["end_reason"]) == (126, "spawn_error")
    assert "the workload 'moon'" in record["end_detail"]
