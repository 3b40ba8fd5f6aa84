"""Kills and outages of everybody while tasks of a real Airflow run on a real agent: each task does
its work once, at its first try."""

from __future__ import annotations

import re
import time

from tests.airflow.deployment import Airflow
from tests.support.stack import Program, until

OUTAGE = 45.0
"""Seconds without an api-server: Airflow's own settings end a task after 27."""


def gate(airflow: Airflow, *runs: str) -> None:
    for run in runs:
        run_id = run.rsplit("/", 1)[1]
        (airflow.said_folder / f"open-{run_id}").touch()


def noted(airflow: Airflow, run: str, what: str = "") -> list[str]:
    """What the tasks of a run say of themselves."""
    run_id = run.rsplit("/", 1)[1]
    return [line for line in airflow.said() if run_id in line and what in line]


def begin(airflow: Airflow, run: str) -> None:
    airflow.waits(lambda: len(noted(airflow, run, "began")) == 3, "all have begun")


def once_each(airflow: Airflow, run: str) -> None:
    """Each task of the run has succeeded at its first try, and did its work once."""
    airflow.ends(run, deadline=120)
    assert {ti["try_number"] for ti in airflow.tasks(run).values()} == {1}
    run_id = run.rsplit("/", 1)[1]
    assert sorted(noted(airflow, run)) == sorted(
        f"gate{n} {what} {run_id}" for n in range(3) for what in ("began", "ended")
    )


def adopts(airflow: Airflow, scheduler: Program, least: int, after: int = 0) -> None:
    """Wait until it has adopted so many tasks."""

    def count() -> int:
        found = re.findall(r"adopted (\d+) tasks", scheduler.words()[after:])
        return sum(map(int, found))

    airflow.waits(lambda: count() >= least, f"{least} tasks are adopted")


def test_tasks_of_a_scheduler_that_was_killed_are_adopted(airflow: Airflow) -> None:
    run = airflow.trigger("gated")
    begin(airflow, run)
    scheduler = airflow.parts["scheduler"]
    scheduler.kill()
    before = len(scheduler.words())
    scheduler.start()
    adopts(airflow, scheduler, 3, before)
    gate(airflow, run)
    once_each(airflow, run)


def test_two_schedulers_lose_and_double_nothing_and_one_adopts_the_others(airflow: Airflow) -> None:
    first = airflow.parts["scheduler"]
    runs = [airflow.trigger("gated")]
    begin(airflow, runs[0])
    second = airflow.another_scheduler()
    airflow.waits(lambda: "Starting the scheduler" in second.words(), "the second one runs")
    # More than the agent takes at a time: some are in its hands, some wait at the server.
    runs += [airflow.trigger("gated") for _ in range(5)]
    airflow.waits(
        lambda: all(
            ti["state"] in ("queued", "running")
            for run in runs
            for ti in airflow.tasks(run).values()
        ),
        "all are dispatched",
    )
    first.kill()
    adopts(airflow, second, 3)
    gate(airflow, *runs)
    try:
        for run in runs:
            once_each(airflow, run)
    finally:
        first.start()
        second.stop()


def test_kills_of_server_and_agent_cost_no_task(airflow: Airflow) -> None:
    run = airflow.trigger("gated")
    begin(airflow, run)
    agent = airflow.stack.agents["alpha"]
    airflow.stack.server.kill()
    agent.kill()
    # Tasks end while nobody is there; others wait in the executor's outbox.
    gate(airflow, run)
    until(lambda: len(noted(airflow, run, "ended")) == 3, "they end")
    other = airflow.trigger("gated")
    gate(airflow, other)
    airflow.waits(
        lambda: {ti["state"] for ti in airflow.tasks(other).values()} == {"queued"},
        "others are dispatched",
    )
    airflow.stack.start_server()
    agent.start()
    once_each(airflow, run)
    once_each(airflow, other)
    assert airflow.parts["scheduler"].running and agent.running


def test_an_api_server_that_is_away_costs_no_task(airflow: Airflow) -> None:
    """With the settings that the page recommends: one task goes on, one ends meanwhile, and one
    begins meanwhile."""
    ends, stays = airflow.trigger("gated"), airflow.trigger("gated")
    begin(airflow, ends)
    begin(airflow, stays)
    api_server = airflow.parts["api-server"]
    api_server.kill()
    away_since = time.monotonic()
    gate(airflow, ends)
    until(lambda: len(noted(airflow, ends, "ended")) == 3, "they end")
    begins = airflow.trigger_by_command("gated")
    time.sleep(max(0, away_since + OUTAGE - time.monotonic()))
    assert len(noted(airflow, stays, "began")) == 3 and not noted(airflow, begins)
    api_server.start()
    airflow.answers()
    gate(airflow, stays, begins)
    for run in (ends, stays, begins):
        once_each(airflow, run)
