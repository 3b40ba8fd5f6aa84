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


def test_tasks_of_a_run_keep_the_version_that_it_began_with(airflow: Airflow) -> None:
    def said() -> list[str]:
        file = airflow.said_folder / "versions"
        return file.read_text().splitlines() if file.exists() else []

    def newest() -> str:
        return str(airflow.get("/dags/versioned")["bundle_version"])

    airflow.waits(lambda: "versioned" in str(airflow.get("/dags", limit="100")), "the DAG is known")
    run = airflow.trigger("versioned")
    airflow.waits(lambda: said() == ["first v1"], "its first task runs")
    airflow.release("v2")
    airflow.waits(lambda: newest() == "v2", "the dag-processor has seen the second version")
    (airflow.said_folder / "go-on").touch()
    airflow.ends(run)
    assert said() == ["first v1", "second v1"]
    airflow.ends(airflow.trigger("versioned"))
    assert said()[2:] == ["first v2", "second v2"]
