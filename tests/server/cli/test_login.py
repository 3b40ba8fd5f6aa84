"""`dev` logs `remotectl` in by the program itself, and says lines that work as pasted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from remote_server.cli.login import Access, find_program, log_in, to_paste

ACCESS = Access("http://127.0.0.1:8750", "rpt_secret", None)


def script(file: Path, text: str) -> str:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


async def test_the_program_gets_everything_by_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_TOKEN_FILE", "/somebody's")
    program = script(
        tmp_path / "remotectl",
        'echo "$1 $# $REMOTE_URL $REMOTE_TOKEN $REMOTE_CA_FILE $REMOTE_CONTEXT"\n'
        '[ -z "$REMOTE_TOKEN_FILE" ]',
    )
    access = Access(ACCESS.url, ACCESS.token, Path("/ca.pem"))
    said = "login 1 http://127.0.0.1:8750 rpt_secret /ca.pem dev"
    assert await log_in(program, access) == (True, said)


async def test_a_program_that_refuses_is_quoted(tmp_path: Path) -> None:
    program = script(tmp_path / "remotectl", "echo the disk is full >&2; exit 1")
    assert await log_in(program, ACCESS) == (False, "the disk is full")


def test_what_is_pasted_needs_neither_path_nor_directory(tmp_path: Path) -> None:
    program = str(tmp_path / "my venv" / "remotectl")
    assert to_paste(program, ACCESS, logged_in=True) == f"  '{program}' run -- echo hello\n"
    assert to_paste("/bin/x", Access("u", "t", Path("/a b")), logged_in=False) == (
        "  export REMOTE_URL=u REMOTE_TOKEN=t REMOTE_CA_FILE='/a b'\n  /bin/x run -- echo hello\n"
    )


def test_outside_of_an_environment_the_name_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = script(tmp_path / "remotectl", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert to_paste(program, ACCESS, logged_in=True).split()[0] == program
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert to_paste(program, ACCESS, logged_in=True).split()[0] == "remotectl"


def test_programs_are_found_beside_this_one_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "here" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("remotectl") is None
    there = script(tmp_path / "remotectl", "")
    assert find_program("remotectl") == there
    (tmp_path / "here").mkdir()
    assert find_program("remotectl") == there
    here = script(tmp_path / "here" / "remotectl", "")
    assert find_program("remotectl") == here
