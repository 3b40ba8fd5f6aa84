"""`remote_server.relay_settings`: where requests of jobs may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_server.config import load
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
