"""Python programs, as a shim has to run them: at once, or by way of an environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from remote_agent.config import Config
from remote_agent.planning import environment, python
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import NotAllowed, Work, WorkFile
from remote_agent.sections import JobsPart, PythonPart
from remote_agent.values import UserRange
from remote_protocol.spec import PythonSpec

HOME = Path("/state/attempts/J.1")
PATHS = JobPaths(str(HOME), str(HOME / "work"))


def planned(config: dict[str, Any] | None = None, **spec: Any) -> Work:
    made = Config(state_dir=Path("/state"), **(config or {}))
    return python.plan(PythonSpec.model_validate(spec), PATHS, made)


def settings(work: Work) -> dict[str, Any]:
    (file,) = (file for file in work.files if file.path == "environment.json")
    assert file.own and file.path in python.OWN_FILES
    return dict(json.loads(file.data))


def test_without_requirements_the_interpreter_starts_at_once() -> None:
    work = planned(script="print(1)", filename="a.py", args=["x"])
    assert work.argv == ["python3", "-u", f"{HOME}/work/a.py", "x"]
    assert work.files == (WorkFile("a.py", b"print(1)", 0o600),) and work.options == {}
    assert planned(module="a.b", args=["x"]).argv == ["python3", "-u", "-m", "a.b", "x"]


def test_which_interpreter() -> None:
    configured = {"python": PythonPart(interpreter="/opt/python3")}
    assert planned(configured, module="a").argv[0] == "/opt/python3"
    assert planned(configured, module="a", python="3.12").argv[0] == "python3.12"


def test_with_requirements_the_first_process_prepares_the_environment() -> None:
    given = PythonPart(
        index_url="https://pypi.example/simple",
        find_links=Path("/w"),
        offline=True,
        netrc=Path("/n"),
    )
    work = planned({"python": given}, script="", requirements=["b", "a"])
    program = f"{HOME}/environment.py"
    assert work.argv == ["python3", "-I", program, "-u", f"{HOME}/work/main.py"]
    assert work.options == {"never_begun": f"{HOME}/environment.failed"}
    assert settings(work) == {
        "folder": "/state/environments",
        "failure": f"{HOME}/environment.failed",
        "requirements": ["a", "b"],
        "index_url": "https://pypi.example/simple",
        "find_links": "/w",
        "netrc": "/n",
        "offline": True,
    }
    (own,) = (file for file in work.files if file.path == "environment.py")
    assert own.data == Path(environment.__file__).read_bytes()


def test_a_user_of_one_attempt_shares_with_nobody() -> None:
    alone = {"jobs": JobsPart(user_range=UserRange(80000, 80005))}
    assert settings(planned(alone, module="a", requirements=["a"]))["folder"] == (
        f"{HOME}/environments"
    )
    shared = {"jobs": JobsPart(run_as="nobody")}
    assert settings(planned(shared, module="a", requirements=["a"]))["folder"] == (
        "/state/environments"
    )


def test_where_none_can_be_prepared_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "PREPARES_ENVIRONMENTS", False)
    assert planned(module="a").argv[0] == "python3"
    with pytest.raises(ValueError, match="agents on Windows prepare no environments"):
        planned(module="a", requirements=["a"])


PREPARED: dict[str, Any] = {"python": PythonPart(environments={"a": Path("/opt/a")})}


def test_a_prepared_environment_is_used_by_its_name() -> None:
    work = planned(PREPARED, module="m", environment="a")
    assert (work.argv, work.venv) == (["/opt/a/bin/python", "-u", "-m", "m"], "/opt/a")
    assert work.workload == "process" and work.interpreter is None
    with pytest.raises(NotAllowed, match="no environment 'b': it has a"):
        planned(PREPARED, module="m", environment="b")
    with pytest.raises(NotAllowed, match="no environment 'b': it has none"):
        planned(module="m", environment="b")


def test_jobs_with_the_same_modules_share_an_interpreter() -> None:
    same: dict[str, Any] = {"environment": "a", "preload": ["m", "n"], "preload_env": ["B"]}
    work = planned(PREPARED, script="1", args=["x"], env={"A": "1", "B": "2"}, **same)
    made = work.interpreter
    assert work.workload == "forked" and made is not None
    assert work.argv == ["/opt/a/bin/python", "-u", f"{HOME}/work/main.py", "x"]
    assert work.options == {
        "socket": f"/state/interpreters/{made.name}", "words": [f"{HOME}/work/main.py", "x"],
    }  # fmt: skip
    assert made[1:] == ("/opt/a/bin/python", ("m", "n"), {"B": "2"}, "/opt/a", None)
    again = planned(PREPARED, script="2", env={"A": "9", "B": "2"}, **same)
    assert again.interpreter == made
    other = planned(PREPARED, script="2", env={"B": "3"}, **same)
    assert other.interpreter is not None and other.interpreter.name != made.name


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({"python": PythonPart(warm=0)}, {}),
        ({"jobs": JobsPart(run_as="nobody")}, {}),
        ({"jobs": JobsPart(user_range=UserRange(80000, 80005))}, {}),
        ({}, {"keep_processes": True}),
        ({}, {"env": {"PYTHONHASHSEED": "1"}}),
        ({}, {"preload": []}),
    ],
)
def test_what_cannot_be_forked_is_started(config: dict[str, Any], fields: dict[str, Any]) -> None:
    work = planned(config, **{"module": "m", "preload": ["a"], **fields})
    assert (work.workload, work.interpreter) == ("process", None)


def test_variables_of_the_interpreter_itself_are_for_its_start() -> None:
    env = {"PYTHONHASHSEED": "1"}
    work = planned(module="m", preload=["a"], env=env, preload_env=["PYTHONHASHSEED"])
    assert work.interpreter is not None and work.interpreter.variables == env


def test_an_interpreter_enters_the_environment_that_a_job_has_prepared() -> None:
    work = planned(module="m", requirements=["a"], preload=["a"])
    made = work.interpreter
    assert work.workload == "forked" and made is not None and made.settings is not None
    assert work.options["enter"] is True and work.options["never_begun"].endswith(".failed")
    assert work.argv[1:3] == ["-I", f"{HOME}/environment.py"]
    assert made.settings == {k: v for k, v in settings(work).items() if k != "failure"}
    other = planned(module="m", requirements=["b"], preload=["a"])
    assert other.interpreter is not None and other.interpreter.name != made.name
