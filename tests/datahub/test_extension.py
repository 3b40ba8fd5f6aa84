"""The extension as installed programs find it, alone and beside another one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remote_protocol import extensions
from tests.support.extensions import toy

__all__ = ["toy"]


@pytest.mark.usefixtures("toy")
def test_another_one_is_found_beside_it() -> None:
    assert {"datahub", "toy"} <= extensions.names()
    found = extensions.find("toy")
    assert found is not None and found.summary == "Greet from an agent."
    assert extensions.part("toy", "remote_toy.page").words
    assert extensions.part("toy", "remote_toy.planner:PROGRAM").startswith("\n")


def test_without_any_there_are_none() -> None:
    program = (
        "import sys\n"
        f"protocol = {str(Path(extensions.__file__).parents[1])!r}\n"
        "sys.path[:] = [p for p in sys.path if 'python3' in p and 'site-' not in p] + [protocol]\n"
        "from remote_protocol import extensions\n"
        "print(sorted(extensions.names()), extensions.find('datahub'), extensions.load_specs())\n"
    )
    said = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[] None None\n"


@pytest.mark.parametrize("module", ["remote_agent.app.agent", "remote_client.cli.main"])
def test_no_program_loads_one_when_it_starts(module: str) -> None:
    program = (
        f"import sys, {module}\n"
        "from remote_protocol import extensions\n"
        "assert 'datahub' in extensions.names()\n"
        "print([m for m in sys.modules if m.startswith(('remote_datahub', 'remote_extensions.'))])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"
