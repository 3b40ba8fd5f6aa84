"""Variables that users of DataHub's executor know, as settings of agent and server."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.config import load as load_agent
from remote_agent.errors import ConfigError
from remote_datahub import settings as module
from remote_datahub.settings import settings
from remote_server.config import load as load_server
from remote_server.s3_settings import S3Place
from tests.server.test_config import faults

ON = {"REMOTE_AGENT_COMPATIBLE_WITH": "datahub"}


@pytest.fixture(autouse=True)
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where secrets are mounted by default."""
    monkeypatch.setattr(module, "MOUNTED", tmp_path / "secrets")
    return tmp_path / "secrets"


def agent(tmp_path: Path, text: str = "", **environ: str):
    file = tmp_path / "agent.toml"
    file.write_text(text)
    return load_agent(file, {**ON, **environ}, state_dir=tmp_path)


def test_an_agent_takes_what_users_of_datahub_set(tmp_path: Path) -> None:
    found, origins = agent(
        tmp_path,
        DATAHUB_EXECUTOR_POOL_ID="production",
        DATAHUB_EXECUTOR_INGESTION_MAX_WORKERS="6",
        DATAHUB_EXECUTOR_MONITORS_MAX_WORKERS="12",
        DATAHUB_EXECUTOR_FILE_SECRET_BASEDIR="/run/mine",
        DATAHUB_EXECUTOR_FILE_SECRET_MAXLEN="1000",
        LOG_LEVEL="WARN",
    )
    assert found.agent.queues == ["production", "production-monitors"]
    assert found.agent.capacity == {"default": 6, "production-monitors": 12}
    assert (found.secrets.dir, found.secrets.max_size) == (Path("/run/mine"), 1000)
    assert found.log.level == "warning"
    assert origins["agent", "queues"] == "DATAHUB_EXECUTOR_POOL_ID"


def test_without_variables_it_is_what_they_are_used_to(tmp_path: Path, mounted: Path) -> None:
    mounted.mkdir()
    found, origins = agent(tmp_path)
    assert (found.agent.queues, found.agent.capacity) == (None, {"default": 4})
    assert found.secrets.env_allow == ["DATAHUB_GMS_URL", "DATAHUB_GMS_TOKEN"]
    assert found.secrets.dir == mounted
    assert found.telemetry.listen == "127.0.0.1:9087"
    assert str(found.telemetry.liveness_file) == "/tmp/worker_liveness_heartbeat"
    assert str(found.telemetry.readiness_file) == "/tmp/worker_readiness_heartbeat"
    assert origins["telemetry", "listen"] == "compatible_with = datahub"


def test_its_own_variables_go_before_and_its_file_before_what_is_usual(tmp_path: Path) -> None:
    text = '[agent]\ncapacity = 2\nqueues = ["file"]\n[telemetry]\nlisten = "127.0.0.1:1"\n'
    found, _ = agent(tmp_path, text, DATAHUB_EXECUTOR_POOL_ID="pool", REMOTE_AGENT_QUEUES="mine")
    assert found.agent.queues == ["mine"]
    assert found.agent.capacity == {"default": 2}
    assert found.telemetry.listen == "127.0.0.1:1"
    found, _ = agent(tmp_path, text, DATAHUB_EXECUTOR_POOL_ID="pool")
    assert found.agent.queues == ["pool"]


def test_nothing_of_it_counts_unless_it_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("")
    environ = {"DATAHUB_EXECUTOR_POOL_ID": "pool", "LOG_LEVEL": "DEBUG"}
    found, _ = load_agent(file, environ, state_dir=tmp_path)
    assert (found.agent.queues, found.log.level) == (None, "info")
    assert found.telemetry.listen is None
    assert load_server(None, {"DATAHUB_CLOUD_LOG_BUCKET": "logs"}).logs.copies is None


def test_a_wrong_value_is_named_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        agent(
            tmp_path,
            DATAHUB_EXECUTOR_INGESTION_MAX_WORKERS="many",
            DATAHUB_EXECUTOR_FILE_SECRET_MAXLEN="99999999",
            LOG_LEVEL="loud",
        )
    said = str(caught.value)
    for name in ("INGESTION_MAX_WORKERS: [agent] capacity", "SECRET_MAXLEN: [secrets] max_size"):
        assert f"DATAHUB_EXECUTOR_{name}" in said or f"DATAHUB_EXECUTOR_FILE_{name}" in said, said
    assert "LOG_LEVEL: [log] level" in said


def test_a_server_takes_where_logs_are_copied_to() -> None:
    environ = {
        "REMOTE_SERVER_COMPATIBLE_WITH": "datahub",
        "DATAHUB_CLOUD_LOG_BUCKET": "my-logs",
        "DATAHUB_CLOUD_LOG_PATH": "/executor/logs/",
        "LOG_LEVEL": "DEBUG",
    }
    found = load_server(None, environ)
    assert found.logs.copies == S3Place("my-logs", "executor/logs")
    assert found.server.log_level == "debug"
    assert load_server(None, {"REMOTE_SERVER_COMPATIBLE_WITH": "datahub"}).logs.copies is None
    said = faults(env={**environ, "DATAHUB_CLOUD_LOG_BUCKET": "My Logs"})
    assert "DATAHUB_CLOUD_LOG_BUCKET: [logs] copies: is not a place in a bucket" in said


@pytest.mark.parametrize(("given", "level"), [("TRACE", "debug"), ("critical", "error")])
def test_levels_by_their_other_names(given: str, level: str) -> None:
    (found,) = settings("server", {"LOG_LEVEL": given})
    assert (found.key, found.value) == ("log_level", level)


def test_an_extension_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no extension nothing here; install remote-n"):
        agent(tmp_path, REMOTE_AGENT_COMPATIBLE_WITH="nothing")
    said = faults(env={"REMOTE_SERVER_COMPATIBLE_WITH": "nothing"})
    assert "[server] compatible_with: there is no extension nothing" in said
