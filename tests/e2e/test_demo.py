"""`make demo`: it ends well, reads well on any terminal, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack import until

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).resolve().parents[2]
MARK = "REMOTE_DEMO_TEST_MARK"


def start(tmp_path: Path, mark: str, stdout: Any = None, **env: str) -> subprocess.Popen[bytes]:
    # Test runners tell their own terminal's width.
    ours = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    with (tmp_path / "out").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "demo.run"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            env={**ours, "TMPDIR": str(tmp_path), MARK: mark, **env},
            start_new_session=True,
        )


def nobody_has(mark: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    return False
            except OSError:
                continue
    return True


def nothing_is_left(tmp_path: Path, mark: str) -> None:
    until(lambda: nobody_has(mark), "every process of the demo has ended")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_the_demo_ends_as_intended(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    process = start(tmp_path, mark)
    code = process.wait(150)
    text = (tmp_path / "out").read_text()
    assert code == 0, text[-2000:]
    assert "all three ended as intended" in text and "\x1b[" not in text
    assert all(word in text for word in ("succeeded", "failed", "cancelled"))
    nothing_is_left(tmp_path, mark)


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    process = start(tmp_path, mark)
    until(lambda: "cancelled | step 3" in (tmp_path / "out").read_text(), "jobs run", 100)
    process.send_signal(signal.SIGINT)
    assert process.wait(100) == 130
    nothing_is_left(tmp_path, mark)


def test_a_reader_that_leaves_hears_no_complaint(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    with start(tmp_path, mark, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"demo: starting")
        process.stdout.close()
        assert process.wait(150) == 141
    assert (tmp_path / "out").read_text() == ""
    nothing_is_left(tmp_path, mark)


def test_a_narrow_terminal_of_an_old_character_set(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 60))
    process = start(tmp_path, mark, stdout=terminal, PYTHONIOENCODING="ascii")
    os.close(terminal)
    text = b"".join(pieces(main)).decode("ascii")
    assert process.wait(150) == 0, text[-2000:]
    assert "\x1b[36m    check |\x1b[0m json/decoder.py" in text
    plain = re.sub(r"\x1b\[\d*m", "", text)
    live = [line for line in plain.split("\r\n") if " | " in line]
    assert len(live) > 50
    assert max(map(len, live)) < 60
    nothing_is_left(tmp_path, mark)


def pieces(descriptor: int) -> Iterator[bytes]:
    """What is written to a terminal, until its other side is closed."""
    with contextlib.suppress(OSError):
        while piece := os.read(descriptor, 65536):
            yield piece
    os.close(descriptor)
