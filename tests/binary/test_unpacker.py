"""The binary unpacks itself once, verifies what it runs, and says why it cannot."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.errors import AgentError
from remote_agent.service import account
from tests.binary.conftest import Binary

INTERNAL = "_internal"


def inodes(folder: Path) -> dict[str, int]:
    """Every file below a folder; a file that is written anew has another number."""
    return {str(p.relative_to(folder)): p.lstat().st_ino for p in folder.rglob("*") if p.is_file()}


def some_library(folder: Path) -> Path:
    """A library of the program."""
    (found,) = (folder / INTERNAL).glob("libpython3*")
    return found


def test_it_unpacks_itself_once_and_closed_to_others(binary: Binary) -> None:
    assert binary.run("--version").stdout.startswith("remote-agent ")
    before = inodes(binary.version)
    assert binary.run("--version").stdout.startswith("remote-agent ")
    assert inodes(binary.version) == before
    for path in (binary.programs, *binary.programs.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) in (0o700, 0o600), path
        assert path.stat().st_uid == os.geteuid()


def test_it_does_not_use_the_temporary_directory(binary: Binary, tmp_path: Path) -> None:
    empty = tmp_path / "tmp"
    empty.mkdir(mode=0o500)
    binary.env["TMPDIR"] = str(empty)
    binary.run("--version")
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "damage", ["changed", "shorter", "missing", "a link", "writable", "a folder"]
)
def test_a_damaged_file_is_replaced_before_anything_runs(binary: Binary, damage: str) -> None:
    binary.run("--version")
    before = inodes(binary.version)
    library = some_library(binary.version)
    content = library.read_bytes()
    match damage:
        case "changed":
            library.write_bytes(content[:-2000] + b"x" * 2000)
        case "shorter":
            os.truncate(library, 1000)
        case "missing":
            library.unlink()
        case "a link":
            other = binary.programs.parent / "planted"
            other.write_bytes(content)
            library.unlink()
            library.symlink_to(other)
        case "writable":
            library.chmod(0o622)
        case "a folder":
            library.unlink()
            (library / "deep").mkdir(parents=True)
    binary.run("--version")
    assert library.read_bytes() == content and not library.is_symlink()
    assert stat.S_IMODE(library.stat().st_mode) & 0o077 == 0
    after = inodes(binary.version)
    name = str(library.relative_to(binary.version))
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] != before[path]} <= {name}, "the rest is kept"


def test_what_does_not_belong_there_is_removed(binary: Binary) -> None:
    binary.run("--version")
    (binary.version / INTERNAL / "sitecustomize.py").write_text("raise SystemExit('planted')\n")
    (binary.version / "extra").mkdir()
    binary.run("--version")
    assert not (binary.version / INTERNAL / "sitecustomize.py").exists()
    assert not (binary.version / "extra").exists()


def test_an_interrupted_unpacking_is_finished(binary: Binary) -> None:
    process = subprocess.Popen([binary.file, "--version"], env=binary.environment)
    while True:
        ended = process.poll() is not None  # asked first: it may be quicker than this loop
        if list(binary.store.glob(f"*/{INTERNAL}/*")):
            break
        assert not ended
    process.kill()
    process.wait()
    assert binary.run("--version").stdout.startswith("remote-agent ")
    assert not list(binary.programs.rglob("*.new"))


def test_many_starts_at_once(binary: Binary) -> None:
    processes = [
        subprocess.Popen([binary.file, "--version"], env=binary.environment, stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    for process in processes:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0 and said.startswith(b"remote-agent ")
    assert not list(binary.programs.rglob("*.new"))


def test_other_versions_go_when_nothing_runs_from_them(
    binary: Binary, another_version: Path
) -> None:
    binary.run("--version")
    old = binary.version
    newer = Binary(another_version, binary.programs)
    newer.run("--version")
    assert not old.exists() and newer.version.name.startswith("9.9.9-")


def test_what_else_is_in_the_named_directory_is_left_alone(
    binary: Binary, another_version: Path
) -> None:
    binary.programs.mkdir(mode=0o755)
    (binary.programs / "folder").mkdir()
    for name in ("file", "folder/file"):
        (binary.programs / name).write_text("somebody's")
    for file in (binary.file, another_version, binary.file.with_name("remotectl")):
        Binary(file, binary.programs, {"REMOTE_PROGRAM_DIR": str(binary.programs)}).run("--version")
    found = {path.name for path in binary.programs.iterdir()}
    assert found == {"file", "folder", "remote-agent-program", "remotectl-program"}
    assert (binary.programs / "folder" / "file").read_text() == "somebody's"
    assert stat.S_IMODE(binary.programs.stat().st_mode) == 0o755
    assert binary.version.name.startswith("9.9.9-")


def test_noexec_is_named(binary: Binary, noexec_disk: Path) -> None:
    binary.programs = noexec_disk / "programs"
    said = binary.refuses()
    assert "mounted noexec" in said and "REMOTE_AGENT_PROGRAM_DIR" in said
    assert list(binary.store.iterdir()) == []


def test_a_full_disk_is_named_and_left_usable(binary: Binary, small_disk: Path) -> None:
    binary.programs = small_disk / "programs"
    said = binary.refuses()
    assert "no room" in said and "MB are free" in said and "REMOTE_AGENT_PROGRAM_DIR" in said
    assert not list(binary.programs.rglob("*.new"))
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    binary.run("--version")
    # Unbuffered: a rest that did not fit would be written again, and fail again, at the close.
    with open(small_disk / "filling", "wb", buffering=0) as filling, pytest.raises(OSError):
        while True:
            filling.write(b"x" * 65536)
    assert binary.run("--version").returncode == 0, "what is unpacked needs no room"


def test_no_write_access_is_named(binary: Binary, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", sealed], check=True)
    try:
        binary.programs = sealed / "programs"
        said = binary.refuses()
    finally:
        subprocess.run(["umount", sealed], check=True)
    assert "read-only" in said and "REMOTE_AGENT_PROGRAM_DIR" in said


def as_nobody(file: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the binary as a user without rights."""
    return subprocess.run(
        [file, "--version"], env=env, capture_output=True, text=True, check=False,
        user=65534, group=65534, extra_groups=[],
    )  # fmt: skip


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody can enter."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_user_without_rights_has_it_at_home(dist: Path, public: Path) -> None:
    file = Path(shutil.copy(dist / "remote-agent", public))
    done = as_nobody(file)
    assert done.returncode == 1 and "HOME is not set" in done.stderr
    done = as_nobody(file, HOME=str(public / "none"))
    assert done.returncode == 1 and "permission denied" in done.stderr
    assert "REMOTE_AGENT_PROGRAM_DIR" in done.stderr
    home = public / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    done = as_nobody(file, HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert len(list((home / ".local/share/remote-agent/program").iterdir())) == 1
    elsewhere = home / "state"
    assert as_nobody(file, HOME="/", REMOTE_AGENT_STATE_DIR=str(elsewhere)).returncode == 0
    assert (elsewhere / "program").is_dir()


def test_the_account_of_the_service_is_tried_with_it(dist: Path, public: Path) -> None:
    file, state = Path(shutil.copy(dist / "remote-agent", public)), public / "state"
    account.own(state, "nobody")
    account.check_program(str(file), "nobody", "open", state)
    assert (state / "program").stat().st_uid == state.stat().st_uid != os.geteuid()
    file.chmod(0o700)
    with pytest.raises(AgentError, match="user nobody cannot run"):
        account.check_program(str(file), "nobody", "open", state)


@pytest.mark.parametrize("weakness", ["everybody", "stranger", "group", "link"])
def test_a_place_that_others_can_change_is_refused(
    binary: Binary, tmp_path: Path, weakness: str
) -> None:
    above = tmp_path / "above"
    above.mkdir()
    binary.programs = above / "programs"
    match weakness:
        case "everybody":
            above.chmod(0o777)
        case "stranger":
            os.chown(above, 65534, 65534)
        case "group":
            os.chown(above, 0, 65534)
            above.chmod(0o775)
        case "link":
            planted = tmp_path / "planted"
            planted.mkdir()
            os.chown(planted, 65534, 65534)
            binary.programs.symlink_to(planted)
    said = binary.refuses()
    assert "another user could replace the program" in said
    assert str(tmp_path / ("planted" if weakness == "link" else "above")) in said


def test_a_version_that_somebody_else_put_there_is_not_run(binary: Binary) -> None:
    binary.run("--version")
    for path in (binary.version, *binary.version.rglob("*")):
        os.chown(path, 65534, 65534)
    before = inodes(binary.version)
    binary.run("--version")
    assert not set(before.values()) & set(inodes(binary.version).values()) or all(
        path.stat().st_uid == os.geteuid() for path in binary.version.rglob("*")
    )
    assert binary.version.stat().st_uid == os.geteuid()


def test_a_damaged_download_says_so(binary: Binary, tmp_path: Path) -> None:
    content = bytearray(binary.file.read_bytes())
    middle = len(content) // 2  # in the packed files
    content[middle : middle + 64] = bytes(64)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    damaged.chmod(0o700)
    binary.file = damaged
    assert "this file is damaged: download it again" in binary.refuses()


def test_a_host_without_a_c_library(binary: Binary, tmp_path: Path) -> None:
    """Nothing is there but the binary: no loader, no libc, no /proc files but its own."""
    root = tmp_path / "root"
    for folder in ("bin", "proc", "dev", "var/lib"):
        (root / folder).mkdir(parents=True)
    shutil.copy(binary.file, root / "bin" / "remote-agent")
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    try:
        for _ in range(2):
            done = subprocess.run(
                ["/usr/sbin/chroot", root, "/bin/remote-agent", "config"], env={"HOME": "/"},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "/var/lib/remote-agent" in done.stdout
    finally:
        subprocess.run(["umount", root / "proc"], check=True)
    (version,) = (root / "var/lib/remote-agent-program").iterdir()
    assert version.name.endswith("-libc") and (version / INTERNAL / "libc.so.6").exists()
    assert stat.S_IMODE(version.parent.stat().st_mode) == 0o700
