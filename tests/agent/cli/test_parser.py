"""The command line's arguments."""

import argparse

import pytest

from remote_agent.cli import main
from remote_agent.cli.parser import build_parser, parse


@pytest.mark.parametrize(
    "words",
    [
        "register --server http://h --token-file f --queue a --queue b --label k=v --capacity 4",
        "run --once",
        "status -o json",
        "pause --comment x",
        "resume",
        "drain --deadline 1h",
        "unregister",
        "logs 01J -f",
        "config --output json",
        "debug bundle agent.tar.gz",
        "doctor --server http://h --token-file f --output json",
        "service install --server http://h --token-file f --user u --profile strict --no-start",
        "service uninstall --force",
        "version",
    ],
)
def test_every_command_of_the_contract_is_known(words: str) -> None:
    options = build_parser().parse_args(words.split())
    assert callable(options.run)


def test_each_help_names_the_environment_variables(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["register", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in ("SERVER", "TOKEN", "TOKEN_FILE", "NAME", "QUEUES", "LABELS", "CAPACITY", "PROXY"):
        assert f"REMOTE_AGENT_{name}]" in text
    assert "examples:" in text


def commands() -> dict[str, argparse.ArgumentParser]:
    return commands_of(build_parser())


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return found.choices


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_flag_of_every_command_names_its_variable(name: str) -> None:
    for action in commands()[name]._actions:
        if action.option_strings and action.dest != "help":
            assert "[env: REMOTE_AGENT_" in str(action.help), action.option_strings
    assert "remote-agent" in str(commands()[name].epilog)


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_alone_is_as_among_the_others(name: str) -> None:
    alone = build_parser(name)
    assert commands_of(alone).keys() == {name}
    assert commands_of(alone)[name].format_help() == commands()[name].format_help()


@pytest.mark.parametrize("word", ["", "registr", "--version", "-h"])
def test_what_is_no_command_may_be_any(word: str) -> None:
    assert commands_of(build_parser(word)).keys() == commands().keys()


def test_flags_take_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_AGENT_COMMENT", "new disk")
    monkeypatch.setenv("REMOTE_AGENT_OUTPUT", "json")
    monkeypatch.setenv("REMOTE_AGENT_REPLACE", "yes")
    assert parse(["pause"]).comment == "new disk"
    assert parse(["pause", "--comment", "flag"]).comment == "flag"
    assert parse(["status"]).output == "json"
    assert parse(["register"]).replace is True
    assert parse(["register"]).ephemeral is False


def test_a_variable_that_is_no_use_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("REMOTE_AGENT_OUTPUT", "xml")
    assert main(["status"]) == 2
    assert "REMOTE_AGENT_OUTPUT: 'xml' is none of table, json" in capsys.readouterr().err
    monkeypatch.setenv("REMOTE_AGENT_OUTPUT", "")
    monkeypatch.setenv("REMOTE_AGENT_ONCE", "perhaps")
    assert main(["run"]) == 2
    assert "REMOTE_AGENT_ONCE: 'perhaps' is neither true nor false" in capsys.readouterr().err


def test_main_returns_the_exit_codes_of_usage(capsys: pytest.CaptureFixture) -> None:
    assert main(["--help"]) == 0
    assert main(["run", "--help"]) == 0
    assert main([]) == 2
    assert main(["dance"]) == 2
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.endswith("remote-agent 0.1.0\n")


def test_a_wrong_flag_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["run", "--twice"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("registr", "did you mean register?; see: remote-agent --help"),
        ("register --sever x", "did you mean --server?; see: remote-agent register --help"),
        ("logs --folow", "did you mean --follow?; see: remote-agent logs --help"),
        ("status --output yaml", "(choose from table, json); see: remote-agent status --help"),
        ("run twice", "unknown arguments: twice; see: remote-agent run --help"),
    ],
)
def test_a_misspelled_word_is_told_with_the_right_one(
    line: str, says: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(line.split()) == 2
    # Older releases of argparse put the choices into quotes.
    assert capsys.readouterr().err.replace("'table', 'json'", "table, json").endswith(f"{says}\n")
