"""Bundles that go with jobs: what is packed when, sent once, and what becomes of it on a host."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from remote_airflow import versions
from remote_airflow.packing import PackError
from remote_airflow.pushes import ARCHIVE, Pushes
from remote_airflow.server import Server, Unavailable
from remote_airflow.settings import Settings, load

from .conftest import FakeServer, run, told, until, workload

PROGRAM = Path(versions.__file__).with_name("run_task.py")


class World:
    """Folders by bundle and version, and a clock of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root, self.now, self.asked = root, 0.0, 0

    def folder(self, name: str, version: str | None = None) -> Path:
        found = self.root / (f"{name}@{version}" if version else name)
        found.mkdir(exist_ok=True)
        return found

    @contextmanager
    def root_of(self, name: str, version: str | None) -> Iterator[str]:
        self.asked += 1
        yield str(self.folder(name, version))

    def clock(self) -> float:
        return self.now


@pytest.fixture
def known() -> Settings:
    from airflow.configuration import conf

    return load(conf)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def pushes(server: FakeServer, known: Settings, world: World) -> Pushes:
    return Pushes(Server(known), known, world.root_of, world.clock)


def sent(server: FakeServer) -> int:
    return sum(call.startswith("PATCH") for call in server.calls)


def text_of(server: FakeServer, files: list[dict[str, Any]], name: str) -> str:
    (file,) = files
    with zipfile.ZipFile(io.BytesIO(server.contents[file["digest"]])) as archive:
        return archive.read(name).decode()


def test_a_bundle_is_sent_once_and_again_when_it_has_changed(
    server: FakeServer, world: World, pushes: Pushes
) -> None:
    dag = world.folder("dags") / "a.py"
    dag.write_text("one")
    first = pushes.files("dags", None)
    assert first[0]["path"] == ARCHIVE and text_of(server, first, "a.py") == "one"
    assert pushes.files("dags", None) == first and sent(server) == 1
    dag.write_text("three")
    second = pushes.files("dags", None)
    assert text_of(server, second, "a.py") == "three" and sent(server) == 2
    dag.write_text("one")
    assert pushes.files("dags", None) == first, "it is there already"
    assert sent(server) == 2


def test_looks_take_a_tenth_of_the_time_at_most(
    world: World, server: FakeServer, known: Settings
) -> None:
    def slow() -> float:
        world.now += 1.0
        return world.now

    pushes = Pushes(Server(known), known, world.root_of, slow)
    (world.folder("dags") / "a.py").write_text("one")
    first = pushes.files("dags", None)
    (world.folder("dags") / "a.py").write_text("three")
    assert pushes.files("dags", None) == first and world.asked == 1
    world.now += 100
    assert pushes.files("dags", None) != first and world.asked == 2


def test_one_with_a_version_is_looked_at_once(
    server: FakeServer, world: World, pushes: Pushes
) -> None:
    for version in ("v1", "v2"):
        (world.folder("git", version) / "a.py").write_text(version)
    old, new = pushes.files("git", "v1"), pushes.files("git", "v2")
    assert (text_of(server, old, "a.py"), text_of(server, new, "a.py")) == ("v1", "v2")
    world.now += 1000
    assert pushes.files("git", "v1") == old and world.asked == 2 and sent(server) == 2


def test_large_ones_go_in_parts_and_on_where_they_were(
    server: FakeServer, world: World, pushes: Pushes
) -> None:
    data = os.urandom(3_000_000)
    (world.folder("dags") / "a.bin").write_bytes(data)
    server.away = True
    with pytest.raises(Unavailable):
        pushes.files("dags", None)
    server.away = False
    (file,) = pushes.files("dags", None)
    assert sent(server) == 3 and len(server.contents[file["digest"]]) == file["size"]
    # The server gave up what comes after its first bytes.
    server.contents[file["digest"]] = server.contents[file["digest"]][:10]
    pushes.lost()
    assert pushes.files("dags", None) == [file]
    assert len(server.contents[file["digest"]]) == file["size"]


def test_what_cannot_be_pushed_is_said(server: FakeServer, world: World, pushes: Pushes) -> None:
    with pytest.raises(
        PackError, match=r"the DAG bundle 'dags' cannot be pushed: its folder .* has"
    ):
        pushes.files("dags", None)
    (world.folder("dags") / "a.py").write_text("one")
    server.largest = 10
    with pytest.raises(PackError, match="does not take it: a content may have less"):
        pushes.files("dags", None)


def test_what_changes_all_the_time_is_said(
    world: World, pushes: Pushes, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = world.folder("dags") / "a.py"
    dag.write_text("")
    whole = pushes._look

    def changing(root: str) -> Any:
        dag.write_text(dag.read_text() + "x")
        return whole(root)

    monkeypatch.setattr(pushes, "_look", changing)
    with pytest.raises(PackError, match="changes all the time or cannot be read; check who writes"):
        pushes.files("dags", None)


def configured(monkeypatch: pytest.MonkeyPatch, *bundles: dict[str, Any]) -> None:
    name = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
    monkeypatch.setenv(name, json.dumps(bundles))
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    versions._bundles.cache_clear()


LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "dags"
    root.mkdir()
    (root / "a.py").write_text("one")
    configured(
        monkeypatch,
        {"name": "dags-folder", "classpath": LOCAL, "kwargs": {"path": str(root)}},
        {"name": "gone", "classpath": LOCAL, "kwargs": {"path": str(tmp_path / "gone")}},
        {
            "name": "versioned",
            "classpath": "airflow_provider_tests_bundle.VersionedBundle",
            "kwargs": {"root": str(tmp_path / "versioned")},
        },
        {
            "name": "git",
            "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
            "kwargs": {"repo_url": str(tmp_path / "nothing.git"), "tracking_ref": "main"},
        },
    )
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "kept"))
    yield root
    versions._bundles.cache_clear()


def test_the_check_says_what_would_be_sent(
    dags: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from remote_airflow.cli import check

    local = {"name": "dags-folder", "classpath": LOCAL, "kwargs": {"path": str(dags)}}
    configured(monkeypatch, local)
    monkeypatch.setenv("AIRFLOW__REMOTE__PUSH_BUNDLES", "dags-folder")
    check(Namespace(team=None))
    said = "\nDAG bundle dags-folder is pushed: 1 file, 3 bytes\n"
    assert capsys.readouterr().out.endswith(said)
    (dags / "a.py").unlink()
    with pytest.raises(SystemExit, match=r"'dags-folder' cannot be pushed: its folder .* no files"):
        check(Namespace(team=None))


def test_bundles_are_found_as_airflow_has_them(
    dags: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "airflow_provider_tests_bundle.py").write_text(
        "from pathlib import Path\n"
        "from airflow.dag_processing.bundles.base import BaseDagBundle\n"
        "class VersionedBundle(BaseDagBundle):\n"
        "    supports_versioning = True\n"
        "    refreshed = 0\n"
        "    def __init__(self, *, root, **more):\n"
        "        super().__init__(**more)\n"
        "        self.root = root\n"
        "    def initialize(self):\n"
        "        if self.version == 'broken':\n"
        "            raise RuntimeError('no such commit')\n"
        "        self.path.mkdir(parents=True, exist_ok=True)\n"
        "        super().initialize()\n"
        "    @property\n"
        "    def path(self):\n"
        "        return Path(self.root, self.version or 'newest')\n"
        "    def get_current_version(self):\n"
        "        return None\n"
        "    def refresh(self):\n"
        "        VersionedBundle.refreshed += 1\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    versions._bundles.cache_clear()
    with versions.bundle_root("dags-folder", None) as root:
        assert root == str(dags)
    with versions.bundle_root("versioned", "v1") as root:
        assert root == str(tmp_path / "versioned" / "v1") and Path(root).is_dir()
    import airflow_provider_tests_bundle as module  # type: ignore[import-not-found]

    assert module.VersionedBundle.refreshed == 0
    with versions.bundle_root("versioned", None) as root:
        assert root.endswith("newest") and module.VersionedBundle.refreshed == 1
    with (
        pytest.raises(PackError, match="cannot have it in version broken: no such commit"),
        versions.bundle_root("versioned", "broken"),
    ):
        pass
    gone = "Error cloning repository .fatal: repository '.*nothing.git' does not exist"
    with pytest.raises(PackError, match=gone), versions.bundle_root("git", "a1b2"):
        pass
    with pytest.raises(PackError, match="is not among"), versions.bundle_root("unknown", None):
        pass


@pytest.fixture
def pushing(dags: Path, monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> Iterator[Any]:
    from remote_airflow.executor import RemoteExecutor

    monkeypatch.setenv("AIRFLOW__REMOTE__PUSH_BUNDLES", "dags-folder,gone")
    found = RemoteExecutor(parallelism=8)
    found.start()
    yield found
    found.terminate()


def test_tasks_get_the_bundle_as_it_is_when_they_are_submitted(
    pushing: Any, server: FakeServer, dags: Path
) -> None:
    (first,) = run(pushing, workload("first"))
    until(lambda: first in server.keys, "it is submitted")
    (dags / "a.py").write_text("three")

    def later() -> bool:
        (second,) = run(pushing, workload(f"again{len(server.jobs)}"))
        until(lambda: second in server.keys, "it is submitted")
        return text_of(server, server.job_of(second)["files"], "a.py") == "three"

    until(later, "the next tasks see it")
    assert text_of(server, server.job_of(first)["files"], "a.py") == "one"


def test_what_the_server_has_lost_is_sent_again(
    pushing: Any, server: FakeServer, dags: Path
) -> None:
    (first,) = run(pushing, workload("first"))
    until(lambda: first in server.keys, "it is submitted")
    server.contents.clear()
    (second,) = run(pushing, workload("second"))
    until(lambda: second in server.keys, "it is submitted")
    assert server.job_of(second)["files"] == server.job_of(first)["files"]


def test_a_repeat_after_a_lost_answer_keeps_its_files(
    pushing: Any, server: FakeServer, dags: Path
) -> None:
    server.lose_answers = 1
    (dispatch,) = run(pushing, workload("t"))
    until(lambda: dispatch in server.keys, "the server has it")
    (dags / "a.py").write_text("three")
    until(lambda: not pushing._dispatches.pending(), "it is submitted again")
    bodies = server.bodies[dispatch]
    assert len(bodies) == 2 and bodies[0] == bodies[1]


def test_a_bundle_that_cannot_be_pushed_fails_its_tasks_only(
    pushing: Any, server: FakeServer
) -> None:
    good, bad = workload("good"), workload("bad")
    bad = bad.model_copy(
        update={"bundle_info": bad.bundle_info.model_copy(update={"name": "gone"})}
    )
    dispatches = run(pushing, bad, good)
    told(pushing, bad.ti.key, "failed")
    assert "the DAG bundle 'gone' cannot be pushed" in pushing._task_event_logs[0].extra
    until(lambda: dispatches[1] in server.keys, "the other one is submitted")


def test_nothing_is_looked_at_for_tasks_without(executor: Any, server: FakeServer) -> None:
    (dispatch,) = run(executor, workload("t"))
    until(lambda: dispatch in server.keys, "it is submitted")
    assert "files" not in server.job_of(dispatch)
    assert not [call for call in server.calls if "contents" in call]


def unpacked(folder: Path, name: str = "dags-folder") -> dict[str, Any]:
    """What the program of a job makes of its work directory, before it runs the task."""
    text = PROGRAM.with_name("task_bundle.py").read_text()
    code = (
        f"import sys\n{text}\nunpack_bundle({name!r})\n"
        "from airflow.dag_processing.bundles.manager import DagBundlesManager\n"
        "bundles = DagBundlesManager()\n"
        "paths = {b.name: str(b.path) for b in bundles.get_all_dag_bundles()}\n"
        f"paths['v'] = str(bundles.get_bundle({name!r}, 'v1').path)\n"
        "sys.stderr.write(json.dumps(paths))\n"
    )
    env = {**os.environ, "REMOTE_WORK_DIR": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, check=True, timeout=60
    )
    return dict(json.loads(done.stderr.splitlines()[-1]))


def test_the_program_of_a_job_finds_what_was_packed(
    server: FakeServer, pushes: Pushes, world: World, tmp_path: Path
) -> None:
    dags = world.folder("dags")
    (dags / "lib").mkdir()
    (dags / "lib" / "a.py").write_text("one")
    (dags / "run.sh").write_text("#!/bin/sh\n")
    (dags / "run.sh").chmod(0o755)
    (file,) = pushes.files("dags", None)
    work = tmp_path / "work"
    work.mkdir()
    (work / file["path"]).write_bytes(server.contents[file["digest"]])
    paths = unpacked(work)
    root = Path(paths["dags-folder"])
    assert paths == {"dags-folder": str(root), "v": str(root)} and work in root.parents
    assert (root / "lib" / "a.py").read_text() == "one" and os.access(root / "run.sh", os.X_OK)
    assert not (work / ARCHIVE).exists()


def test_without_one_the_hosts_bundles_are_used(tmp_path: Path) -> None:
    assert set(unpacked(tmp_path)) == {"dags-folder", "v"}
    assert list(tmp_path.iterdir()) == []
