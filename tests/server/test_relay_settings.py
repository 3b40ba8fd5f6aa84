"""`remote_server.relay_settings`: where requests of jobs may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_server.config import load, unknown_variables
from tests.server.test_config import faults, written


def test_relays_have_names(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        '[relay.airflow]\nurl = "https://a.example:8080/base/"\nprefix = "/execution/"\n'
        'queues = ["berlin", "oslo"]\n[relay.other]\nurl = "http://b"\nqueues = ["default"]\n',
    )
    found = load(file, {}).relay
    assert found["airflow"].url == "https://a.example:8080/base"
    assert found["airflow"].queues == ("berlin", "oslo")
    assert (found["other"].prefix, found["other"].ca_file) == ("/", None)
    assert load(None, {}).relay == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[relay.a]\nurl = "http://b"\n', ["[relay] a.queues", "required"]),
        ('[relay.a]\nurl = "http://b"\nqueues = []\n', ["[relay] a.queues", "empty"]),
        ('[relay.a]\nurl = "b"\nqueues = ["q"]\n', ["[relay] a.url", "https://"]),
        ('[relay.a]\nurl = "http://u:hush@b"\nqueues = ["q"]\n', ["a user or a password"]),
        ('[relay.a]\nurl = "http://b?c"\nqueues = ["q"]\n', ["has a query"]),
        ('[relay.a]\nurl = "http://b/../c"\nqueues = ["q"]\n', [". or .."]),
        ('[relay.a]\nurl = "http://b"\nprefix = "/c"\nqueues = ["q"]\n', ["a slash at both ends"]),
        ('[relay.a]\nurl = "http://b"\nprefix = "/../"\nqueues = ["q"]\n', [". or .."]),
        ('[relay.a]\nurl = "http://b"\nprefxi = "/c/"\nqueues = ["q"]\n', ["did you mean prefix?"]),
        ('[relay]\nurl = "http://b"\n', ["[relay]", "write [relay.url] on a line of its own"]),
        ('[relay."a b"]\nurl = "http://b"\nqueues = ["q"]\n', ["server.toml:1"]),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, words: list[str]) -> None:
    said = faults(written(tmp_path, text))
    assert all(word in said for word in words), said
    assert "hush" not in said


def test_variables_say_the_same_and_win(tmp_path: Path) -> None:
    file = written(tmp_path, '[relay.air-flow]\nurl = "http://a"\nprefix = "/p/"\nqueues = ["q"]\n')
    found = load(
        file,
        {
            "REMOTE_SERVER_RELAY_AIR_FLOW_URL": "https://b",
            "REMOTE_SERVER_RELAY_AIR_FLOW_QUEUES": "berlin, oslo",
            "REMOTE_SERVER_RELAY_AIR_FLOW_PREFIX": "",
            "REMOTE_SERVER_RELAY_INDEX_2_URL": "http://c",
            "REMOTE_SERVER_RELAY_INDEX_2_QUEUES": "default",
            "REMOTE_SERVER_RELAY_INDEX_2_CA_FILE": "/etc/ca.pem",
        },
    ).relay
    assert found["air-flow"].url == "https://b" and found["air-flow"].prefix == "/p/"
    assert found["air-flow"].queues == ("berlin", "oslo")
    assert found["index_2"].ca_file == Path("/etc/ca.pem")
    assert load(None, {"REMOTE_SERVER_RELAY_A_URL": ""}).relay == {}


def test_faults_of_variables_are_named(tmp_path: Path) -> None:
    said = faults(env={"REMOTE_SERVER_RELAY_API_URL": "http://u:hush@b"})
    assert "REMOTE_SERVER_RELAY_API_URL: [relay] api.url: " in said and "hush" not in said
    assert "REMOTE_SERVER_RELAY_API_URL: [relay] api.queues: " in said
    both = "".join(f'[relay.a{x}b]\nurl = "http://a"\nqueues = ["q"]\n' for x in "-_")
    said = faults(written(tmp_path, both), {"REMOTE_SERVER_RELAY_A_B_URL": "http://c"})
    assert said.startswith("REMOTE_SERVER_RELAY_A_B_URL: it may mean the relays a-b and a_b")


def test_a_misspelt_variable_is_told() -> None:
    env = {"REMOTE_SERVER_RELAY_API_URL": "http://a", "REMOTE_SERVER_RELAY_API_QUEUE": "q"}
    (said,) = unknown_variables(env, [])
    assert said.endswith("did you mean REMOTE_SERVER_RELAY_API_QUEUES?")
