"""What an agent knows at its start: the configuration first, then what was said to `register`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from remote_agent import __version__
from remote_agent.app.bootstrap import endpoint_of, facts_of, job_group, settings_of
from remote_agent.config import Config
from remote_agent.connection.identity import Identity
from remote_agent.errors import ConfigError
from remote_agent.processes import boot_id, cgroup
from remote_agent.sections import ServerPart

IDENTITY = Identity("https://h:1", "web-7", "rat_x", settings={"capacity": {"default": 3}})


def config(tmp_path: Path, **parts: object) -> Config:
    return Config.model_validate({"state_dir": tmp_path, **parts})


def test_the_configuration_comes_before_what_was_registered(tmp_path: Path) -> None:
    assert settings_of(config(tmp_path), IDENTITY).capacity == {"default": 3}
    mine = config(tmp_path, agent={"capacity": {"default": 9}})
    assert settings_of(mine, IDENTITY).capacity == {"default": 9}


def test_the_facts_of_a_hello(tmp_path: Path) -> None:
    facts = facts_of(config(tmp_path), IDENTITY)
    assert (facts.agent_version, facts.boot_id) == (__version__, boot_id())
    assert facts.settings.capacity == {"default": 3}
    assert facts.platform.hostname and facts.platform.python
    assert facts_of(config(tmp_path), IDENTITY).installation == facts.installation != ""


def test_the_way_to_the_server(tmp_path: Path) -> None:
    there = endpoint_of(config(tmp_path), IDENTITY)
    assert (there.url, there.token, there.proxy, there.ca_file) == (
        "https://h:1",
        "rat_x",
        None,
        None,
    )
    moved = config(tmp_path, server={"url": "https://new:2/", "ca_file": tmp_path / "ca.pem"})
    there = endpoint_of(moved, IDENTITY)
    assert (there.url, there.ca_file) == ("https://new:2", str(tmp_path / "ca.pem"))


def test_no_group_without_a_delegated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job_group("off") is None
    monkeypatch.setattr(cgroup, "delegated", lambda folder: False)
    assert job_group("auto") is None
    assert job_group(str(tmp_path / "absent")) is None
    assert "the limits of jobs are watched instead" in capsys.readouterr().out


def test_plain_http_to_elsewhere_is_refused_unless_it_was_wanted(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "https://10.0.0.5"):
        endpoint_of(Config(state_dir=tmp_path), replace(IDENTITY, server=url))
    elsewhere = replace(IDENTITY, server="http://10.0.0.5:8750")
    with pytest.raises(ConfigError, match="is not encrypted"):
        endpoint_of(Config(state_dir=tmp_path), elsewhere)
    endpoint_of(Config(state_dir=tmp_path), replace(elsewhere, insecure=True))
    wanted = Config.model_validate({"state_dir": tmp_path, "server": {"insecure": True}})
    assert endpoint_of(wanted, elsewhere).url == "http://10.0.0.5:8750"


def test_the_longest_wait_between_two_tries_is_a_setting(tmp_path: Path) -> None:
    def longest(part: ServerPart) -> float:
        return endpoint_of(Config(state_dir=tmp_path, server=part), IDENTITY).max_wait

    assert longest(ServerPart()) == 60.0
    assert longest(ServerPart(max_reconnect_wait=5.0)) == 5.0
    for wrong in (0.0, 0.5, 3601.0):
        with pytest.raises(ValidationError):
            ServerPart(max_reconnect_wait=wrong)


def test_a_client_key_that_others_can_use_draws_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "a key.pem"
    key.touch()
    mine = config(tmp_path, server={"client_cert": tmp_path / "c.pem", "client_key": key})
    for mode, told in ((0o600, False), (0o640, False), (0o644, True), (0o660, True)):
        key.chmod(mode)
        endpoint_of(mine, IDENTITY)
        assert (f"chmod 600 '{key}'" in capsys.readouterr().out) is told
    key.unlink()
    endpoint_of(mine, IDENTITY)
