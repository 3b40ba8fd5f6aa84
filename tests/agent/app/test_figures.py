"""The agent's metrics say what its session knows."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as parse

from remote_agent import __version__
from remote_agent.app.figures import metrics_text
from remote_agent.session.events import AttemptEnded, AttemptStarted, SpoolGrew
from remote_protocol.messages import Ack, DesiredMode
from tests.support.driven import Driven, an_end


def read(driven: Driven) -> dict[str, float]:
    found = {}
    for family in parse(metrics_text(driven.driver)):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[sample.name + (f"/{labels}" if labels else "")] = sample.value
    found.pop("process_cpu_seconds_total")
    return found


def test_before_the_first_link(tmp_path: Path) -> None:
    assert read(Driven(tmp_path)) == {
        f"remote_agent_info/{__version__}": 1,
        "remote_agent_jobs_running": 0,
        "remote_agent_capacity": 0,
        "remote_agent_connected": 0,
        "remote_agent_accepting": 1,
        "remote_agent_reconnects_total": 0,
        "remote_agent_spool_bytes": 0,
        "remote_agent_log_lag_bytes": 0,
    }


def test_jobs_logs_and_links_are_counted(tmp_path: Path) -> None:
    driven = Driven(tmp_path)
    driven.welcome()
    keys = [driven.take() for _ in range(3)]
    for key in keys:
        driven.driver.handle(AttemptStarted(key, 7, 1.0))
    driven.driver.handle(SpoolGrew(keys[0], 10))
    driven.driver.handle(SpoolGrew(keys[1], 70))
    driven.hear(Ack(attempt=keys[1], offset=20))
    driven.driver.handle(AttemptEnded(keys[2], an_end(keys[2])))
    found = read(driven)
    assert (found["remote_agent_jobs_running"], found["remote_agent_capacity"]) == (2, 5)
    assert found["remote_agent_jobs_total/exit"] == 1
    assert (found["remote_agent_spool_bytes"], found["remote_agent_log_lag_bytes"]) == (60, 50)
    assert (found["remote_agent_connected"], found["remote_agent_reconnects_total"]) == (1, 0)
    driven.driver.handle(AttemptEnded(keys[2], an_end(keys[2])))
    assert read(driven)["remote_agent_jobs_total/exit"] == 1, "one that is told again"
    driven.driver.link_closed("gone")
    assert read(driven)["remote_agent_connected"] == 0
    driven.welcome(DesiredMode(paused=True))
    found = read(driven)
    assert (found["remote_agent_accepting"], found["remote_agent_reconnects_total"]) == (0, 1)
