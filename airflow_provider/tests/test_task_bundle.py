"""A bundle that came with its task: unpacked once for all tasks of a user, whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

import remote_airflow

from .conftest import until

SOURCE = Path(remote_airflow.__file__).with_name("task_bundle.py")
LIST = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


class Host:
    """A host of tasks, each with a work directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.kept = self.home / "remote-bundles"
        self._works = 0

    def work(self, text: str, files: int = 1) -> Path:
        """The work directory of another task, with a bundle that says this."""
        self._works += 1
        work = self.root / f"work{self._works}"
        work.mkdir()
        with zipfile.ZipFile(work / ".airflow-bundle.zip", "w") as archive:
            for number in range(files):
                about = zipfile.ZipInfo(f"lib/{number}.py")
                about.external_attr = (0o755 if number else 0o644) << 16
                archive.writestr(about, text)
        return work

    def env(self, work: Path, most: int = 1 << 20) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__REMOTE__PUSH_CACHE": str(most),
            "REMOTE_WORK_DIR": str(work),
        }

    def task(self, text: str, most: int = 1 << 20, files: int = 1) -> Task:
        """What a task gets that has begun, and lives until `end`."""
        work = self.work(text, files)
        return Task(work, self.env(work, most))

    def names(self) -> set[str]:
        return {path.name for path in self.kept.iterdir() if path.is_dir()}


class Task:
    """Part of the program, as one task has it."""

    def __init__(self, work: Path, env: dict[str, str]) -> None:
        self.program = types.ModuleType("task_bundle")
        exec(SOURCE.read_text(), self.program.__dict__)
        before = {name: os.environ.get(name) for name in (*env, LIST)}
        os.environ.update(env)
        try:
            self.program.unpack_bundle("dags")
            (bundle,) = json.loads(os.environ[LIST])
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        assert bundle["name"] == "dags"
        self.place = Path(bundle["kwargs"]["path"])
        assert not (work / ".airflow-bundle.zip").exists()

    def end(self) -> None:
        for lock in self.program.locks:
            os.close(lock)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_tasks_of_one_bundle_have_one_folder(host: Host) -> None:
    first, second = host.task("one", files=2), host.task("one", files=2)
    assert first.place == second.place and first.place.parent == host.kept
    assert (first.place / "lib" / "0.py").read_text() == "one"
    modes = [(first.place / "lib" / f"{number}.py").stat().st_mode & 0o777 for number in (0, 1)]
    assert modes == [0o444, 0o555], "what one would change, another would run"
    assert host.kept.stat().st_mode & 0o777 == 0o700
    other = host.task("two")
    assert other.place != first.place and (other.place / "lib" / "0.py").read_text() == "two"


def test_what_is_not_whole_or_older_than_the_host_is_made_anew(host: Host) -> None:
    first = host.task("one")
    first.end()
    mark = host.kept / f"{first.place.name}.complete"
    for spoiled in ("", "{", '{"boot": "another"}'):
        (first.place / "lib" / "0.py").chmod(0o600)
        (first.place / "lib" / "0.py").write_text("half")
        mark.write_text(spoiled)
        again = host.task("one")
        assert again.place == first.place
        assert (again.place / "lib" / "0.py").read_text() == "one"
        again.end()


def test_the_ones_used_longest_ago_make_room_and_those_in_use_stay(host: Host) -> None:
    size = 1000
    tasks = [host.task(letter * size, 3 * size) for letter in "abc"]
    for number, task in enumerate(tasks):
        os.utime(host.kept / f"{task.place.name}.complete", (number, number))
    tasks[0].end()
    tasks[1].end()
    # Used again: the second is the oldest now.
    host.task("a" * size, 3 * size).end()
    fourth = host.task("d" * size, 3 * size)
    names = {tasks[0].place.name, tasks[2].place.name, fourth.place.name}
    assert host.names() == names
    fifth = host.task("e" * size, size)
    # In use: they stay, though they are more than may be kept.
    assert host.names() == {tasks[2].place.name, fourth.place.name, fifth.place.name}
    for task in (tasks[2], fourth, fifth):
        assert (task.place / "lib" / "0.py").exists()
    assert not list(host.kept.glob(f"{tasks[0].place.name}*"))


@pytest.mark.parametrize("most", [0, 2])
def test_one_that_is_too_large_is_the_tasks_own(host: Host, most: int) -> None:
    task = host.task("one", most)
    assert task.place.name == ".airflow-bundle" and host.root in task.place.parents
    assert (task.place / "lib" / "0.py").stat().st_mode & 0o200
    assert not list(host.root.glob("home/remote-bundles/*"))


def test_nothing_is_shared_where_others_could_put_something(host: Host, tmp_path: Path) -> None:
    host.home.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    host.kept.symlink_to(elsewhere)
    assert host.task("one").place.name == ".airflow-bundle" and not list(elsewhere.iterdir())
    if os.geteuid() == 0:
        host.kept.unlink()
        os.chown(host.home, 12345, 12345)
        assert host.task("one").place.name == ".airflow-bundle"


SLOW = """
whole = ZipFile.extractall
def extractall(packed, place):
    whole(packed, place, packed.namelist()[:1])
    with open({count!r}, "a") as file:
        file.write("x")
    import time
    time.sleep({pause})
    whole(packed, place)
ZipFile.extractall = extractall
unpack_bundle("dags")
print(json.loads(os.environ[{name!r}])[0]["kwargs"]["path"], flush=True)
"""


def started(host: Host, count: Path, pause: float) -> subprocess.Popen[str]:
    """A task in a process of its own, which takes long to unpack."""
    text = SOURCE.read_text() + SLOW.format(count=str(count), pause=pause, name=LIST)
    env = {**os.environ, **host.env(host.work("one", files=20))}
    return subprocess.Popen(
        [sys.executable, "-c", text], env=env, stdout=subprocess.PIPE, text=True
    )


def test_many_at_once_unpack_it_once(host: Host, tmp_path: Path) -> None:
    count = tmp_path / "count"
    tasks = [started(host, count, 0.3) for _ in range(4)]
    places = {task.communicate(timeout=60)[0].strip() for task in tasks}
    assert len(places) == 1 and count.read_text() == "x"
    assert len(list(Path(places.pop(), "lib").iterdir())) == 20


def test_one_that_is_killed_leaves_nothing_that_counts(host: Host, tmp_path: Path) -> None:
    count = tmp_path / "count"
    killed = started(host, count, 300)
    until(count.exists, "it unpacks")
    waiting: list[Any] = [started(host, count, 0)]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    place = waiting[0].communicate(timeout=60)[0].strip()
    assert len(list(Path(place, "lib").iterdir())) == 20 and count.read_text() == "xx"
