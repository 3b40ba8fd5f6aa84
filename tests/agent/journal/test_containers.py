"""Containers whose shims are dead: found and removed, by an engine shaped like docker."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from remote_agent.journal.containers import Containers, find_engine
from remote_agent.planning.engine import Engine
from remote_agent.sections import ContainersPart
from remote_protocol.attempt_id import AttemptId
from tests.support.fake_engine import install

JOB = "01JZ0000000000000000000000"
KEY = AttemptId(JOB, 1)
NAME = f"remote-{JOB}-1"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    program = str(install(tmp_path / "engine"))
    return Engine(program, {"PATH": os.environ["PATH"]}, "me", ContainersPart())


def leave(engine: Engine, name: str, attempt: str, installation: str = "me") -> Path:
    """A container that nobody looks after."""
    path = Path(engine.program).parent / f"{name}.json"
    labels = {"remote.installation": installation, "remote.attempt": attempt}
    path.write_text(json.dumps({"pid": 0, "labels": labels, "state": {}}))
    return path


def test_the_container_of_a_dead_shim_is_removed(engine: Engine) -> None:
    left = leave(engine, NAME, str(KEY))
    containers = Containers(engine)
    assert containers.remove(KEY) == "; its container was killed and removed"
    assert not left.exists()
    assert containers.remove(KEY) == ""


def test_one_that_cannot_be_removed_is_said(engine: Engine) -> None:
    leave(engine, NAME, str(KEY))
    (Path(engine.program).parent / "stuck").touch()
    assert Containers(engine).remove(KEY) == (
        "; its container could not be removed yet: removal is already in progress"
    )
    assert "has no engine any more" in Containers(None).remove(KEY)


def test_a_sweep_takes_this_installations_dead_ones_only(engine: Engine) -> None:
    dead, alive = leave(engine, NAME, str(KEY)), leave(engine, f"remote-{JOB}-2", f"{JOB}.2")
    others = leave(engine, "others", str(KEY), "somebody")
    strange = leave(engine, "strange", "no attempt")
    containers = Containers(engine)
    assert containers.sweep(lambda key: key.number == 2) == [NAME]
    assert not dead.exists() and alive.exists() and others.exists() and strange.exists()
    assert containers.used
    alive.unlink()
    assert containers.sweep(lambda key: False) == [] and not containers.used
    calls = (Path(engine.program).parent / "calls").read_text()
    assert containers.sweep(lambda key: False) == []
    assert (Path(engine.program).parent / "calls").read_text() == calls


def test_an_engine_is_looked_for(tmp_path: Path) -> None:
    install(tmp_path / "bin")
    environ = {"PATH": str(tmp_path / "bin"), "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    auto = ContainersPart()
    assert find_engine(auto, environ, "me") is None
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(f"{tmp_path}/docker.sock")
        daemon.listen()
        found = find_engine(auto, environ, "me")
    assert found is not None and found.program == str(tmp_path / "bin" / "docker")
    assert found.environ == environ
    assert find_engine(ContainersPart(engine="off"), environ, "me") is None
    named = find_engine(ContainersPart(engine="/opt/podman"), {}, "me", separate=True)
    assert named is not None and (named.program, named.separate) == ("/opt/podman", True)
    assert find_engine(auto, {**environ, "DOCKER_HOST": "tcp://x:2375"}, "me") is not None
    (tmp_path / "bin" / "docker").rename(tmp_path / "bin" / "podman")
    podman = find_engine(auto, environ, "me")
    assert podman is not None and podman.program.endswith("/podman")
