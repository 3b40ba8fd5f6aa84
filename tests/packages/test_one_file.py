"""Every block of docs/install.md, as it stands and in its order, on a clean host that reaches
nothing but a server and, first, a web server with a release."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from installers.binary.signing import KEY_FILE, SIGNATURE, SUMS, sign, write_sums
from tests.docs.blocks import INTERRUPT, Block, blocks
from tests.packages.conftest import NEW
from tests.packages.host import CleanHost
from tests.packages.managers import ROOT
from tests.systemd.host import FINISH, STATE
from tests.systemd.machine import DEADLINE, said, until
from tests.systemd.traces import same

DOCUMENT = ROOT / "docs" / "install.md"
HERE = "/packages/here"
"""Where the reader is; what lies below is nobody's trace."""


class Releases:
    """A web server on the host's loopback, port 8000, with one release."""

    def __init__(self, host: CleanHost, folder: Path) -> None:
        self._folder = folder
        words = ["-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "8000"]
        enter = ["nsenter", "-t", str(host.machine.leader), "-n", "--"]
        self._server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *enter, sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        host.listens(8000)

    def put(self, binary: Path) -> None:
        """Have it hold this binary, with its sums, signed."""
        shutil.copy2(binary, self._folder / "remote-agent")
        write_sums(self._folder)
        assert "is signed" in sign(self._folder)

    def stop(self) -> None:
        """End it; twice is once."""
        self._server.kill()
        self._server.wait()


@pytest.fixture
def releases(
    host: CleanHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Releases]:
    """Signed with a key of the test; `public.pem` is on the host, as its admin brought it."""
    key, inside = tmp_path / "key.pem", host.machine.root / HERE.lstrip("/")
    inside.mkdir()
    for words in (
        ["genpkey", "-algorithm", "ed25519", "-out", key],
        ["pkey", "-in", key, "-pubout", "-out", inside / "public.pem"],
    ):
        subprocess.run(["openssl", *map(str, words)], check=True)
    monkeypatch.setenv(KEY_FILE, str(key))
    folder = tmp_path / "release"
    folder.mkdir()
    releases = Releases(host, folder)
    try:
        yield releases
    finally:
        releases.stop()
        shutil.rmtree(inside)


def read() -> dict[str, list[Block]]:
    """The blocks of each section that has some."""
    found: dict[str, list[Block]] = {}
    heads = [
        (number, line.lstrip("# "))
        for number, line in enumerate(DOCUMENT.read_text().splitlines(), 1)
        if re.match("#+ ", line)
    ]
    for block in blocks(DOCUMENT.read_text()):
        section = [head for number, head in heads if number < block.line][-1]
        found.setdefault(section, []).append(block)
    return found


def play(host: CleanHost, block: Block) -> str:
    """What a block says on the host."""
    done = host.machine.run("sh", "-e", "-c", f"cd {HERE}\n{block.text}")
    assert done.returncode == 0, f"{block.text}\n{said(done)}"
    return said(done)


def play_on(host: CleanHost, block: Block, log: Path) -> subprocess.Popen[bytes]:
    """Start a block that runs on, and wait until it says what its reader waits for."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            host.machine.command("sh", "-e", "-c", f"cd {HERE}\n{block.text}"),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip

    def ready() -> bool:
        assert running.poll() is None, log.read_text()
        return block.until in log.read_text()

    until(ready, f"the block says {block.until!r}")
    return running


def test_what_the_page_says_works_and_leaves_nothing(
    host: CleanHost, releases: Releases, folder: Path, tmp_path: Path
) -> None:
    page = read()
    assert list(page) == [
        *("One binary", "Upgrade", "Uninstall", "Hosts without a way to the internet"),
        *("Without a service", "Build"),
    ]
    (install,), (upgrade,), (uninstall,) = (
        page[name] for name in ("One binary", "Upgrade", "Uninstall")
    )
    host.token_file(f"{HERE}/token")
    # What let the jobs of another test finish is there, or not, by the order of the tests.
    host.machine.call("rm", "-f", FINISH)
    files, users = host.traces(), host.users()

    releases.put(ROOT / "dist" / "remote-agent")
    begun = time.monotonic()
    assert "online" in play(host, install)
    assert host.ctl("run", "--", "echo", "first").splitlines()[-1] == "first"
    print(f"from curl to the first job's output: {time.monotonic() - begun:.1f} s")

    old, job = host.pid(), host.writing()
    releases.put(folder / "new" / "remote-agent")
    assert "online" in play(host, upgrade)
    assert host.online(other_than=old) and f"/{NEW}-" in host.machine.call(
        "readlink", f"/proc/{host.pid()}/exe"
    )
    host.let_finish()
    host.has_finished(job)

    done = play(host, uninstall)
    assert "removed  /var/lib/remote-agent-program" in done
    host.machine.call("rm", FINISH)
    same(host.traces(), files)
    same(host.users(), users)
    assert host.ctl("agent", "list", "-q") == ""


def test_without_a_way_to_the_internet_and_without_a_service(
    host: CleanHost, releases: Releases, tmp_path: Path
) -> None:
    page = read()
    (check,), (run, interrupt, remove) = (
        page[name] for name in ("Hosts without a way to the internet", "Without a service")
    )
    files, users = host.traces(), host.users()
    releases.put(ROOT / "dist" / "remote-agent")
    releases.stop()
    for name in ("remote-agent", SUMS, SIGNATURE):
        shutil.copy2(tmp_path / "release" / name, host.machine.root / HERE.lstrip("/") / name)
    routes = host.machine.call("cat", "/proc/net/route", "/proc/net/ipv6_route")
    assert all(line.split()[-1] in ("lo", "MTU", "IRTT") for line in routes.splitlines()), routes
    assert "Verified Successfully" in play(host, check)

    host.token_file(f"{HERE}/token")
    log = tmp_path / "log"
    running = play_on(host, run, log)
    try:
        assert host.ctl("run", "--", "echo", "first").splitlines()[-1] == "first"
        assert interrupt.language == INTERRUPT
        host.machine.call("sh", "-c", f"kill -INT $(cat {STATE}/lock)")
        assert running.wait(DEADLINE) == 0, log.read_text()
    finally:
        running.kill()
        running.wait()
    play(host, remove)
    same(host.traces(), files)
    same(host.users(), users)
    assert host.ctl("agent", "list", "-q") == ""


def test_a_release_that_was_changed_is_refused(
    host: CleanHost, releases: Releases, tmp_path: Path
) -> None:
    (install,) = read()["One binary"]
    releases.put(ROOT / "dist" / "remote-agent")
    with (tmp_path / "release" / "remote-agent").open("ab") as file:
        file.write(b"\0")
    done = host.machine.run("sh", "-e", "-c", f"cd {HERE}\n{install.text}")
    assert done.returncode == 1 and "remote-agent: FAILED" in done.stdout, said(done)
    assert host.machine.run("test", "-e", "/usr/local/bin/remote-agent").returncode == 1
