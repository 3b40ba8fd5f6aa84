"""Tasks of a real Airflow whose host has no way to the Execution API but the relay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remote_protocol.api.jobs import JobView
from tests.airflow.deployment import Airflow
from tests.airflow.test_kills import begin, gate, once_each
from tests.support.ports import free_port

API = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"


@pytest.fixture(scope="module")
def only_relayed(airflow: Airflow) -> Iterator[Airflow]:
    """The executor has tasks use the relay, and knows another address that nobody answers at."""
    with airflow.scheduler_with(
        AIRFLOW__REMOTE__RELAY="airflow",
        AIRFLOW__REMOTE__EXECUTION_API_URL=f"http://127.0.0.1:{free_port()}/execution/",
    ):
        yield airflow


def jobs(airflow: Airflow, dag: str) -> list[JobView]:
    """Those of a DAG that have the relay."""
    listed = airflow.stack.client.jobs(limit=100, annotation=f"airflow.dag={dag}").items
    found = [airflow.stack.client.job(job.id) for job in listed]
    return [job for job in found if job.relay is not None]


def test_what_tasks_ask_for_comes_by_the_relay_alone(only_relayed: Airflow) -> None:
    airflow = only_relayed
    airflow.has_a_place()
    run = airflow.trigger("python", greeting="grüezi", size=6)
    airflow.ends(run)
    # Both XComs, a variable and a connection, all of them by the relay.
    assert "6 egirz\\u00fc Berlin example.com:8443" in airflow.log(run, "shows")
    done = jobs(airflow, "python")
    assert len(done) == 3
    for job in done:
        assert job.env[API] == "${REMOTE_RELAY_URL}execution/"
        assert f":{airflow.port}" not in str(job.env)
    # Forked all the same: the address is no part of what an interpreter is made with.
    told = [entry.detail for entry in airflow.stack.client.timeline(done[0].id)]
    assert any("forked from a warm interpreter" in detail for detail in told), told
    # No address is left.
    folder = airflow.stack.agents["alpha"].state_dir / "relays"
    airflow.waits(lambda: [path.name for path in folder.iterdir()] == [".key"], "all are closed")


def test_a_killed_agent_costs_no_relayed_task(only_relayed: Airflow) -> None:
    airflow = only_relayed
    run = airflow.trigger("gated")
    begin(airflow, run)
    agent = airflow.stack.agents["alpha"]
    agent.kill()
    agent.start()
    gate(airflow, run)
    once_each(airflow, run)
    assert len(jobs(airflow, "gated")) == 3
