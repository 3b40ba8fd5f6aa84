"""A container engine beside a deployment: in namespaces of its own, with a socket for the agent.

    python -m tests.airflow.engine FOLDER IMAGE.tar

It runs until its standard input ends, and everything in it ends with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.containers.engine import DOCKER, Engine
from tests.support.stack import until

BUSYBOX: Final = Path(__file__).resolve().parents[2] / "build" / "airflow-image" / "bin" / "busybox"
"""What the image has: set_up.sh brings it."""
IMAGE: Final = "remote-airflow-test"
_APART: Final = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


class SharedEngine(Engine):
    """One whose socket is seen from outside its namespaces."""

    group = "remote-test-airflow"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.env |= {"HOME": str(folder), "DOCKER_HOST": address(folder)}


def address(folder: Path) -> str:
    """Where such an engine is reached."""
    return f"unix://{folder}/docker.sock"


@contextmanager
def started(folder: Path) -> Iterator[str]:
    """An engine that has the image, for as long as the context lasts; its address."""
    assert os.geteuid() == 0, "make test-airflow needs root, to run a container engine"
    folder.mkdir()
    out = folder / "out"
    with out.open("wb") as output:
        process = subprocess.Popen(
            [*_APART, sys.executable, "-m", "tests.airflow.engine", str(folder / "engine")],
            stdin=subprocess.PIPE, stdout=output, stderr=output,
        )  # fmt: skip

    def ready() -> bool:
        words = out.read_text()
        assert process.poll() is None, f"the engine has ended:\n{words}"
        return "ready" in words

    try:
        until(ready, "the engine has its image", 120)
        yield address(folder / "engine")
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
        shutil.rmtree(folder)


def containers(where: str) -> list[str]:
    """The ids of all containers of an engine."""
    environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": where}
    done = subprocess.run(
        [DOCKER, "ps", "-aq"], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def _image(folder: Path) -> Path:
    """A root of busybox and a shell that finds its commands in it."""
    root = folder / "image"
    (root / "bin").mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "bin" / "busybox").write_bytes(BUSYBOX.read_bytes())
    (root / "bin" / "busybox").chmod(0o755)
    for name in ("sh", "echo", "hostname", "sleep"):
        (root / "bin" / name).symlink_to("busybox")
    archive = folder / "image.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    return archive


def main() -> None:
    folder = Path(sys.argv[1])
    with SharedEngine(folder) as engine:
        engine.call("import", _image(folder), IMAGE)
        print("ready", flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
