"""The program of a job, as it is sent."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from remote_airflow.task_command import _program


@pytest.mark.parametrize("has_bundle", [False, True])
@pytest.mark.parametrize("has_proxy", [False, True])
def test_it_is_one_file_that_needs_no_package_of_ours(has_proxy: bool, has_bundle: bool) -> None:
    program = _program(has_proxy, has_bundle)
    assert "import remote_airflow" not in program and "from remote_airflow" not in program
    assert program.endswith("\nmain()\n") and program.count("\nmain()\n") == 1
    names: dict[str, object] = {}
    exec(program.removesuffix("\nmain()\n"), names)
    assert callable(names["cheap_lines"]) and callable(names["in_the_task"])
    assert ("explains_proxies" in names) is has_proxy


def test_no_name_is_another_one_in_another_part() -> None:
    tree = ast.parse(_program(True, True))
    defined = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    targets = [node.targets for node in tree.body if isinstance(node, ast.Assign)]
    defined += [name.id for some in targets for name in some if isinstance(name, ast.Name)]
    assert len(defined) > 30 and len(set(defined)) == len(defined)


def test_without_a_workload_it_says_so() -> None:
    words = [sys.executable, "-I", "-c", _program(True, True)]
    done = subprocess.run(words, input="", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "found no workload on its standard input" in done.stderr
