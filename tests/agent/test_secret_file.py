"""Secrets from files: what is taken, and what is said of those that cannot be."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from remote_agent.secret_file import LARGEST, read_secret


@pytest.mark.parametrize("content", [b"s e\ncret", b"s e\ncret\n", b"s e\ncret\r\n\n"])
def test_the_lines_end_after_it_is_no_part_of_it(tmp_path: Path, content: bytes) -> None:
    # As Kubernetes mounts secrets: the name is a link.
    (tmp_path / "data").write_bytes(content)
    (tmp_path / "secret").symlink_to("data")
    assert read_secret(str(tmp_path / "secret")) == "s e\ncret"


def test_a_pipe_can_be_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"secret\n",))
    writer.start()
    assert read_secret(str(pipe)) == "secret"
    writer.join()


def test_what_is_none(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for content, words in (
        (b"\xffsecret", "it is no text"),
        (b"s" * (LARGEST + 1), "it is larger than 64 KiB"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=words) as caught:
            read_secret(str(file))
        assert caught.value.__cause__ is None and "s" * 9 not in str(caught.value)
    file.write_bytes(b"s" * LARGEST)
    assert len(read_secret(str(file))) == LARGEST
    for path, words in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ValueError, match=words) as caught:
            read_secret(str(path))
        assert isinstance(caught.value.__cause__, FileNotFoundError) == (path != tmp_path)
    with pytest.raises(ValueError, match="larger than 64 KiB"):
        read_secret("/dev/zero")
