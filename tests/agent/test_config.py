"""Layers, origins and faults of the agent's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.config import as_document, env_names, load, parse_capacity, parse_labels
from remote_agent.errors import ConfigError


def test_defaults_hold_where_nothing_is_said(tmp_path: Path) -> None:
    config, origins = load(None, {}, None, tmp_path)
    assert config.agent.on_stop == "leave"
    assert config.logs.segments == 10
    assert config.state_dir == tmp_path
    assert not any(section == "agent" for section, *_ in origins)


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[agent]\nname = "file"\ncapacity = 2\non_stop = "drain"\n')
    environ = {"REMOTE_AGENT_NAME": "env", "REMOTE_AGENT_CAPACITY": "3"}
    config, origins = load(file, environ, {("agent", "name"): "flag"}, tmp_path)
    assert (config.agent.name, config.agent.capacity) == ("flag", {"default": 3})
    assert config.agent.on_stop == "drain"
    assert origins["agent", "name"] == "--name"
    assert origins["agent", "capacity"] == "REMOTE_AGENT_CAPACITY"
    assert origins["agent", "on_stop"] == f"{file}:4"


def test_everything_can_be_set_by_the_environment_alone(tmp_path: Path) -> None:
    environ = {
        "REMOTE_AGENT_SERVER": "http://h:1",
        "REMOTE_AGENT_QUEUES": "a,b",
        "REMOTE_AGENT_LABELS": "gpu=true,zone=b",
        "REMOTE_AGENT_CAPACITY": "default=4,monitors=10",
        "REMOTE_AGENT_LOGS_SEGMENT_SIZE": "1MB",
        "REMOTE_AGENT_STATE_DIR": str(tmp_path),
    }
    config, _ = load(None, environ)
    assert config.server.url == "http://h:1"
    assert config.agent.settings.queues == ["a", "b"]
    assert config.agent.settings.labels == {"gpu": "true", "zone": "b"}
    assert config.agent.settings.capacity == {"default": 4, "monitors": 10}
    assert config.logs.segment_size == 1_000_000
    assert config.state_dir == tmp_path


def test_every_fault_is_named_at_once_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        '[agent]\nname = "bad name"\nqueus = ["a"]\n\n[logs]\nsegments = 0\n[lmits]\nx = 1\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(file, {"REMOTE_AGENT_ON_STOP": "explode"}, None, tmp_path)
    faults = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 5
    assert f"{file}:2" in faults
    assert f"{file}:3" in faults and "did you mean queues?" in faults
    assert f"{file}:6" in faults
    assert f"{file}:7" in faults and "did you mean limits?" in faults
    assert "REMOTE_AGENT_ON_STOP" in faults


@pytest.mark.parametrize("text", ['[agent\nname="x"', "name = ", '[agent]\nname = "a"\nname = "b"'])
def test_bad_toml_names_its_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"agent\.toml:\d+: not valid TOML"):
        load(file, {}, None, tmp_path)


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.toml", {}, None, tmp_path)


def test_the_state_directory_is_no_key_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('state_dir = "/x"\n')
    with pytest.raises(ConfigError, match="--state-dir"):
        load(file, {}, None, tmp_path)


def test_labels_and_capacity_in_text() -> None:
    assert parse_labels("a=1, b=") == {"a": "1", "b": ""}
    assert parse_capacity("8") == parse_capacity(8) == {"default": 8}
    assert parse_capacity({"default": 1}) == {"default": 1}
    with pytest.raises(ValueError, match="KEY=VALUE"):
        parse_labels("a")


def test_a_proxys_password_is_hidden(tmp_path: Path) -> None:
    config, _ = load(None, {"REMOTE_AGENT_PROXY": "http://u:secret@p:3128"}, None, tmp_path)
    assert "secret" not in str(as_document(config))
    assert as_document(config)["server"]["proxy"] == "http://***@p:3128"


def test_every_key_has_a_variable() -> None:
    assert env_names("logs", "retention") == ("REMOTE_AGENT_LOGS_RETENTION",)
    assert env_names("server", "url")[0] == "REMOTE_AGENT_SERVER"
