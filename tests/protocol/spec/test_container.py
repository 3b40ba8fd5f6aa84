"""Jobs of the kind `container`: what an engine's command line is given, and what it never is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remote_protocol.spec import ContainerSpec, JobSpec, Mount


def spec(**fields: Any) -> ContainerSpec:
    found = JobSpec.model_validate({"kind": "container", "image": "debian:12", **fields})
    assert isinstance(found, ContainerSpec)
    return found


def test_an_image_is_enough() -> None:
    made = spec()
    assert (made.command, made.pull, made.mounts, made.user) == ([], "missing", [], None)
    assert JobSpec.model_validate_json(made.short_json) == made


@pytest.mark.parametrize(
    "image", ["debian", "a.example:5000/team/app:1.2_x-3", "app@sha256:0123abcd", "Local_1+x"]
)
def test_images_as_engines_name_them(image: str) -> None:
    assert spec(image=image).image == image


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "--privileged"},
        {"image": "-v"},
        {"image": ""},
        {"image": "a b"},
        {"image": "a\n--privileged"},
        {"image": "x" * 600},
        {"user": "--privileged"},
        {"user": "root:root:root"},
        {"user": "1000\n"},
        {"network": "container:other"},
        {"network": "-x"},
        {"pull": "sometimes"},
        {"mounts": [{"source": "data", "target": "/data"}]},
        {"mounts": [{"source": "/data", "target": "data"}]},
        {"mounts": [{"source": "/data\n", "target": "/data"}]},
        {"mounts": [{"source": "/data", "target": "/data", "propagation": "shared"}]},
        {"mounts": [{"source": "/a", "target": "/a"}] * 33},
        {"entrypoint": "a\0b"},
        {"privileged": True},
        {"pid": "host"},
        {"shell": "sh"},
        {"keep_processes": True},
    ],
)
def test_what_no_container_gets(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**fields)


def test_a_relay_goes_with_the_network_of_the_host_alone() -> None:
    """It is at the loopback address of the agent's host."""
    assert spec(relay="api", network="host").relay == "api"
    for network in (None, "none", "default", "Host"):
        with pytest.raises(ValidationError, match="say network: host too"):
            spec(relay="api", network=network)


def test_mounts_are_for_writing_unless_they_say_otherwise() -> None:
    assert spec(mounts=[{"source": "/a", "target": "/b"}]).mounts == [
        Mount(source="/a", target="/b", read_only=False)
    ]


def test_secrets_come_as_variables_or_as_files() -> None:
    found = spec(secrets=["A", "B"], secret_files=["B"])
    assert (found.secrets, found.secret_files) == (["A", "B"], ["B"])
