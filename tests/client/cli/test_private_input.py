"""The private input of `remotectl run`: where it comes from, and that nothing shows it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from remote_client.cli.private_input import read_private_input
from remote_client.errors import UsageError
from remote_protocol.limits import MAX_PRIVATE_INPUT
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, cri_log, job_view

HUSH = "hüsh\nhush\n"


def run(api: FakeApi, *options: str, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    api.on("POST", "/jobs", Answer(job_view(private_input=True), 201))
    done = job_view(state="succeeded", attempt=1, exit_code=0, private_input=True)
    api.on("GET", f"/jobs/{ID}", done)
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"done\n")))
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    command = [sys.executable, "-m", "remote_client", "run", *options, "--", "cat"]
    return subprocess.run(command, env=env, capture_output=True, timeout=60, check=False, **streams)


def test_a_file_is_the_only_input(api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(HUSH)
    done = run(api, "--private-input", str(file), input=b"this is not sent")
    assert (done.returncode, done.stdout) == (0, b"done\n"), done.stderr
    body = api.calls[0].body
    assert body["private_input"] == HUSH and "stdin" not in body
    assert not api.said("PATCH", f"/jobs/{ID}/input")
    assert b"hush" not in done.stderr


def test_a_pipe(api: FakeApi) -> None:
    assert run(api, "--private-input", "-", input=HUSH.encode()).returncode == 0
    assert api.calls[0].body["private_input"] == HUSH and "stdin" not in api.calls[0].body


def test_one_that_a_description_has_is_the_only_input(api: FakeApi, tmp_path: Path) -> None:
    spec = tmp_path / "job.json"
    spec.write_text('{"private_input": "hush"}')
    assert run(api, "--spec", str(spec), input=b"this is not sent").returncode == 0
    assert api.calls[0].body["private_input"] == "hush" and "stdin" not in api.calls[0].body


def typed(api: FakeApi, line: bytes) -> tuple[int, bytes]:
    """Exit code of a run whose user types this, and all that stands on the terminal then."""
    api.on("POST", "/jobs", Answer(job_view(private_input=True), 201))
    ours, theirs = pty.openpty()
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    options = ("run", "--private-input", "-", "--detach", "--", "cat")
    # getpass(3) asks the controlling terminal: the child's is the pty that it leads a session of.
    program = (
        "import fcntl, termios, sys, runpy; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "runpy.run_module('remote_client', run_name='__main__', alter_sys=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *options],
        env=env,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"Private input: " not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, line)
        out, err = process.communicate(timeout=60)
    with suppress(OSError):  # Linux: the other side is closed.
        shown += os.read(ours, 1024)
    os.close(ours)
    return process.returncode, shown + out + err


def test_a_terminal_is_asked_and_shows_nothing(api: FakeApi) -> None:
    code, shown = typed(api, b"hush hush\n")
    assert code == 0, shown
    assert api.calls[0].body["private_input"] == "hush hush"
    assert b"hush" not in shown


def test_what_is_typed_in_another_encoding_is_refused_in_words(api: FakeApi) -> None:
    code, shown = typed(api, b"hush \xff\n")
    assert code == 2 and b"is not text in UTF-8" in shown
    assert b"Traceback" not in shown and b"hush" not in shown


def test_nobody_is_told_it_where_nothing_is_submitted(api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(HUSH)
    answer = {"outlook": "now", "reason": "", "refusals": [], "agents": [], "candidates": []}
    api.on("POST", "/jobs/explain", answer)
    run(api, "--explain", "--private-input", str(file))
    assert api.calls[0].path == "/jobs/explain"
    assert api.calls[0].body["private_input"] is True


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a" * (MAX_PRIVATE_INPUT + 1), "has more than 64.0 KiB"),
        (b"", "is empty"),
        (b"secret \xff", "is not text in UTF-8"),
        (b"secret\0", "has a NUL"),
    ],
)
def test_what_is_no_private_input(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        read_private_input(str(file))
    assert words in str(refused.value) and "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_largest_one(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"a" * MAX_PRIVATE_INPUT)
    assert len(read_private_input(str(file))) == MAX_PRIVATE_INPUT
