"""The runtime hook: the environment as it was, and the lock on the program's directory."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

HOOK = Path(__file__).resolve().parents[2] / "installers" / "binary" / "started.py"
SHOW = (
    "import json, os, sys\n"
    "sys.executable = sys.argv[2]\n"
    "exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'))\n"
    "print(json.dumps(dict(os.environ)), flush=True)\n"
    "sys.stdin.read()\n"
)


def start(tmp_path: Path, *kept: int, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SHOW, HOOK, tmp_path / "program"], env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=kept,
    )  # fmt: skip


def seen(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    environment: dict[str, str] = json.loads(process.stdout.readline())
    return environment


def is_free(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_the_environment_is_the_one_before_the_bootloader(tmp_path: Path) -> None:
    bent = {
        "LD_LIBRARY_PATH": "/program/_internal:/opt/lib",
        "LD_LIBRARY_PATH_ORIG": "/opt/lib",
        "_PYI_ARCHIVE_FILE": "x",
        "_MEIPASS2": "x",
        "HOME": "/home/x",
    }
    with start(tmp_path, **bent) as process:
        environment = seen(process)
        process.communicate()
    environment.pop("LC_CTYPE", None)
    assert environment == {"LD_LIBRARY_PATH": "/opt/lib", "HOME": "/home/x"}
    del bent["LD_LIBRARY_PATH_ORIG"]
    with start(tmp_path, **bent) as process:
        environment = seen(process)
        process.communicate()
    assert "LD_LIBRARY_PATH" not in environment


def test_a_process_keeps_its_programs_directory(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        seen(process)
        assert not is_free(tmp_path)
        process.communicate()
    assert is_free(tmp_path)


def test_the_lock_of_the_unpacker_is_taken_over(tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    with start(tmp_path, held, _REMOTE_HELD_DIRECTORY=str(held)) as process:
        os.close(held)
        assert "_REMOTE_HELD_DIRECTORY" not in seen(process)
        assert not is_free(tmp_path)
        process.communicate()
    assert is_free(tmp_path)
