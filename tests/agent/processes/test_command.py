"""How a shim's interpreter is started, from sources and from a frozen binary."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from remote_agent.processes import shim_command, shim_environment


def test_from_sources_it_starts_bare() -> None:
    command = shim_command("run", "DIR")
    assert command[0] == sys.executable and command[-2:] == ["run", "DIR"]
    program = "import sys; sys.path[:0] = [p[7:] for p in sys.argv if p.startswith('--path=')]"
    done = subprocess.run([*shim_command("nonsense")], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("usage: ") and program
    assert "-S" in command and "-I" in command


def test_it_imports_nothing_heavy() -> None:
    script = shim_command()[3]
    root = os.path.dirname(os.path.dirname(os.path.dirname(script)))
    paths = [argument[7:] for argument in shim_command() if argument.startswith("--path=")]
    program = (
        f"import sys; sys.path[:0] = {[root, *paths]!r}\n"
        "from remote_agent.shim import launcher, worker\n"
        "print(*sorted(m for m in sys.modules if '.' not in m))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    heavy = {"asyncio", "ssl", "pydantic", "websockets", "structlog", "logging", "email", "site"}
    assert loaded & heavy == set()


def test_a_frozen_binary_starts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert shim_command("launcher", "3") == [sys.executable, "_shim", "launcher", "3"]


def test_the_agents_settings_do_not_reach_its_shims() -> None:
    assert shim_environment({"REMOTE_AGENT_TOKEN": "rat_x", "PATH": "/bin"}) == {"PATH": "/bin"}
    assert shim_environment({"PW": "x", "PATH": "/bin"}, {"PW"}) == {"PATH": "/bin"}
