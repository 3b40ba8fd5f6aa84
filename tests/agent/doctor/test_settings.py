"""What doctor says of configuration, identity and token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remote_agent.config import Config, load
from remote_agent.connection.identity import FILE, Identity, save_identity
from remote_agent.doctor.settings import GivenToken, configuration, given_token, identity
from remote_protocol.report import Finding, Status

SECRET = "rat_" + "s" * 43


def failed(finding: Finding, code: str) -> str:
    """Everything that a failure of this code says."""
    assert (finding.status, finding.code) == (Status.FAIL, code)
    assert finding.finding and finding.cure
    return f"{finding.finding} {finding.why} {finding.cure}"


def test_every_fault_of_the_configuration_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[server]\nurl = "jobs.example.com"\n[agent]\nqueus = ["a"]\n')
    finding, config = configuration(lambda: load(file, {"REMOTE_AGENT_CAPACITY": "many"})[0])
    assert config is None
    said = failed(finding, "configuration_invalid")
    assert said.startswith("3 faults")
    for words in (f"{file}:2", f"{file}:4", "did you mean queues?", "REMOTE_AGENT_CAPACITY"):
        assert words in said


def test_a_good_configuration(config: Config) -> None:
    finding, found = configuration(lambda: config)
    assert (finding.status, found) == (Status.PASS, config)


def test_what_is_missing_to_register_is_named_at_once(tmp_path: Path) -> None:
    finding, known = identity(tmp_path, None, token_given=False)
    said = failed(finding, "not_registered")
    assert known is None and "REMOTE_AGENT_SERVER" in said and "REMOTE_AGENT_TOKEN_FILE" in said
    only = failed(identity(tmp_path, "https://h", token_given=False)[0], "not_registered")
    assert "REMOTE_AGENT_SERVER" not in only and "REMOTE_AGENT_TOKEN_FILE" in only
    ready, _ = identity(tmp_path, "https://h", token_given=True)
    assert (ready.status, ready.code) == (Status.SKIP, "registers_at_start")


def test_identities_good_damaged_and_open(tmp_path: Path) -> None:
    save_identity(tmp_path, Identity("https://h", "web-7", SECRET))
    finding, known = identity(tmp_path, None, token_given=False)
    assert finding.status is Status.PASS and "web-7" in finding.finding
    assert known is not None and known.token == SECRET

    file = tmp_path / FILE
    file.chmod(0o644)
    finding, known = identity(tmp_path, None, token_given=False)
    assert "chmod 600" in failed(finding, "identity_open_to_others")
    assert known is not None, "the other checks go on"
    assert file.stat().st_mode & 0o777 == 0o644, "doctor repairs nothing"

    file.write_text(json.dumps({"server": "https://h"})[:-3])
    said = failed(identity(tmp_path, None, token_given=False)[0], "identity_damaged")
    assert "register again" in said

    file.unlink()
    file.mkdir()
    failed(identity(tmp_path, None, token_given=False)[0], "identity_unreadable")


def test_tokens_that_cannot_register(tmp_path: Path) -> None:
    file = tmp_path / "token"
    missing = failed(given_token(GivenToken(file=str(file)))[0], "token_file_unreadable")
    assert "the secret is mounted" in missing
    file.write_text("\n")
    failed(given_token(GivenToken(file=str(file)))[0], "token_file_empty")
    file.write_bytes(b"\xff\xfe")
    failed(given_token(GivenToken(file=str(file)))[0], "token_file_unreadable")
    both = failed(given_token(GivenToken("rrt_x", str(file)))[0], "token_and_file")
    assert "REMOTE_AGENT_TOKEN and REMOTE_AGENT_TOKEN_FILE" in both
    assert given_token(GivenToken())[0].code == "no_token_given"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("rpt_" + "s" * 43, "token_of_wrong_kind"),
        ("rjt_" + "s" * 43, "token_of_wrong_kind"),
        ("eyJhbGciOi" + "s" * 43, "token_malformed"),
        ("rat_ s s", "token_malformed"),
    ],
)
def test_a_token_of_another_kind(text: str, code: str) -> None:
    finding, token = given_token(GivenToken(text))
    assert token is None
    assert "sss" not in failed(finding, code)


def test_a_token_that_will_do(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    for given in (GivenToken(SECRET), GivenToken(file=str(file))):
        finding, token = given_token(given)
        assert (finding.status, token) == (Status.PASS, SECRET)
        assert finding.finding == "an agent token (rat_…)"
