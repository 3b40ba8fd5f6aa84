"""What is in the images: little, nothing secret, no root."""

from __future__ import annotations

import pytest

from tests.containers.conftest import BASE
from tests.containers.engine import Engine

MEGABYTE = 1_000_000


@pytest.mark.parametrize(("image", "most"), [("remote-agent", 40), ("remote-server", 120)])
def test_an_image_is_small(images: Engine, image: str, most: int) -> None:
    added = images.image(image)["Size"] - images.image(BASE)["Size"]
    print(f"\n{image}: {added / MEGABYTE:.1f} MB more than its base image")
    assert added < most * MEGABYTE


@pytest.mark.parametrize("image", ["remote-agent", "remote-server"])
def test_an_image_is_run_by_a_user_who_can_change_nothing_of_it(images: Engine, image: str) -> None:
    config = images.image(image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"]
    assert not [line for line in config["Env"] if "TOKEN" in line]
    find = "id -un; find / -xdev -writable ! -type l ! -path '/proc/*' ! -path '/dev/*' 2>/dev/null"
    said = images.run("run", "--rm", "--entrypoint", "sh", image, "-c", find).stdout.splitlines()
    own = {f"/var/lib/{image}", "/home/remote-agent", "/tmp", "/var/tmp", "/run/lock"}
    assert said[0] == image and set(said[1:]) <= own


@pytest.mark.parametrize("image", ["remote-agent", "remote-server"])
def test_an_image_has_labels_and_nothing_that_only_builds(images: Engine, image: str) -> None:
    labels = images.image(image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == image
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    look = (
        "for program in cc gcc make ld git go; do command -v $program; done; "
        "find /opt /source /dist -name pip -o -name setuptools -o -name '*.whl'; true"
    )
    done = images.run("run", "--rm", "--entrypoint", "sh", image, "-c", look)
    assert (done.returncode, done.stdout) == (0, ""), done


@pytest.mark.parametrize("image", ["remote-agent", "remote-server"])
def test_an_image_knows_its_program(images: Engine, image: str) -> None:
    assert images.call("run", "--rm", image, "--version").startswith(image)


def test_an_unknown_user_can_run_the_agent(images: Engine) -> None:
    """As in clusters that give every container a user of its own."""
    options = ("--user", "123456:0", "--read-only", "--tmpfs", "/tmp")
    said = images.call("run", "--rm", *options, "remote-agent", "--version")
    assert said.startswith("remote-agent ")


def test_missing_settings_are_named_at_once(images: Engine) -> None:
    done = images.run("run", "--rm", "remote-agent")
    assert done.returncode == 2, done
    assert "REMOTE_AGENT_SERVER" in done.stderr and "REMOTE_AGENT_TOKEN" in done.stderr
