"""The job of a task: fields, options, what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from remote_airflow.job import ConfigError, job_of, pushed_bundle
from remote_airflow.settings import Settings, SettingsError, load

from .conftest import known as known_to_airflow
from .conftest import workload


@pytest.fixture
def known() -> Settings:
    from airflow.configuration import conf

    return load(conf)


def test_options_of_a_task_are_fields_of_its_job(known: Settings) -> None:
    options = {
        "labels": {"gpu": "a100"},
        "memory": "2GiB",
        "weight": 0.5,
        "env": {"A": 1},
        "venv": "ml",
        "on_disconnect": {"lost_after": "5m"},
        "secrets": ["DB_PASSWORD"],
    }
    work = workload("t", priority_weight=-4000, executor_config={"remote": options})
    job = job_of(work, "d1", known)
    assert (job["kind"], job["environment"]) == ("python", "ml")
    assert set(job["preload_env"]) < set(job["env"]) and "A" not in job["preload_env"]
    assert (job["labels"], job["memory_limit"], job["weight"]) == ({"gpu": "a100"}, "2GiB", 0.5)
    assert job["env"]["A"] == "1" and job["env"]["AIRFLOW__CORE__EXECUTOR"] == known.executor
    assert (job["on_disconnect"], job["secrets"]) == ({"lost_after": "5m"}, ["DB_PASSWORD"])
    assert (job["priority"], job["idempotency_key"]) == (-1000, "d1")
    assert not re.search(r"eyJ\w", str(job["script"]) + str(job["env"]))


def test_tasks_wait_for_an_api_and_not_for_what_they_left_behind(known: Settings) -> None:
    env = job_of(workload(), "d1", known)["env"]
    assert [name for name in env if not known_to_airflow(name)] == []
    retries, pause = (
        float(env[f"AIRFLOW__WORKERS__EXECUTION_API_{name}"])
        for name in ("RETRIES", "RETRY_WAIT_MAX")
    )
    # The pauses are of any length up to the longest.
    assert retries * pause / 2 > 1800 and pause <= 10
    assert float(env["AIRFLOW__WORKERS__SOCKET_CLEANUP_TIMEOUT"]) <= 5
    own = known._replace(env={"AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "7"})
    assert job_of(workload(), "d1", own)["env"]["AIRFLOW__WORKERS__EXECUTION_API_RETRIES"] == "7"


def test_a_relay_is_asked_for_and_its_address_is_put_in_by_the_agent(known: Settings) -> None:
    api = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
    relayed = known._replace(relay="airflow")
    job = job_of(workload("t"), "d1", relayed)
    assert (job["relay"], job["env"][api]) == ("airflow", "${REMOTE_RELAY_URL}execution/")
    # It differs from task to task: no interpreter may be made with it.
    assert set(job["preload_env"]) == set(job["env"]) - {api}
    by_path = workload("t", executor_config={"remote": {"venv": "/opt/ml"}})
    job = job_of(by_path, "d1", relayed)
    assert (job["relay"], job["env"][api]) == ("airflow", "${REMOTE_RELAY_URL}execution/")
    # A container with a network of its own goes there by itself.
    contained = workload("t", executor_config={"remote": {"container": {"image": "a"}}})
    job = job_of(contained, "d1", relayed)
    assert "relay" not in job and job["env"][api] == known.execution_api_url
    own = {"image": "a", "network": "host"}
    contained = workload("t", executor_config={"remote": {"container": own}})
    job = job_of(contained, "d1", relayed)
    assert (job["kind"], job["relay"], job["network"]) == ("container", "airflow", "host")
    assert job["env"][api] == "${REMOTE_RELAY_URL}execution/"
    job = job_of(workload("t"), "d1", known)
    assert "relay" not in job and api in job["preload_env"]


def test_secrets_of_all_tasks_and_proxies_are_read_when_a_task_begins(known: Settings) -> None:
    own = {
        "HTTPS_PROXY": "http://me:${PROXY_PASSWORD}@proxy:3128",
        "A": "b",
        "C": "${PROXY_PASSWORD}",
    }
    settings = known._replace(env=own, secrets=("PROXY_PASSWORD",))
    job = job_of(workload("t"), "d1", settings)
    assert job["secrets"] == ["PROXY_PASSWORD"] and job["env"]["HTTPS_PROXY"] == own["HTTPS_PROXY"]
    assert set(job["env"]) - set(job["preload_env"]) == {"HTTPS_PROXY", "C"}
    options = {"secrets": ["DB", "PROXY_PASSWORD"]}
    job = job_of(workload("t", executor_config={"remote": options}), "d1", settings)
    assert job["secrets"] == ["PROXY_PASSWORD", "DB"]
    contained = {"container": {"image": "a"}}
    job = job_of(workload("t", executor_config={"remote": contained}), "d1", settings)
    assert job["secrets"] == ["PROXY_PASSWORD"]


def test_only_a_task_with_a_proxy_has_the_part_for_it(known: Settings) -> None:
    part = "def explains_proxies("
    assert part not in job_of(workload("t"), "d1", known)["script"]
    for settings in (
        known._replace(env={"https_proxy": "http://p"}),
        known._replace(secrets=("HTTPS_PROXY",)),
    ):
        script = job_of(workload("t"), "d1", settings)["script"]
        assert script.index(part) < script.index("def main(")
    for options in ({"env": {"ALL_PROXY": "http://p"}}, {"secrets": ["HTTPS_PROXY"]}):
        work = workload("t", executor_config={"remote": options})
        assert part in job_of(work, "d1", known)["script"]


def test_an_environment_may_be_a_path(known: Settings) -> None:
    work = workload("t", executor_config={"remote": {"venv": "/opt/ml/"}})
    job = job_of(work, "d1", known)
    assert job["command"][:2] == ["/opt/ml/bin/python", "-c"] and "kind" not in job


def test_a_container_runs_the_same_program(known: Settings) -> None:
    given = {"image": "apache/airflow:3.3.2", "pull": "never", "python": "/usr/bin/python3"}
    work = workload("t", executor_config={"remote": {"container": given}})
    job = job_of(work, "d1", known)
    assert (job["kind"], job["image"], job["pull"]) == ("container", given["image"], "never")
    assert job["command"][:2] == ["/usr/bin/python3", "-c"] and "python" not in job
    assert given["python"], "what the DAG has given stays as it is"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("fast", "is no dictionary"),
        ({"colour": 1}, "unknown options: colour; known ones: labels, memory"),
        ({"env": ["A=1"]}, "['env'] is not a dictionary"),
        ({"container": "debian"}, "for example {'image'"),
        ({"venv": 3}, "is not the name or path"),
        ({"push": "no"}, "['push'] is not True or False"),
        ({"secrets": "A"}, "['secrets'] is not a list of names"),
    ],
)
def test_faults_are_named(known: Settings, options: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        job_of(workload("t", executor_config={"remote": options}), "d1", known)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("URL", "", "[remote] url is missing"),
        ("TOKEN", "", "remotectl token create --role operator"),
        ("ENV", "A=1", "[remote] env is not JSON"),
        ("ENV", "[]", "is not a JSON object"),
        ("RUNNING_LOG_LIMIT", "2MB", "running_log_limit is no number of bytes"),
        ("PUSH_LIMIT", "1GiB", "push_limit is no number of bytes"),
        ("PUSH_BUNDLES", "[dags", "push_bundles is not JSON"),
        ("SECRETS", "[A", "secrets is not JSON"),
    ],
)
def test_settings_that_are_wrong_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    from airflow.configuration import conf

    monkeypatch.setenv(f"AIRFLOW__REMOTE__{variable}", value)
    with pytest.raises(SettingsError) as refused:
        load(conf)
    assert words in str(refused.value)


def test_which_bundles_go_with_their_tasks(known: Settings) -> None:
    work = workload("t")
    assert pushed_bundle(work, known) is None, "none by default"
    settings = known._replace(push_bundles=frozenset({"dags-folder"}))
    assert pushed_bundle(work, settings) == ("dags-folder", None)
    assert "push" not in job_of(work, "d1", settings)
    aside = workload("t", executor_config={"remote": {"push": False}})
    assert pushed_bundle(aside, settings) is None and job_of(aside, "d1", settings)
    other = work.model_copy(
        update={"bundle_info": work.bundle_info.model_copy(update={"name": "git", "version": "v1"})}
    )
    assert pushed_bundle(other, settings) is None
    every = known._replace(push_bundles=frozenset({"*"}))
    assert pushed_bundle(other, every) == ("git", "v1")


def test_names_of_bundles(known: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.configuration import conf

    for given in ("dags-folder, team ", '["dags-folder", "team"]'):
        monkeypatch.setenv("AIRFLOW__REMOTE__PUSH_BUNDLES", given)
        assert load(conf).push_bundles == {"dags-folder", "team"}
    assert known.push_bundles == frozenset()
    assert (known.push_limit, known.push_ignore_file) == (64 << 20, ".remoteignore")


def test_a_token_is_read_again_from_its_file(known: Settings, tmp_path: Any) -> None:
    file = tmp_path / "token"
    settings = known._replace(token_file=str(file))
    with pytest.raises(SettingsError, match="cannot be read"):
        settings.bearer()
    for token in ("rpt_a", "rpt_b"):
        file.write_text(f"{token}\n")
        assert settings.bearer() == token
