"""An agent and a server that are set by variables of DataHub's executor alone. Real processes."""

from __future__ import annotations

from pathlib import Path

from remote_protocol.api.queues import QueueCreate
from tests.e2e.test_metrics import scraped
from tests.support.ports import free_port
from tests.support.stack import Stack, until


def test_an_agent_by_the_variables_of_datahubs_executor(stack: Stack, tmp_path: Path) -> None:
    port, secrets = free_port(), tmp_path / "mounted"
    secrets.mkdir()
    (secrets / "PASSWORD").write_text("from-a-file")
    stack.client.create_queue(QueueCreate(name="production"))
    stack.client.create_queue(QueueCreate(name="production-monitors"))
    agent = stack.agent(
        "a",
        capacity="default=3",
        REMOTE_AGENT_COMPATIBLE_WITH="datahub",
        # Other tests may use the usual port.
        REMOTE_AGENT_TELEMETRY_LISTEN=f"127.0.0.1:{port}",
        REMOTE_AGENT_LIVENESS_FILE=str(tmp_path / "live"),
        REMOTE_AGENT_READINESS_FILE=str(tmp_path / "ready"),
        DATAHUB_EXECUTOR_POOL_ID="production",
        DATAHUB_EXECUTOR_MONITORS_MAX_WORKERS="10",
        DATAHUB_EXECUTOR_FILE_SECRET_BASEDIR=str(secrets),
        DATAHUB_GMS_URL="https://acme.example/gms",
        LOG_LEVEL="DEBUG",
    )
    assert stack.client.agent("a").queues == ["production", "production-monitors"]
    for path in ("/metrics", "/telemetry"):
        found = scraped(f"http://127.0.0.1:{port}{path}")
        assert found["datahub_executor_worker_active_threads"] == 0
        assert found["datahub_executor_worker_ingestion_requests_total"] == 0
        assert found["remote_agent_connected"] == 1
    job = stack.run(
        'printf "%s %s" "$URL" "$PASSWORD"',
        queue="production",
        env={"URL": "${DATAHUB_GMS_URL}"},
        secrets=["DATAHUB_GMS_URL", "PASSWORD"],
    )
    assert job.exit_code == 0, job.end_detail
    # Both are secrets, so both are masked; their lengths were right.
    assert b"acme.example" not in stack.client.log(job.id)
    until(lambda: (tmp_path / "live").exists() and (tmp_path / "ready").exists(), "both files")
    for line in (
        "Starting datahub executor worker",
        "Executor pool: production",
        "datahub executor worker initialization finished",
    ):
        assert line in agent.words()


def test_an_extension_that_is_not_installed_is_told(stack: Stack) -> None:
    said = stack.register(
        "b", check=False, REMOTE_AGENT_COMPATIBLE_WITH="others", REMOTE_AGENT_QUEUE="default"
    )
    assert said.returncode == 2
    assert "there is no extension others here; install remote-others" in said.stderr
