"""The account: made by useradd and known again, and whether it can run the program."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path

import pytest

from remote_agent.errors import AgentError, ConfigError
from remote_agent.service import account
from tests.agent.service.fakes import FakePort

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    made: list[Sequence[str]] = []
    monkeypatch.setattr(account, "_run", lambda *command: made.append(command))
    return made


def test_an_account_without_a_login(calls: list[Sequence[str]]) -> None:
    account.make("remote-agent")
    ((program, *words),) = calls
    assert program == "useradd" and words[-1] == "remote-agent"
    assert "--system" in words and "/usr/sbin/nologin" in words


def test_only_what_we_made_is_removed(
    calls: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert account.exists(ME) and not account.is_ours(ME)
    assert not account.remove(ME) and not account.remove("nobody-of-this-name")
    assert not account.exists("nobody-of-this-name") and calls == []
    database = tmp_path / "passwd"
    database.write_text(
        "root:x:0:0:root:/root:/bin/sh\nremote-agent:x:999:999:remote-agent service:/v:/n\nodd\n"
    )
    assert account.is_ours("remote-agent", database)
    assert not account.is_ours("root", database) and not account.is_ours("x", tmp_path / "absent")
    monkeypatch.setattr(account, "is_ours", lambda name: True)
    assert account.remove("remote-agent") and calls == [("userdel", "remote-agent")]


def test_a_failure_of_useradd_is_a_sentence() -> None:
    with pytest.raises(AgentError, match="no-such-program: No such file"):
        account._run("no-such-program")
    with pytest.raises(AgentError, match="sh failed: taken"):
        account._run("sh", "-c", "echo taken >&2; exit 9")


def program(folder: Path, text: str, mode: int = 0o755) -> str:
    file = folder / "remote-agent"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(mode)
    return str(file)


def test_the_account_runs_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_HIDDEN", {})
    account.check_program(program(tmp_path, '[ "$1" = --version ]'), ME, "strict", tmp_path)
    with pytest.raises(AgentError, match=r"cannot run .* \(no libc\): install it where"):
        account.check_program(program(tmp_path, "echo no libc >&2; exit 1"), ME, "strict", tmp_path)
    with pytest.raises(AgentError, match="Permission denied"):
        account.check_program(program(tmp_path, "", mode=0o644), ME, "strict", tmp_path)
    with pytest.raises(AgentError, match="No such file"):
        account.check_program(str(tmp_path / "absent"), ME, "strict", tmp_path)


def test_a_path_that_would_be_more_lines_of_the_unit_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "p\nExecStartPre=+sh\n"
    folder.mkdir()
    with pytest.raises(AgentError, match="no service starts a program at"):
        account.check_program(program(folder, "true"), ME, "open", tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_the_account_cannot_reach_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "_HIDDEN", {})
    tmp_path.chmod(0o700)
    with pytest.raises(AgentError, match=r"user nobody cannot run .*Permission denied"):
        account.check_program(program(tmp_path, "true"), "nobody", "strict", tmp_path)


def test_the_state_directory_becomes_the_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(account, "chown_tree", lambda *words: given.append(words))
    state = tmp_path / "state"
    assert account.own(state, ME) and state.stat().st_mode & 0o777 == 0o700
    assert not account.own(state, ME) and given == []
    other = next(entry for entry in pwd.getpwall() if entry.pw_uid != os.geteuid())
    assert not account.own(state, other.pw_name)
    assert given == [(str(state), other.pw_uid, other.pw_gid)]


def test_a_file_becomes_the_accounts_and_no_link_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[object, ...]] = []
    monkeypatch.setattr("os.chown", lambda *words, **more: given.append((*words, more)))
    account.give(tmp_path / "token", ME)
    me = pwd.getpwnam(ME)
    assert given == [(tmp_path / "token", me.pw_uid, me.pw_gid, {"follow_symlinks": False})]
    assert account.own_uid() == me.pw_uid


def test_what_the_profile_hides_is_named(tmp_path: Path) -> None:
    for profile in ("strict", "users"):
        with pytest.raises(AgentError, match=r"hides /home/ .*or choose --profile open"):
            account.check_program("/home/me/bin/remote-agent", ME, profile, tmp_path)


def test_what_it_lacks_is_made_and_a_foreign_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, known = FakePort(tmp_path / "state"), {ME}
    monkeypatch.setattr(account, "exists", known.__contains__)
    monkeypatch.setattr(account, "make", known.add)
    monkeypatch.setattr(account, "own", lambda folder, user: True)
    monkeypatch.setattr(account, "check_program", lambda *given: None)
    made = account.prepare(port, "/p", "remote-agent", "strict")
    assert made == ["user remote-agent", str(port.state_dir)] and "remote-agent" in known
    assert account.prepare(port, "/p", ME, "strict") == [str(port.state_dir)]
    with pytest.raises(ConfigError, match="no user ghost"):
        account.prepare(port, "/p", "ghost", "strict")
