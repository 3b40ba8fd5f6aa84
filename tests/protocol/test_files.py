"""The files of a job: inside the work directory, possible on a disk, one for each place."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from pydantic import ValidationError

from remote_protocol.files import JobFile, check_together
from remote_protocol.limits import MAX_FILE_DEPTH, MAX_FILE_NAME, MAX_FILE_PATH, MAX_FILES_SIZE


def file(path: str = "a", data: bytes = b"", **fields: Any) -> JobFile:
    return JobFile.model_validate({"path": path, "content": b64encode(data).decode(), **fields})


def test_a_file_holds_any_bytes() -> None:
    data = bytes(range(256))
    one = file("sub/dir/x.bin", data, mode=0o755)
    assert (one.path, one.data, one.mode) == ("sub/dir/x.bin", data, 0o755)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "\\\\host\\x", "C:/x", "c:x", "a\\..\\x", "a\0b"],
)
def test_a_file_stays_inside_the_work_directory(path: str) -> None:
    with pytest.raises(ValidationError):
        JobFile(path=path, content="")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("x" * (MAX_FILE_NAME + 1), "at most 255 bytes"),
        ("\u6f22" * 86, "at most 255 bytes"),
        ("ok/" + "\u6f22" * 86 + "/x", "at most 255 bytes"),
        ("a\\" + "y" * 256, "at most 255 bytes"),
        ("/".join(["\u6f22" * 80] * 5), "1024 bytes"),
        ("a/" * MAX_FILE_DEPTH + "x", "64 names"),
        ("folder/", "ends with the file's name"),
        (".", "ends with the file's name"),
        ("a/.", "ends with the file's name"),
        ("\udcff", "not text in UTF-8"),
    ],
)
def test_a_path_that_no_disk_takes_is_refused(path: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        JobFile(path=path, content="")


def test_the_longest_names_are_taken() -> None:
    assert file("x" * MAX_FILE_NAME).path == "x" * MAX_FILE_NAME
    assert file("\u6f22" * 85).path == "\u6f22" * 85
    longest = "/".join(["x" * 204] * 5)
    assert len(longest) == MAX_FILE_PATH
    assert file(longest).path == longest
    deepest = "a/" * (MAX_FILE_DEPTH - 1) + "x"
    assert file(deepest).path == deepest


@pytest.mark.parametrize("content", ["?", "YQ", "YQ==x"])
def test_a_file_is_base64(content: str) -> None:
    with pytest.raises(ValidationError, match="base64"):
        JobFile(path="a", content=content)


def test_files_are_bounded_together() -> None:
    half = b"x" * (MAX_FILES_SIZE // 2 + 10)
    check_together([file("a", half)])
    with pytest.raises(ValueError, match="larger than 6 MiB together"):
        check_together([file("a", half), file("b", half)])


@pytest.mark.parametrize(
    "paths",
    [("a", "a"), ("a", "./a"), ("x/a", "x//a"), ("x/a", "x\\a"), ("x/./a", "x/a")],
)
def test_two_files_cannot_have_one_place(paths: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="two files have the path"):
        check_together([file(path) for path in paths])


@pytest.mark.parametrize("paths", [("a", "a/b"), ("x/y/z", "x/y"), ("x\\y\\z", "x")])
def test_a_file_is_no_folder(paths: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot be a file and the folder of"):
        check_together([file(path) for path in paths])


def test_neighbours_are_fine() -> None:
    check_together([file(path) for path in ("a", "ab", "b/a", "b/ab", "A")])
