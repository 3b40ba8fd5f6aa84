"""What a program cannot be given is refused before a host has to find out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from remote_protocol.limits import MAX_COMMAND_SIZE, MAX_ENV, MAX_ENV_SIZE, MAX_EXEC_SIZE
from remote_protocol.program import check_command, check_environment, check_fits, check_text

LONGEST = MAX_COMMAND_SIZE - 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["a\0b"], "NUL"),
        (["x" * MAX_COMMAND_SIZE], "longer than 128 KiB; use a file"),
        (["\u6f22" * (MAX_COMMAND_SIZE // 3 + 1)], "longer than 128 KiB"),
        (["ok", "\udcff"], "not text in UTF-8"),
    ],
)
def test_what_is_no_argument(command: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_command(command)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("1A", "x", "'1A' is not a usable environment variable"),
        ("A" * 5000, "x", "'A{128}' is not a usable"),
        ("A=B", "x", "is not a usable"),
        ("A", "x\0", "A is not a usable environment variable: its value cannot contain a NUL"),
        ("A", "\udcff", "its value is not text in UTF-8"),
        ("REMOTE_JOB_ID", "x", "set by the agent"),
        ("A", "x" * (LONGEST - 1), "A and its value are longer than 128 KiB"),
        ("AB", "\u6f22" * (MAX_COMMAND_SIZE // 3), "AB and its value are longer than 128 KiB"),
    ],
)
def test_what_is_no_variable(name: str, value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_environment({name: value})


def test_variables_are_counted() -> None:
    check_environment({f"A{n}": "" for n in range(MAX_ENV)})
    with pytest.raises(ValueError, match="at most 4096 variables"):
        check_environment({f"A{n}": "" for n in range(MAX_ENV + 1)})


def test_all_of_it_is_bounded() -> None:
    check_fits(["x" * 100_000] * 10, {})
    with pytest.raises(ValueError, match="larger than 1 MiB together"):
        check_fits(["x" * 100_000] * 11, {})
    with pytest.raises(ValueError, match="environment is larger than 512 KiB"):
        check_fits([], {f"A{n}": "x" * 100_000 for n in range(6)})
    # Short ones cost more than their letters.
    with pytest.raises(ValueError, match="larger than 1 MiB together"):
        check_fits([""] * (MAX_EXEC_SIZE // 9 + 1), {})
    check_fits(["\u6f22" * 10], {"A": "\u6f22"})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the bounds are Linux's")
def test_linux_takes_what_is_allowed() -> None:
    environment = {f"A{n}": "x" * (LONGEST - 3) for n in range(3)}
    rest = MAX_ENV_SIZE - sum(len(n) + len(v) for n, v in environment.items())
    environment |= {"B": "x" * 100, "C": "x" * (rest - 102)}
    room = MAX_EXEC_SIZE - MAX_ENV_SIZE - 10 * len(environment)
    command = ["/bin/true", *["x" * LONGEST] * (room // (LONGEST + 9))]
    check_command(command)
    check_environment(environment)
    check_fits(command, environment)
    done = subprocess.run(command, env=os.environ | environment, check=False, timeout=30)
    assert done.returncode == 0


def test_text_is_text() -> None:
    check_text("gr\u00fc\u00dfe", "it")
    with pytest.raises(ValueError, match="it cannot contain a NUL"):
        check_text("\0", "it")
