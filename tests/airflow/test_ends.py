"""How tasks on a real agent end by hand, by a timeout, killed: with all their processes, and what
Airflow does then is done."""

from __future__ import annotations

from pathlib import Path

from tests.airflow.deployment import Airflow
from tests.support.stack import until


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def pids_of(airflow: Airflow, run: str, count: int = 3) -> list[int]:
    """Of a task's shell, its child, and one in a session of its own, once they run."""
    file = airflow.said_folder / f"pids-{run.rsplit('/', 1)[1]}"
    found: list[str] = airflow.waits(
        lambda: file.exists() and len(words := file.read_text().split()) == count and words,
        f"{count} processes of {run} run",
    )
    return [int(word) for word in found]


def are_gone(pids: list[int], deadline: float = 40) -> None:
    until(lambda: not any(map(alive, pids)), f"{pids} are gone", deadline)


def test_marking_and_clearing_end_a_task_with_its_tree(airflow: Airflow) -> None:
    failed, done, again = (airflow.trigger("kept") for _ in range(3))
    pids = {run: pids_of(airflow, run) for run in (failed, done, again)}
    airflow.waits(
        lambda: "begins" in airflow.log(failed, "waits"), "its log is shown while it runs"
    )
    log = airflow.log(failed, "waits")
    # With its colon: a time may have these digits, too.
    assert "Live: " in log and ":8793" not in log
    assert all(alive(pid) for three in pids.values() for pid in three)
    airflow.mark(failed, "waits", "failed")
    airflow.mark(done, "waits", "success")
    airflow.clear(again, "waits")
    for three in pids.values():
        are_gone(three)
    airflow.ends(failed, "failed")
    airflow.ends(done)
    airflow.ends(again)
    assert airflow.tasks(again)["waits"]["try_number"] == 2
    assert airflow.tasks(done)["waits"]["try_number"] == 1
    said = airflow.said()
    for run in pids:
        assert said.count(f"on_kill {run.rsplit('/', 1)[1]}") == 1, (run, said)


def test_a_timeout_ends_a_task_with_its_tree(airflow: Airflow) -> None:
    run = airflow.trigger("timeouts")
    pids = pids_of(airflow, run)
    airflow.ends(run, "failed")
    are_gone(pids)
    for task in ("shell", "python"):
        assert airflow.tasks(run)[task]["state"] == "failed"
        assert "AirflowTaskTimeout" in airflow.log(run, task)


def test_teardown_runs_after_a_task_that_failed_or_was_killed_on_its_host(airflow: Airflow) -> None:
    run = airflow.trigger("teardown")
    airflow.ends(run, "failed")
    states = {name: ti["state"] for name, ti in airflow.tasks(run).items()}
    assert states == {
        "raises": "failed", "killed": "failed",
        "make_raises": "success", "make_killed": "success",
        "remove_raises": "success", "remove_killed": "success",
    }  # fmt: skip
    said = [line for line in airflow.said() if line.endswith(run.rsplit("/", 1)[1])]
    for name in ("raises", "killed"):
        assert [line.split()[0] for line in said if name in line] == ["made", "removed"]
    events = airflow.get("/eventLogs", limit="50", dag_id="teardown", task_id="killed")[
        "event_logs"
    ]
    told = [event["extra"] for event in events if event["event"] == "remote: failed"]
    assert len(told) == 1 and "signal" in told[0], events
