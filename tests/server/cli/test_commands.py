"""The command line as a whole, in real processes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import remote_server
from remote_server.cli.commands import commands
from tests.support.server_program import call, environment


def test_every_command_is_listed_with_a_help() -> None:
    said = call("--help")
    assert said.returncode == 0
    for command in ("run", "dev", "token", "migrate", "check", "backup", "version"):
        assert f"\n  {command} " in said.stdout
        of_command = call(command, "--help")
        assert of_command.returncode == 0
        assert "Usage: remote-server" in of_command.stdout


@pytest.mark.parametrize("arguments", [("version",), ("--version",)])
def test_version(arguments: tuple[str, ...]) -> None:
    assert remote_server.__version__ in call(*arguments).stdout


def test_as_a_module() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "remote_server", "version"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == f"remote-server {remote_server.__version__}\n"


def test_commands_run_with_the_collector_on_and_all_that_was_loaded_out_of_it() -> None:
    program = (
        "import atexit, gc, sys; from remote_server.__main__ import main; "
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000)); main()"
    )
    command = [sys.executable, "-c", program, "version"]
    said = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "True True"


def test_wrong_usage_is_exit_code_2() -> None:
    said = call("run", "--colour")
    assert said.returncode == 2
    assert "No such option" in said.stderr
    assert call("token", "create").returncode == 2


def test_errors_are_sentences_and_no_tracebacks(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[server]\nlisten = 5\ncolour = 1\n")
    said = call("run", "--config", file)
    assert said.returncode == 2
    assert said.stderr.splitlines() == [
        f"remote-server: {file}:2: [server] listen: 5 is not HOST:PORT, for example 127.0.0.1:8750",
        f"remote-server: {file}:3: [server] colour: unknown key; known are listen, data_dir, "
        "database, tls_cert, tls_key, durability, log_level, log_format, compatible_with, "
        "open_metrics",
    ]


def every(group: click.Group) -> Iterator[click.Command]:
    yield group
    for command in group.commands.values():
        yield from every(command) if isinstance(command, click.Group) else (command,)


def test_every_help_has_an_example_and_words_for_each_option() -> None:
    for command in every(commands):
        word = "" if command is commands else str(command.name)
        assert re.search(rf"remote-server ((token|secret) )?{word}", str(command.epilog)), word
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert [option.name for option in options if not option.help] == []
