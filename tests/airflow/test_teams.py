"""Two teams in a whole Airflow: whose agent runs a task, by whose token, what it reaches, and what
the end of one team's server does to the other."""

from __future__ import annotations

import json
from functools import partial

from tests.airflow.deployment import Airflow
from tests.airflow.teams import TEAMS, Teams


def test_each_team_has_its_own_server_and_what_one_loses_the_other_keeps(
    airflow: Airflow, teams: Teams
) -> None:
    teams.agents()
    teams.have_connections(airflow)
    runs = {team: airflow.trigger(f"of_{team}") for team in TEAMS}

    def live(team: str) -> bool:
        if airflow.tasks(runs[team])["named"]["state"] != "running":
            return False
        log = airflow.log(runs[team], "named")
        return f"of {team}" in log and f"Live: {teams.stacks[team].url}/jobs/" in log

    for team in TEAMS:
        airflow.waits(partial(live, team), f"the log of {team} is shown live")

    # A task of red runs on while its server is away; blue's next task is dispatched meanwhile.
    red = teams.stacks["red"]
    red.server.kill()
    assert "The log cannot be read from the remote-server now" in airflow.log(runs["red"], "named")
    for team in TEAMS:
        (airflow.said_folder / f"open-{team}").touch()
    airflow.ends(runs["blue"])
    assert airflow.parts["scheduler"].running
    red.start_server()
    airflow.ends(runs["red"])

    for team, other in (TEAMS, TEAMS[::-1]):
        stack, run = teams.stacks[team], runs[team]
        assert {ti["try_number"] for ti in airflow.tasks(run).values()} == {1}
        jobs = stack.client.jobs().items
        assert sorted(str(job.name) for job in jobs) == [f"of_{team}.named", f"of_{team}.reaches"]
        for job in jobs:
            assert (job.queue, job.agent) == ("site", f"host-of-{team}")
            assert job.submitted_by is not None and job.submitted_by.name == f"airflow-{team}"
        log = airflow.log(run, "named")
        assert f"of {team}" in log and f"Remote: {stack.url}/jobs/" in log
        found = airflow.get(f"{run}/taskInstances/reaches/xcomEntries/return_value")["value"]
        if isinstance(found, str):
            found = json.loads(found)
        assert found == {team: f"{team}.example", other: "none", "settings": []}
        assert not airflow.stack.client.jobs(annotation=f"airflow.dag=of_{team}").items
