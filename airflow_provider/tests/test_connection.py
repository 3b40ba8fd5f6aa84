"""A connection of Airflow in place of url and token, its button Test, `airflow remote check`."""

from __future__ import annotations

import json
from argparse import Namespace
from importlib import metadata
from typing import Any

import pytest

from .conftest import FakeServer

ENVIRONMENT = "AIRFLOW_CONN_FLEET"
NOBODYS = Namespace(team=None)


@pytest.fixture
def connected(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings that name the connection `fleet`, which can be changed."""
    monkeypatch.delenv("AIRFLOW__REMOTE__URL")
    monkeypatch.delenv("AIRFLOW__REMOTE__TOKEN")
    monkeypatch.setenv("AIRFLOW__REMOTE__CONN_ID", "fleet")
    fields = {
        "conn_type": "remote_agent",
        "host": server.url,
        "password": "rpt_of_connection",
        "extra": {"page_url": "https://people.example.com/"},
    }
    monkeypatch.setenv(ENVIRONMENT, json.dumps(fields))
    return fields


def load() -> Any:
    from airflow.configuration import conf

    from remote_airflow import settings

    return settings.load(conf)


@pytest.mark.usefixtures("connected")
def test_url_and_token_come_from_it(server: FakeServer) -> None:
    found = load()
    assert (found.url, found.bearer()) == (server.url, "rpt_of_connection")
    assert found.page_url == "https://people.example.com"


@pytest.mark.usefixtures("connected")
def test_what_the_section_says_itself_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REMOTE__URL", "https://jobs.internal")
    monkeypatch.setenv("AIRFLOW__REMOTE__TOKEN", "rpt_own")
    found = load()
    assert (found.url, found.bearer()) == ("https://jobs.internal", "rpt_own")


def test_a_connection_that_is_not_there_is_said(
    connected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from remote_airflow.settings import SettingsError

    def said(**changes: Any) -> str:
        monkeypatch.setenv(ENVIRONMENT, json.dumps(connected | changes))
        with pytest.raises(SettingsError) as caught:
            load()
        return str(caught.value)

    assert said(host="").startswith("connection 'fleet' names no server: its host is the URL")
    assert said(password="").startswith("connection 'fleet' has no token: make one with")
    monkeypatch.delenv(ENVIRONMENT)
    monkeypatch.setattr("airflow.models.connection.ensure_secrets_loaded", list, raising=False)
    with pytest.raises(SettingsError, match="Airflow has no connection 'fleet'; make one of"):
        load()


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://jobs.example.com/"}, "https://jobs.example.com"),
        ({"host": "jobs.example.com"}, "https://jobs.example.com"),
        ({"host": "jobs.example.com", "port": 8443}, "https://jobs.example.com:8443"),
        ({"host": "10.0.0.1", "schema": "http", "port": 8750}, "http://10.0.0.1:8750"),
    ],
)
def test_a_host_may_be_a_url_or_a_name(fields: dict[str, Any], url: str) -> None:
    from airflow.models.connection import Connection

    from remote_airflow.connection import given_by

    given = Connection(conn_id="fleet", conn_type="remote_agent", password="rpt_x", **fields)
    assert given_by("fleet", given).url == url


def test_the_button_test_asks_for_all_that_tasks_need(server: FakeServer) -> None:
    from airflow.models.connection import Connection

    def pressed(**fields: Any) -> tuple[bool, str]:
        given = {"host": server.url, "password": "rpt_x", **fields}
        connection = Connection(conn_id="fleet", conn_type="remote_agent", **given)
        with pytest.MonkeyPatch.context() as patch:
            # As the api-server does it for what stands in the form.
            patch.setenv(ENVIRONMENT, connection.get_uri())
            return connection.test_connection()

    assert pressed() == (
        True,
        "remote-server 0.1.0, token airflow (operator); 1 agent is online",
    )
    server.role = "viewer"
    good, said = pressed()
    assert not good and "the token may only look; make one with: remotectl" in said
    server.role = "operator"
    server.agents = [{"name": "a", "state": "offline"}]
    assert pressed() == (
        False,
        "remote-server 0.1.0, token airflow (operator); no agent is online, so that tasks would "
        "wait; see: remotectl agent list",
    )
    assert pressed(password="")[1].startswith("connection 'fleet' has no token")
    server.away = True
    assert pressed()[1].startswith("the server answered 503")
    assert not pressed(host="http://127.0.0.1:9")[0]


@pytest.mark.usefixtures("connected")
def test_the_command_says_the_same(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from remote_airflow.cli import agents, check

    # Airflow has a warning of its own for types with an underscore.
    check(NOBODYS)
    assert capsys.readouterr().out.endswith(
        "remote-server 0.1.0, token airflow (operator)\n1 agent is online\n"
        "tasks reach the Execution API at http://localhost:8080/execution/, which is the host that "
        "each of them runs on: where Airflow is elsewhere, set [remote] execution_api_url, or "
        "relay\n"
    )
    server.agents.append({"name": "b", "state": "online", "version": "0.0.9"})
    server.queues.append({"name": "lonely"})
    monkeypatch.setenv("AIRFLOW__REMOTE__RELAY", "airflow")
    monkeypatch.setattr(metadata, "version", lambda _: "0.2.0")
    check(NOBODYS)
    assert capsys.readouterr().out.endswith(
        "\nthis provider is 0.2.0: have the provider of the server's version, and the server "
        "updated first\n"
        "another version than the server's have the agents b; see: remotectl agent list\n"
        "no agent that is online serves the queues lonely: their tasks would wait\n"
        "2 agents are online\n"
        "tasks reach the Execution API by the relay 'airflow'\n"
    )
    server.role = "viewer"
    with pytest.raises(SystemExit, match="airflow remote: the token may only look"):
        check(NOBODYS)
    server.agents = [
        {"name": name, "state": "online", "running": 1, "capacity": capacity, "queues": ["q", "r"]}
        for name, capacity in (("a", {"default": 8.0}), ("b", {"default": 8.0, "gpu": 1.5}))
    ]
    agents(NOBODYS)
    assert capsys.readouterr().out.endswith(
        "a\tonline\t1/8\tq,r\nb\tonline\t1/default=8,gpu=1.5\tq,r\n"
    )


def test_airflow_knows_the_type_and_its_form() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    hook = manager.hooks["remote_agent"]
    assert hook is not None
    assert hook.hook_class_name == "remote_airflow.hook.RemoteHook"
    assert hook.connection_testable
    behaviour = manager.field_behaviours["remote_agent"]
    assert behaviour["relabeling"] == {"host": "URL of the server", "password": "API token"}
