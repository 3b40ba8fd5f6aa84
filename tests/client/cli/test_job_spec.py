"""What `run` submits: files and directories, and the names of its options."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from remote_client.cli import job_spec as module
from remote_client.cli.job_spec import flag, title
from remote_client.contents import LocalContent
from remote_client.errors import UsageError
from remote_client.transport import Document
from remote_protocol.limits import MAX_FILES_SIZE, MAX_SCRIPT_SIZE


def job_spec(options: dict[str, Any], contents: list[LocalContent] | None = None) -> Document:
    return module.job_spec(options, [] if contents is None else contents)


def paths(*files: str) -> dict[str, bytes]:
    spec = job_spec({"command": ("x",), "files": files})
    return {file["path"]: base64.b64decode(file["content"]) for file in spec["files"]}


def test_a_directory_is_sent_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "conf" / "deep").mkdir(parents=True)
    (tmp_path / "conf" / "a.toml").write_bytes(b"a")
    (tmp_path / "conf" / "deep" / "b.toml").write_bytes(b"b")
    folder = tmp_path / "conf"
    assert paths(str(folder)) == {"conf/a.toml": b"a", "conf/deep/b.toml": b"b"}
    assert paths(f"{folder}/") == {"conf/a.toml": b"a", "conf/deep/b.toml": b"b"}
    assert paths(f"{folder}:etc") == {"etc/a.toml": b"a", "etc/deep/b.toml": b"b"}


def test_a_name_may_hold_a_colon(tmp_path: Path) -> None:
    (tmp_path / "a:b").write_bytes(b"x")
    assert paths(str(tmp_path / "a:b")) == {"a:b": b"x"}


def test_two_files_for_one_target(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UsageError, match="c is the target of another --file"):
        paths(f"{tmp_path / 'a'}:c", f"{tmp_path / 'b'}:c")


def test_large_files_are_sent_before_the_job(tmp_path: Path) -> None:
    half, large, small = (tmp_path / name for name in ("half", "large", "small"))
    half.write_bytes(bytes(MAX_FILES_SIZE // 2 + 1))
    large.write_bytes(bytes(MAX_FILES_SIZE + 1))
    large.chmod(0o700)
    small.write_bytes(b"small")
    contents: list[LocalContent] = []
    files = (str(small), str(large))
    found = job_spec({"command": ("x",), "files": files}, contents)["files"]
    assert found[0] == {"path": "small", "content": "c21hbGw=", "mode": 0o600}
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    size = MAX_FILES_SIZE + 1
    assert found[1] == {"path": "large", "digest": digest, "size": size, "mode": 0o700}
    assert [(one.name, one.digest, one.size) for one in contents] == [(str(large), digest, size)]
    contents.clear()
    both = job_spec({"command": ("x",), "files": (f"{half}:a", f"{half}:b")}, contents)["files"]
    assert [set(file) for file in both] == [{"path", "digest", "size", "mode"}] * 2
    assert contents[0].digest == contents[1].digest
    contents.clear()
    assert paths(str(half)) == {"half": half.read_bytes()}, "it fits as it is"


def test_what_is_no_plain_file_is_read_as_far_as_it_fits() -> None:
    with pytest.raises(UsageError, match=r"zero is no plain file, and gives more than 6\.0 MiB"):
        paths("/dev/zero")
    assert paths("/dev/null") == {"null": b""}
    with pytest.raises(UsageError, match="--file /none: No such file"):
        paths("/none")


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    Path(str(tmp_path / "d") + "/caf\udce9").write_bytes(b"")
    with pytest.raises(UsageError, match="is not UTF-8; rename it"):
        paths(str(tmp_path / "d"))


def test_a_variable_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", "caf\udce9")
    with pytest.raises(UsageError, match="its value is not UTF-8"):
        job_spec({"command": ("x",), "env": ("ODD",)})


@pytest.mark.parametrize(
    ("field", "wanted"),
    [("memory_limit", "--memory"), ("files.0.path", "--file"), ("retry_on.0", "--retry-on"),
     ("labels.gpu", "--label"), ("command.3", "COMMAND"), ("expires_in", "--expires-in")],
)  # fmt: skip
def test_fields_have_the_names_of_options(field: str, wanted: str) -> None:
    assert flag(field) == wanted


def test_titles() -> None:
    assert title({"command": ["make", "a b"]}) == "make 'a b'"
    assert (
        title({"command": ["x" * 99]}).endswith("…") and title({"name": "n", "command": []}) == "n"
    )


def scripted(path: Path, text: str | bytes, *args: str, **more: object) -> dict[str, object]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return job_spec({"script": str(path), "command": args, **more})


@pytest.mark.parametrize(
    ("first", "shell"),
    [
        ("echo hi", "sh"),
        ("#!/bin/bash", "/bin/bash"),
        ("#! /usr/bin/env python3\r", "/usr/bin/env python3"),
        ("#!/usr/bin/env -S python3 -u", "/usr/bin/env '-S python3 -u'"),
        ("#!", "sh"),
        ("", "sh"),
    ],
)
def test_a_script_is_run_by_what_its_first_line_names(
    tmp_path: Path, first: str, shell: str
) -> None:
    spec = scripted(tmp_path / "s", f"{first}\necho hi\n")
    assert spec == {"script": f"{first}\necho hi\n", "shell": shell}


def test_a_script_takes_arguments_and_another_shell(tmp_path: Path) -> None:
    spec = scripted(tmp_path / "s", "#!/bin/sh\n", "a b", "c", shell="bash")
    assert (spec["shell"], spec["args"]) == ("bash", ["a b", "c"])
    assert "command" not in spec
    assert title(spec) == "script 'a b' c"


def test_scripts_that_cannot_be_sent(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        job_spec({"script": str(tmp_path / "none")})
    with pytest.raises(UsageError, match="not text in UTF-8"):
        scripted(tmp_path / "s", b"\x7fELF\xff")
    with pytest.raises(UsageError, match=r"may have 1\.0 MiB"):
        scripted(tmp_path / "s", bytes(MAX_SCRIPT_SIZE + 1))


def test_without_a_command_or_a_script_it_says_so() -> None:
    with pytest.raises(UsageError, match="COMMAND is missing"):
        job_spec({"command": ()})


def test_secrets_are_variables_or_files() -> None:
    spec = job_spec({"command": ("x",), "secrets": ("A", "B:file"), "mask": True})
    assert (spec["secrets"], spec["secret_files"], spec["mask"]) == (["A", "B"], ["B"], True)
    assert "secret_files" not in job_spec({"command": ("x",), "secrets": ("A",)})
    with pytest.raises(UsageError, match="--secret A:env: write NAME, or NAME:file"):
        job_spec({"command": ("x",), "secrets": ("A:env",)})


def test_an_image_makes_a_container() -> None:
    mounts = ("/data", "/a:/b:ro")
    assert job_spec({"image": "x:1", "command": ("a",), "mounts": mounts, "init": False}) == {
        "kind": "container",
        "image": "x:1",
        "command": ["a"],
        "mounts": [
            {"source": "/data", "target": "/data", "read_only": False},
            {"source": "/a", "target": "/b", "read_only": True},
        ],
    }
    bare = job_spec({"image": "x:1"})
    assert bare == {"kind": "container", "image": "x:1"} and title(bare) == "x:1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": ("x",), "pull": "never"}, "--pull is for containers; name an image"),
        ({"command": ("x",), "mounts": ("/a",)}, "--mount is for containers"),
        ({"command": ("x",), "image": "y", "shell": "sh"}, "--shell and --script do not go"),
        ({"command": ("x",), "image": "y", "mounts": ("/a:/b:no",)}, "write HOSTDIR:DIR"),
        ({"command": ("x",), "image": "y", "mounts": (":/b",)}, "write HOSTDIR:DIR"),
    ],
)
def test_what_does_not_go_with_an_image(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        job_spec(options)
