"""Containers as a shim has to make them, and what the owner of the host does not allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remote_agent.config import Config
from remote_agent.planning.container import plan
from remote_agent.planning.engine import Engine
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import NotAllowed, Work, WorkFile
from remote_agent.sections import ContainersPart
from remote_protocol.spec import ContainerSpec

HOME = Path("/state/attempts/J.1")
PATHS = JobPaths(str(HOME), str(HOME / "work"))
CONFIG = Config(state_dir=Path("/state"))


def engine(separate: bool = False, **policy: Any) -> Engine:
    made = ContainersPart.model_validate(policy)
    return Engine("/usr/bin/docker", {"PATH": "/bin"}, "inst", made, separate)


def planned(of: Engine | None = None, **fields: Any) -> Work:
    spec = ContainerSpec.model_validate({"image": "debian:12", **fields})
    return plan(spec, PATHS, CONFIG, of or engine())


def test_a_container_sees_its_own_directories_under_their_own_paths() -> None:
    work = planned(command=["echo", "hi"])
    assert (work.argv, work.workload, work.inherits) == (
        ["debian:12", "echo", "hi"],
        "container",
        False,
    )
    assert work.files == (WorkFile("outputs", b"", 0o600, own=True),)
    options = work.options
    assert (options["engine"], options["name"], options["pull"]) == (
        "/usr/bin/docker",
        "remote-J-1",
        "missing",
    )
    folders = [str(HOME / name) for name in ("work", "artifacts", "tmp", "outputs")]
    assert options["folders"] == folders
    mounts = [f"type=bind,source={folder},target={folder}" for folder in folders]
    assert [word for word in options["create"] if word.startswith("type=")] == mounts
    assert "--label=remote.installation=inst" in options["create"]
    assert "--label=remote.attempt=J.1" in options["create"]
    assert "--security-opt=no-new-privileges" in options["create"]
    assert "--pids-limit=4096" in options["create"]


def test_the_mask_file_is_there_where_there_is_one() -> None:
    assert str(HOME / "mask") in planned(secrets=["A"]).options["folders"]
    assert str(HOME / "mask") in planned(mask=True).options["folders"]
    relayed = planned(engine(networks=["host"]), relay="api", network="host")
    assert str(HOME / "mask") in relayed.options["folders"]
    assert "--network=host" in relayed.options["create"]


def test_limits_become_the_engines() -> None:
    create = planned(memory_limit=64 << 20, cpu_weight=50, io_weight=100).options["create"]
    assert {"--memory=67108864b", "--memory-swap=67108864b", "--cpu-shares=512"} <= set(create)
    assert "--blkio-weight=19" in create


def test_what_a_job_asks_for_besides() -> None:
    create = planned(user="1000:1000", init=True, entrypoint="/bin/sh", network="none").options[
        "create"
    ]
    assert {"--user=1000:1000", "--init", "--entrypoint=/bin/sh", "--network=none"} <= set(create)


def test_nothing_of_the_environment_is_in_the_command_line() -> None:
    assert "s3cret" not in repr(planned(env={"A": "s3cret"}))


def test_mounts_are_those_of_the_owners_list_and_none_below() -> None:
    of = engine(mounts=["/data", "/models:ro"])
    source = {"source": "/data", "target": '/in,"x"'}
    assert (
        'type=bind,source=/data,"target=/in,""x"""'
        in planned(of, mounts=[source]).options["create"]
    )
    read = {"source": "/models", "target": "/m", "read_only": True}
    assert (
        "type=bind,source=/models,target=/m,readonly"
        in planned(of, mounts=[read]).options["create"]
    )
    for bad, words in (
        ({"source": "/data/sub", "target": "/x"}, "does not let jobs mount /data/sub"),
        ({"source": "/data/../etc", "target": "/x"}, "does not let jobs mount"),
        ({"source": "/models", "target": "/m"}, "with read_only: true only"),
    ):
        with pytest.raises(NotAllowed, match=words):
            planned(of, mounts=[bad])
    with pytest.raises(NotAllowed, match="it allows none"):
        planned(mounts=[source])


def test_networks_are_those_of_the_owners_list() -> None:
    assert not [word for word in planned().options["create"] if "network" in word]
    alone = engine(networks=["none"])
    assert "--network=none" in planned(alone).options["create"]
    with pytest.raises(NotAllowed, match="the network 'host' to containers; it allows none"):
        planned(alone, network="host")


def test_users_of_separate_jobs_are_the_agents_choice() -> None:
    with pytest.raises(NotAllowed, match="none can be 'root'"):
        planned(engine(separate=True), user="root")


def test_a_host_without_an_engine_says_so() -> None:
    with pytest.raises(NotAllowed, match="neither docker nor podman"):
        plan(ContainerSpec(image="x"), PATHS, CONFIG, None)
