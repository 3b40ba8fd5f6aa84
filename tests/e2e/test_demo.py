"""`make demo`: it ends well, and leaves nothing behind even when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from tests.support.stack import until

DEMO = Path(__file__).resolve().parents[2] / "demo" / "run.py"
MARK = "REMOTE_DEMO_TEST_MARK"


def start(tmp_path: Path, mark: str) -> subprocess.Popen[bytes]:
    with (tmp_path / "out").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, str(DEMO)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "TMPDIR": str(tmp_path), MARK: mark},
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
    code = process.wait(60)
    text = (tmp_path / "out").read_text()
    assert code == 0, text[-2000:]
    assert "all three ended as intended" in text and "\x1b[" not in text
    assert all(word in text for word in ("succeeded", "failed", "cancelled"))
    nothing_is_left(tmp_path, mark)


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    process = start(tmp_path, mark)
    until(lambda: "cancelled | step 3" in (tmp_path / "out").read_text(), "jobs run", 40)
    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 130
    nothing_is_left(tmp_path, mark)
