"""DAGs that go with their tasks: an agent's host knows nothing of the bundle."""

from __future__ import annotations

from pathlib import Path

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
    kept = airflow.root / "agent-home" / "remote-bundles"
    places = [Path(line.split()[1]).parent for line in lines]
    assert [place.parent for place in places] == [kept, kept] and places[0] != places[1]
    assert (places[0] / "shared" / "script.sh").stat().st_mode & 0o777 == 0o555
    client = airflow.stack.client
    jobs = client.jobs(limit=10, annotation="airflow.dag=pushed").items
    digests = [job.files[0].digest for job in (client.job(one.id) for one in jobs)]
    assert len(digests) == 4 and len(set(digests)) == 2, "each of both is one content"
    told = [entry.detail for entry in client.timeline(jobs[0].id)]
    assert any("forked from a warm interpreter" in detail for detail in told), told


def test_tasks_of_a_run_keep_the_version_that_it_began_with(airflow: Airflow) -> None:
    """A folder with versions, and git both ways: fetched by the task's host, and pushed."""
    bundles = ("versioned", "git_fetched", "git_pushed")

    def said(name: str) -> list[str]:
        """Task and version of each task that has begun."""
        file = airflow.said_folder / f"{name}-says"
        return [line.rpartition(" ")[0] for line in places(name)] if file.exists() else []

    def places(name: str) -> list[str]:
        return (airflow.said_folder / f"{name}-says").read_text().splitlines()

    def newest(name: str) -> str:
        return str(airflow.get(f"/dags/{name}")["bundle_version"])

    airflow.waits(lambda: set(bundles) <= airflow.dags(), "the DAGs are known")
    assert newest("git_pushed") == newest("git_fetched") == airflow.commits["v1"]
    runs = [airflow.trigger(name) for name in bundles]
    first = {name: ["first v1"] for name in bundles}
    airflow.waits(lambda: {name: said(name) for name in bundles} == first, "first tasks run")
    airflow.release("v2")
    for name in ("git_fetched", "git_pushed"):
        airflow.read_again(name)
    wanted = {"versioned": "v2", **dict.fromkeys(bundles[1:], airflow.commits["v2"])}
    airflow.waits(lambda: {n: newest(n) for n in bundles} == wanted, "second versions are seen")
    (airflow.said_folder / "go-on").touch()
    for run in runs:
        airflow.ends(run)
    for run in [airflow.trigger(name) for name in bundles]:
        airflow.ends(run)
    for name in bundles:
        assert said(name) == ["first v1", "second v1", "first v2", "second v2"], name
    # The host has fetched the one, by the connection that Airflow has, and never the other.
    for line, version in zip(places("git_fetched"), ("v1", "v1", "v2", "v2"), strict=True):
        folder = airflow.host_bundles / "git_fetched" / "versions" / airflow.commits[version]
        assert line.endswith(f" {folder}/git_fetched/git_fetched.py")
    kept = str(airflow.root / "agent-home" / "remote-bundles")
    pushed = [line.split()[-1] for line in places("git_pushed")]
    assert all(path.startswith(kept) for path in pushed), pushed
    assert pushed[0] == pushed[1] != pushed[2] == pushed[3], "one folder for each commit"
    assert not (airflow.host_bundles / "git_pushed").exists()
