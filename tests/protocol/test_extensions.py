"""Extensions are found by listing them, and loaded part by part."""

from __future__ import annotations

from pathlib import Path

import pytest

from installers.binary.freeze import modules_of_extensions
from remote_protocol import extensions
from tests.support.extensions import installed, toy

__all__ = ["toy"]


def test_the_extension_of_this_checkout() -> None:
    assert "datahub" in extensions.names()
    found = extensions.find("datahub")
    assert found is not None and found.spec == "remote_datahub.spec"


@pytest.mark.parametrize("name", ["os", "..os", "toy.x", "", None, 3, ["toy"], "x" * 100_000])
def test_what_is_not_listed_is_never_imported(name: object) -> None:
    assert extensions.find(name) is None
    extensions.load_spec(name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import nothing_such", "ModuleNotFoundError: No module named 'nothing_such'"),
        ("EXTENSION = 3", "no Extension"),
        ("1 / 0", "ZeroDivisionError"),
        ("", "AttributeError"),
    ],
)
def test_a_broken_one_says_why(text: str, why: str, tmp_path: Path) -> None:
    folder = tmp_path / extensions.NAMESPACE
    folder.mkdir()
    (folder / "broken_one.py").write_text(text)
    with installed(tmp_path):
        with pytest.raises(extensions.BrokenExtension, match=why) as caught:
            extensions.find("broken_one")
        assert "broken_one" in str(caught.value) and "install it again" in str(caught.value)


def test_binaries_have_the_parts_that_their_program_loads() -> None:
    agent = {name.rpartition(".")[2] for name in modules_of_extensions([], "remote_agent")}
    client = {name.rpartition(".")[2] for name in modules_of_extensions([], "remote_client")}
    assert {"datahub", "spec", "planner", "settings", "watch"} <= agent
    assert {"datahub", "spec", "command", "shown"} <= client
    assert "command" not in agent and "planner" not in client


def test_settings_that_an_extension_gives() -> None:
    (found,) = extensions.settings_of("datahub", "server", {"LOG_LEVEL": "DEBUG"})
    assert found == ("server", "log_level", "debug", "LOG_LEVEL")


@pytest.mark.usefixtures("toy")
def test_an_extension_without_settings_is_compatible_with_nothing() -> None:
    with pytest.raises(extensions.BrokenExtension, match="toy takes no settings"):
        extensions.settings_of("toy", "agent", {})
    with pytest.raises(extensions.BrokenExtension, match="no extension other here"):
        extensions.settings_of("other", "agent", {})
