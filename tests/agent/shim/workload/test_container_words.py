"""What engines say, in their own words as docker 20.10, 28 and podman print them, as sentences."""

from __future__ import annotations

import pytest

from remote_agent.shim.workload.container_words import not_made, not_started, told


@pytest.mark.parametrize(
    ("said", "words", "cure"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
            "Is the docker daemon running?",
            "Cannot connect to the Docker daemon",
            "systemctl start docker",
        ),
        (
            "permission denied while trying to connect to the Docker daemon socket at "
            "unix:///var/run/docker.sock: Get ...",
            "permission denied",
            "usermod -aG docker USER",
        ),
        (
            "Unable to find image 'x:1' locally\nx: Pulling from library/x\n"
            "0123456789ab: Pulling fs layer\n"
            "Error response from daemon: write /var/lib/docker/x: no space left on device\n"
            "See 'docker create --help'.",
            "write /var/lib/docker/x: no space left on device",
            "make room where the engine keeps its images",
        ),
        (
            "Error response from daemon: manifest for debian:99 not found: manifest unknown: "
            "manifest unknown",
            "manifest for debian:99 not found",
            "check the image's name and tag",
        ),
        (
            'Trying to pull registry.example/x:1...\nError: initializing source docker://x: '
            'pinging container registry: Get "https://registry.example/v2/": dial tcp: lookup '
            "registry.example: no such host",
            "initializing source",
            "does not reach the image's registry",
        ),
        ("toomanyrequests: You have reached your pull rate limit", "toomany", "log in to the"),
        ("Error response from daemon: unable to find user bob: no matching entries in passwd file",
         "unable to find user bob", "name a user that the image has"),
        ("", "the engine gave no reason", ""),
    ],
)  # fmt: skip
def test_a_fault_has_its_cure(said: str, words: str, cure: str) -> None:
    text = not_made(said, "x:1")
    assert text.startswith("the container of the image x:1 could not be made: ")
    assert words in text and cure in text and "\n" not in text
    assert not text.removeprefix("the container of the image x:1 could not be made: ").startswith(
        "Error"
    )


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ('… exec: "nosuch": executable file not found in $PATH: unknown', 127, "not found in"),
        (
            'crun: exec: "/etc/passwd": permission denied: OCI permission denied',
            126,
            "is not executable",
        ),
        ('exec: "/x": exec format error: unknown', 126, "take an image for this host's processor"),
        ("", 125, "is at the end of the job's standard error"),
        ("cgroups: cannot find cgroup mount destination", 125, "cannot find cgroup mount"),
    ],
)
def test_what_does_not_start_has_the_code_that_shells_give(
    said: str, code: int, words: str
) -> None:
    found, text = not_started(said, "x:1")
    assert found == code and words in text


def test_a_long_story_is_cut() -> None:
    assert len(told("x" * 5000)) == 601
