"""Short commands of our programs, each in a process of its own that has imported them already.

A command that is started as a program imports for half a second or more of CPU, and tests start
hundreds of them. A server that multiprocessing keeps for such children has imported them once.
multiprocessing imports the script that runs in each child: it needs `if __name__ == "__main__"`.
What stays, or is watched from outside, is started as a program: its command line and environment in
/proc are its own.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

_FORKED = multiprocessing.get_context("forkserver")
# What commands load only when they are called is named, too.
_FORKED.set_forkserver_preload(
    ["remote_server.cli.commands", "remote_agent.cli.commands", "remote_agent.cli.enrol"]
)


def call(
    module: str, words: Sequence[str], env: Mapping[str, str], deadline: float
) -> subprocess.CompletedProcess[str]:
    """Run a program's `module`.main to its end. `words` are its command line, `env` is all of its
    environment. subprocess.TimeoutExpired after `deadline` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        about = (module, list(words), os.getcwd(), dict(env), out, err)
        process = _FORKED.Process(target=_command, args=about)
        process.start()
        process.join(deadline)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, deadline, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(
            words, process.exitcode, out.read_text(), err.read_text()
        )


def _command(
    module: str, words: list[str], folder: str, env: dict[str, str], out: Path, err: Path
) -> None:
    os.chdir(folder)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for descriptor, path in ((1, out), (2, err)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = words
    sys.exit(import_module(module).main())
