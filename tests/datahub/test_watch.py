"""Lines and metrics that users of DataHub's executor look for, on an agent that is driven."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from structlog.testing import capture_logs

from remote_agent.app.bootstrap import watch_of
from remote_agent.app.figures import metrics_text
from remote_agent.session.events import AttemptEnded, AttemptStarted
from remote_datahub.spec import DatahubSpec
from remote_datahub.watch import Watch
from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason
from tests.support.driven import Driven, an_end

SPEC = DatahubSpec(recipe="{}", name="my source", task="RUN_INGEST")


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    found = Driven(tmp_path)
    found.driver.watch = watch_of("datahub")
    return found


def figures(driven: Driven) -> dict[str, float]:
    return {
        sample.name.removeprefix("datahub_executor_worker_"): sample.value
        for family in parse(metrics_text(driven.driver))
        for sample in family.samples
        if sample.name.startswith("datahub_")
    }


def run(driven: Driven, spec: DatahubSpec | CommandSpec = SPEC) -> AttemptId:
    key: AttemptId = driven.take(spec=spec)
    driven.driver.handle(AttemptStarted(key, 7, 1.0))
    return key


def end(driven: Driven, key: AttemptId, **fields: object) -> None:
    ended = an_end(key).model_copy(update=fields)
    driven.driver.handle(AttemptEnded(key, ended))


def test_what_users_look_for_after_an_installation_is_said_once(tmp_path: Path) -> None:
    with capture_logs() as said:
        driven = Driven(tmp_path)
        driven.driver.watch = watch_of("datahub")
        driven.welcome()
        driven.driver.link_closed("gone")
        driven.welcome()
    lines = [line["event"] for line in said]
    assert lines.count("Starting datahub executor worker") == 1
    assert lines.count("datahub executor worker initialization finished") == 1
    assert "Executor pool: default" in lines


def test_an_ingestion_is_told_and_counted(driven: Driven) -> None:
    driven.welcome()
    with capture_logs() as said:
        keys = [run(driven) for _ in range(3)]
        assert figures(driven)["active_threads"] == 3
        end(driven, keys[0], exit_code=0)
        end(driven, keys[1], exit_code=1)
        end(driven, keys[2], exit_code=None, end_reason=EndReason.CANCELLED)
    lines = [line["event"] for line in said]
    assert lines.count("Received task: RUN_INGEST") == 3
    assert "Starting ingestion for source: my source" in lines
    assert lines[-3:] == [
        "Ingestion completed successfully",
        "Ingestion failed",
        "Ingestion cancelled",
    ]
    assert figures(driven) == {
        "ingestion_requests_total": 3,
        "ingestion_errors_total": 1,
        "active_threads": 0,
        "ingestion_visibility_timeout_total": 0,
    }


def test_one_that_expired(driven: Driven) -> None:
    driven.welcome()
    key = run(driven)
    with capture_logs() as said:
        end(driven, key, exit_code=None, end_reason=EndReason.EXPIRED)
    assert [line["event"] for line in said][-1] == (
        "ExecutionRequest dropped due to exceeded SQS visibility timeout"
    )
    found = figures(driven)
    assert (found["ingestion_visibility_timeout_total"], found["ingestion_errors_total"]) == (1, 0)


def test_other_jobs_do_not_count(driven: Driven) -> None:
    driven.welcome()
    key = run(driven, CommandSpec(command=["true"]))
    end(driven, key, exit_code=1)
    assert set(figures(driven).values()) == {0}


def test_an_extension_without_a_watch_and_none() -> None:
    assert watch_of("nothing") is None
    assert isinstance(watch_of("datahub"), Watch)
