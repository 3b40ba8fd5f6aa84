"""DAGs that go with their tasks: an agent's host knows nothing of the bundle."""

from __future__ import annotations

from tests.airflow.deployment import Airflow


def test_tasks_bring_their_dags_as_they_are_at_that_moment(airflow: Airflow) -> None:
    known = airflow.get
    airflow.waits(lambda: "pushed" in str(known("/dags", limit="100")["dags"]), "the DAG is known")
    for colour in ("red", "blue"):
        module = airflow.pushed / "shared" / "colours.py"
        module.write_text(f'COLOUR = "{colour}"\n')
        run = airflow.trigger("pushed")
        airflow.ends(run)
        assert {ti["try_number"] for ti in airflow.tasks(run).values()} == {1}
        assert "the script was pushed" in airflow.log(run, "script")
    lines = (airflow.said_folder / "pushed").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["red", "blue"]
    # Not from the folder of the scheduler, which is on the same disk here.
    assert all("/.airflow-bundle/pushed.py" in line for line in lines)
    assert str(airflow.pushed) not in str(lines)
    client = airflow.stack.client
    jobs = client.jobs(limit=10, annotation="airflow.dag=pushed").items
    digests = [job.files[0].digest for job in (client.job(one.id) for one in jobs)]
    assert len(digests) == 4 and len(set(digests)) == 2, "each of both is one content"
    told = [entry.detail for entry in client.timeline(jobs[0].id)]
    assert any("forked from a warm interpreter" in detail for detail in told), told
