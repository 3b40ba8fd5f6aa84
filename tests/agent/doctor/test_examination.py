"""All checks together, on hosts without an agent and with one."""

from __future__ import annotations

from pathlib import Path

from remote_agent.config import Config
from remote_agent.connection.identity import Identity, save_identity
from remote_agent.doctor.examination import STATIC, examine_host
from remote_agent.doctor.settings import GivenToken
from remote_agent.errors import ConfigError
from remote_protocol.report import Status


def test_each_check_once_and_in_order(config: Config) -> None:
    findings, known = examine_host(lambda: config, GivenToken(), {})
    assert [one.check for one in findings] == [check.name for check in STATIC]
    assert known is not None and known.endpoint is None
    codes = {one.check: one.code for one in findings}
    assert codes["identity"] == "not_registered" and codes["agent"] == "not_registered"


def test_a_registered_host_without_an_agent(config: Config) -> None:
    save_identity(config.state_dir, Identity("https://h", "web-7", "rat_x"))
    findings, known = examine_host(lambda: config, GivenToken(), {})
    assert known is not None and known.endpoint is not None
    assert (known.endpoint.url, known.endpoint.token) == ("https://h", "rat_x")
    assert [one.code for one in findings if one.status is Status.FAIL] == ["agent_not_running"]


def test_without_a_configuration_nothing_else_is_looked_at(tmp_path: Path) -> None:
    def broken() -> Config:
        raise ConfigError("agent.toml:1: bad")

    findings, known = examine_host(broken, GivenToken(), {})
    assert known is None and findings[0].status is Status.FAIL
    assert {(one.status, one.code) for one in findings[1:]} == {
        (Status.SKIP, "earlier_check_failed")
    }
    assert len(findings) == len(STATIC)
