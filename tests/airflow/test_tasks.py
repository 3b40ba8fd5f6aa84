"""Tasks of a real Airflow on a real agent: operators, what they hand on, and their logs."""

from __future__ import annotations

import re

from tests.airflow.deployment import Airflow


def jobs_of(airflow: Airflow, dag: str) -> list[str]:
    """The names of the jobs that were made for a DAG."""
    found = airflow.stack.client.jobs(limit=200, annotation=f"airflow.dag={dag}")
    return sorted(str(job.name) for job in found.items)


def test_operators_with_xcom_retries_and_a_hundred_mapped(airflow: Airflow) -> None:
    run = airflow.trigger("operators")
    airflow.ends(run, deadline=240)
    tries = {name: ti["try_number"] for name, ti in airflow.tasks(run).items()}
    assert tries == {
        "first": 1, "second": 2, "third": 1, **{f"mapped[{n}]": 1 for n in range(100)}
    }  # fmt: skip
    said = [line for line in airflow.said() if line.startswith(("second", "mapped"))]
    assert sorted(said) == sorted(["second 1", "second 2", *(f"mapped {n}" for n in range(100))])
    assert jobs_of(airflow, "operators") == sorted(
        ["operators.first", "operators.second", "operators.second", "operators.third"]
        + ["operators.mapped"] * 100
    )
    log = airflow.log(run, "third")
    assert "4950 of all" in log and f"Remote: {airflow.stack.url}/jobs/" in log
    assert "the first try fails" in airflow.log(run, "second", 1)
    assert "was given 100" in airflow.log(run, "second", 2)
    # No token of a task is anywhere but in the sealed store.
    shown = [airflow.stack.client.job(job.id) for job in airflow.stack.client.jobs(limit=5).items]
    # The last one was forked from an interpreter that has Airflow imported.
    told = [entry.detail for entry in airflow.stack.client.timeline(shown[0].id)]
    assert any("forked from a warm interpreter" in detail for detail in told), told
    assert all(job.private_input is True for job in shown)
    assert not re.search(r"eyJ\w", str(shown))


def test_values_reach_a_python_operator_and_come_from_it(airflow: Airflow) -> None:
    airflow.has_a_place()
    run = airflow.trigger("python", greeting="grüezi", size=6)
    airflow.ends(run)
    assert "6 egirz\\u00fc Berlin example.com:8443" in airflow.log(run, "shows")


def test_what_cannot_run_fails_with_the_reason(airflow: Airflow) -> None:
    run = airflow.trigger("refused")
    airflow.ends(run, "failed")

    def told() -> dict[str, str]:
        events = airflow.get("/eventLogs", limit="50", dag_id="refused")["event_logs"]
        return {e["task_id"]: e["extra"] for e in events if e["event"].startswith("remote")}

    airflow.waits(lambda: len(told()) == 2, "both are explained")
    said = told()
    assert "unknown options: colour; known ones:" in said["unknown_option"]
    assert "there is no queue 'nowhere'" in said["unknown_queue"]


def test_tasks_that_leave_and_come_back_are_several_jobs_of_one_try(airflow: Airflow) -> None:
    run = airflow.trigger("waiting")
    airflow.ends(run)
    assert {ti["try_number"] for ti in airflow.tasks(run).values()} == {1}
    assert jobs_of(airflow, "waiting") == ["waiting.deferred"] * 2 + ["waiting.sensor"] * 2
    log = airflow.log(run, "sensor")
    assert log.count("/jobs/") == 2, "both of its jobs"


def test_much_output_is_whole_in_order_and_masked(airflow: Airflow) -> None:
    run = airflow.trigger("much")
    airflow.ends(run)
    numbers = re.findall(r"numbered (\d+)\b", airflow.log(run, "bash"))
    # The command of the task is no such line.
    assert numbers == [str(number) for number in range(1, 50_001)]
    log = airflow.log(run, "python")
    assert re.findall(r"printed (\d+)\b", log) == [str(number) for number in range(2000)]
    assert re.findall(r"logged (\d+) with \*\*\*", log) == [str(number) for number in range(2000)]
    assert "printed ***" in log and "not UTF-8 \\ufffd" in log and "quite a secret" not in log
    # Airflow's own logger did not have to do it.
    for job in airflow.stack.client.jobs(limit=2, annotation="airflow.dag=much").items:
        assert b"own logger alone" not in airflow.stack.client.log(job.id)
