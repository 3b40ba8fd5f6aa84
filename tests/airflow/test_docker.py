"""DockerOperator on an agent, with a real container engine on its host."""

from __future__ import annotations

from tests.airflow.deployment import Airflow
from tests.support.stack import until


def test_a_container_gets_its_command_and_hands_on_what_it_says(airflow: Airflow) -> None:
    run = airflow.trigger("docker")
    airflow.ends(run)
    assert "this is a-container" in airflow.log(run, "inside")
    assert "for everybody" in airflow.log(run, "shows")
    assert airflow.containers() == []


def test_a_container_ends_with_its_task(airflow: Airflow) -> None:
    run = airflow.trigger("docker_long")
    airflow.waits(airflow.containers, "it runs")
    airflow.waits(lambda: "begins" in airflow.log(run, "waits"), "its log is shown while it runs")
    airflow.mark(run, "waits", "failed")
    until(lambda: airflow.containers() == [], "it is gone", 60)
    airflow.ends(run, "failed")
