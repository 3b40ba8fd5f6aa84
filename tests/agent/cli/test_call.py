"""What a call says itself: when `run` enrols first, and whose flags set the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.cli.call import flags_of, read_token, to_enrol
from remote_agent.cli.parser import parse
from remote_agent.connection.identity import Identity
from remote_agent.errors import ConfigError

HERE = "http://127.0.0.1:1"
KNOWN = Identity(HERE, "n", "rat_own")


@pytest.mark.parametrize(
    ("known", "url", "token", "wanted"),
    [
        (None, None, None, True),
        (None, HERE, "rrt_x", True),
        (KNOWN, None, None, False),
        (KNOWN, HERE, "rrt_x", False),
        (KNOWN, None, "rrt_x", False),
        (KNOWN, "http://127.0.0.1:2", None, False),
        (KNOWN, "http://127.0.0.1:2", "rrt_x", True),
    ],
)
def test_when_run_enrols_first(
    known: Identity | None, url: str | None, token: str | None, wanted: bool
) -> None:
    assert to_enrol(known, url, token) is wanted


def test_flags_of_the_configuration() -> None:
    said = flags_of(parse(["run", "--server", HERE, "--queue", "a", "--queue", "b"]))
    assert said["server", "url"] == HERE
    assert said["agent", "queues"] == ["a", "b"]
    assert said["agent", "name"] is None


def test_what_is_no_token_is_refused_before_anything_is_sent() -> None:
    assert read_token(parse(["run", "--token", " rrt_enrol\n"])) == "rrt_enrol"
    with pytest.raises(ConfigError):
        read_token(parse(["run", "--token", "two words"]))


def test_a_service_finds_its_token_among_its_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    options = parse(["run"])
    assert read_token(options) is None
    for nothing in ("-", "-\n", ""):  # `-` is the unit's default for a file that is missing
        (tmp_path / "token").write_text(nothing)
        assert read_token(options) is None
    (tmp_path / "token").write_text("rrt_credential\n")
    assert read_token(options) == "rrt_credential"
    assert read_token(parse(["run", "--token", "rrt_flag"])) == "rrt_flag"
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="credential token cannot be read: it is no text"):
        read_token(options)


def test_two_tokens_are_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("rrt_file\n")
    with pytest.raises(ConfigError, match=r"--token and --token-file.*leave one of them out"):
        read_token(parse(["run", "--token", "rrt_x", "--token-file", str(file)]))
    monkeypatch.setenv("REMOTE_AGENT_TOKEN_FILE", str(file))
    monkeypatch.setenv("REMOTE_AGENT_TOKEN", "rrt_env")
    with pytest.raises(ConfigError, match="REMOTE_AGENT_TOKEN and REMOTE_AGENT_TOKEN_FILE"):
        read_token(parse(["run"]))
    assert read_token(parse(["run", "--token", "rrt_flag"])) == "rrt_flag"
    monkeypatch.setenv("REMOTE_AGENT_TOKEN", "")
    assert read_token(parse(["run"])) == "rrt_file"
    file.write_bytes(b"r" * 100_000)
    with pytest.raises(ConfigError, match="cannot be read: it is larger than 64 KiB"):
        read_token(parse(["run"]))
