"""The engine's client: what it has of the agent's environment, and how containers are called."""

from __future__ import annotations

from remote_agent.planning.engine import client_environ, container_name, key_of


def test_a_client_gets_what_tells_it_where_its_engine_is() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/root",
        "DOCKER_HOST": "unix:///x",
        "XDG_RUNTIME_DIR": "/run/user/1",
        "REMOTE_AGENT_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    assert client_environ(environ) == {
        "PATH": "/bin",
        "HOME": "/root",
        "DOCKER_HOST": "unix:///x",
        "XDG_RUNTIME_DIR": "/run/user/1",
    }


def test_a_name_is_an_attempts_own() -> None:
    assert container_name("01ABC.1") == "remote-01ABC-1" != container_name("01ABC.11")
    assert key_of("remote-01ABC-11") == key_of("remote-01ABC-11-files") == "01ABC.11"
