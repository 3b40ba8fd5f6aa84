"""Tasks of a real Airflow on a real agent: operators, logs, ends by hand, kills of everybody."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.airflow.deployment import Airflow
from tests.support.stack import until


def jobs_of(airflow: Airflow, dag: str) -> list[str]:
    """The names of the jobs that were made for a DAG."""
    found = airflow.stack.client.jobs(limit=200, annotation=f"airflow.dag={dag}")
    return sorted(str(job.name) for job in found.items)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_operators_with_xcom_retries_and_twenty_mapped(airflow: Airflow) -> None:
    run = airflow.trigger("operators")
    airflow.ends(run, deadline=240)
    tries = {name: ti["try_number"] for name, ti in airflow.tasks(run).items()}
    assert tries == {
        "first": 1, "second": 2, "third": 1, **{f"mapped[{n}]": 1 for n in range(20)}
    }  # fmt: skip
    assert sorted(airflow.said()) == sorted(
        ["second 1", "second 2", *(f"mapped {n}" for n in range(20))]
    )
    assert jobs_of(airflow, "operators") == sorted(
        ["operators.first", "operators.second", "operators.second", "operators.third"]
        + ["operators.mapped"] * 20
    )
    log = airflow.log(run, "third")
    assert "190 of all" in log and f"Remote: {airflow.stack.url}/jobs/" in log
    assert "the first try fails" in airflow.log(run, "second", 1)
    assert "was given 20" in airflow.log(run, "second", 2)
    # No token of a task is anywhere but in the sealed store.
    shown = [airflow.stack.client.job(job.id) for job in airflow.stack.client.jobs(limit=5).items]
    # The last one was forked from an interpreter that has Airflow imported.
    told = [entry.detail for entry in airflow.stack.client.timeline(shown[0].id)]
    assert any("forked from a warm interpreter" in detail for detail in told), told
    assert all(job.private_input is True for job in shown) and "eyJ" not in str(shown)


def test_a_task_that_is_marked_failed_ends_with_its_tree(airflow: Airflow) -> None:
    run = airflow.trigger("long")
    file = airflow.said_folder / "pids"
    pids = airflow.waits(
        lambda: file.exists() and len(file.read_text().split()) == 2 and file.read_text().split(),
        "the task and its child run",
    )
    airflow.waits(lambda: "begins" in airflow.log(run, "waits"), "its log is shown while it runs")
    assert "Live: " in airflow.log(run, "waits") and "8793" not in airflow.log(run, "waits")
    airflow.mark(run, "waits", "failed")
    until(lambda: not any(alive(int(pid)) for pid in pids), "its processes are gone", 40)
    airflow.ends(run, "failed")


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


def gate(airflow: Airflow, run: str) -> None:
    run_id = run.rsplit("/", 1)[1]
    (airflow.said_folder / f"open-{run_id}").touch()


def begun(airflow: Airflow) -> int:
    return sum("began" in line for line in airflow.said())


def once_each(airflow: Airflow, run: str) -> None:
    """Each task of the run has succeeded at its first try, and did its work once."""
    airflow.ends(run, deadline=120)
    assert {ti["try_number"] for ti in airflow.tasks(run).values()} == {1}
    noted = [line for line in airflow.said() if line.startswith("gate")]
    assert sorted(noted) == sorted(
        f"gate{n} {what}" for n in range(3) for what in ("began", "ended")
    )


def test_tasks_of_a_scheduler_that_was_killed_are_adopted(airflow: Airflow) -> None:
    (airflow.said_folder / "said").unlink(missing_ok=True)
    run = airflow.trigger("gated")
    airflow.waits(lambda: begun(airflow) == 3, "all have begun")
    scheduler = airflow.parts["scheduler"]
    scheduler.kill()
    before = len(scheduler.words())
    scheduler.start()
    airflow.waits(
        lambda: re.search(r"adopted 3 tasks", scheduler.words()[before:]), "they are adopted"
    )
    gate(airflow, run)
    once_each(airflow, run)


def test_kills_of_server_and_agent_cost_no_task(airflow: Airflow) -> None:
    (airflow.said_folder / "said").unlink(missing_ok=True)
    run = airflow.trigger("gated")
    airflow.waits(lambda: begun(airflow) == 3, "all have begun")
    agent = airflow.stack.agents["alpha"]
    airflow.stack.server.kill()
    agent.kill()
    # Tasks end while nobody is there; others wait in the executor's outbox.
    gate(airflow, run)
    until(lambda: sum("ended" in line for line in airflow.said()) == 3, "they end")
    other = airflow.trigger("operators")
    airflow.waits(
        lambda: airflow.tasks(other)["first"]["state"] == "queued", "another one is dispatched"
    )
    airflow.stack.start_server()
    agent.start()
    once_each(airflow, run)
    airflow.waits(lambda: airflow.tasks(other)["first"]["state"] == "success", "it runs", 60)
    assert airflow.parts["scheduler"].running and os.path.exists(f"/proc/{agent.pid}")
