"""What `run --python` submits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remote_client.cli import job_spec as module
from remote_client.cli.job_spec import flag, title
from remote_client.cli.python_job import needs_python, python_title
from remote_client.errors import UsageError
from remote_client.transport import Document
from remote_protocol.limits import MAX_REQUIREMENTS_SIZE, MAX_SCRIPT_SIZE
from remote_protocol.spec import JobSpec, PythonSpec


def job_spec(options: dict[str, Any]) -> Document:
    return module.job_spec(options, [])


def submitted(**options: Any) -> dict[str, Any]:
    spec = job_spec({"python": True, **options})
    assert isinstance(JobSpec.model_validate(spec), PythonSpec)
    return spec


def test_a_file_with_its_arguments(tmp_path: Path) -> None:
    script = tmp_path / "report.py"
    script.write_text("print('é')\n", encoding="utf-8")
    spec = submitted(command=(str(script), "--year", "2026"), python_version="3.12")
    assert spec == {
        "kind": "python",
        "script": "print('é')\n",
        "filename": "report.py",
        "args": ["--year", "2026"],
        "python": "3.12",
    }
    assert title(spec) == "python report.py --year 2026" == python_title(spec)
    odd = tmp_path / "my report"
    odd.write_text("")
    assert "filename" not in submitted(command=(str(odd),))


def test_a_module_with_its_arguments() -> None:
    spec = submitted(module="a.b", command=("x",))
    assert spec == {"kind": "python", "module": "a.b", "args": ["x"]}
    assert title(spec) == "python -m a.b x"


def test_a_requirements_file_becomes_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_bytes(
        b"\xef\xbb\xbf# all of it\n\nBase==1.0  # pinned\r\n"
        b"other==2 \\\n    --hash=sha256:" + b"a" * 64 + b"\n"
    )
    spec = submitted(module="a", requirements=str(file))
    assert spec["requirements"] == ["Base==1.0", f"other==2 --hash=sha256:{'a' * 64}"]
    file.write_text("-r more.txt\n")
    with pytest.raises(UsageError, match=r"'-r more.txt' names another file"):
        submitted(module="a", requirements=str(file))
    file.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        submitted(module="a", requirements=str(file))
    file.write_bytes(b"#" * (4 * MAX_REQUIREMENTS_SIZE + 1))
    with pytest.raises(UsageError, match=r"is larger than 2 MiB"):
        submitted(module="a", requirements=str(file))
    with pytest.raises(UsageError, match="No such file"):
        submitted(module="a", requirements=str(tmp_path / "none"))


def test_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="say which file to run"):
        submitted()
    with pytest.raises(UsageError, match=r"No such file .* a local file"):
        submitted(command=(str(tmp_path / "none.py"),))
    with pytest.raises(UsageError, match="--shell contradicts --python"):
        submitted(command=("x.py",), shell="bash")
    large = tmp_path / "large.py"
    large.write_bytes(b"#" * (MAX_SCRIPT_SIZE + 1))
    with pytest.raises(UsageError, match="a program may have 1 MiB"):
        submitted(command=(str(large),))
    large.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        submitted(command=(str(large),))


def test_its_options_need_it() -> None:
    assert needs_python({"command": ("x",)}) is None
    for name in ("module", "requirements", "python_version"):
        with pytest.raises(UsageError, match=f"{flag(name)} is for Python jobs: it needs --python"):
            job_spec({"python": False, "command": ("x",), name: "a"})


def test_a_prepared_environment_and_modules() -> None:
    spec = submitted(
        module="m", environment="a", preload=("x", "y"), preload_env=("A",), env=("A=1",)
    )
    assert spec == {
        "kind": "python", "module": "m", "environment": "a", "preload": ["x", "y"],
        "preload_env": ["A"], "env": {"A": "1"},
    }  # fmt: skip
    assert needs_python({"preload": ["x"]}) == "--preload"
