"""What an engine says when it cannot run a container, as one sentence with its cure. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
ENGINE_FAILED: Final = 125
"""As docker run has it: the engine failed, not the job."""
_MOST: Final = 600
_PREFIX: Final = re.compile(
    r"^(docker: |podman: )?(Error response from daemon: |Error: |error: )*", re.IGNORECASE
)
_NOISE: Final = re.compile(
    r"^(Unable to find image .* locally|See 'docker .*|Run 'docker .*|.*: Pulling .*|"
    r"Trying to pull .*|Getting image .*|Copying (blob|config) .*|Digest: .*|Status: .*|"
    r"[0-9a-f]{12}: .*)$"
)
_PROGRAM: Final = re.compile(r'exec: \\?"(?P<program>.*?)\\?": (?P<why>[^:"]*)')


class Cure(NamedTuple):
    """What helps when an engine says something like this."""

    pattern: re.Pattern[str]
    cure: str


def _cure(pattern: str, cure: str) -> Cure:
    return Cure(re.compile(pattern, re.IGNORECASE), cure)


_CURES: Final = (
    _cure(
        r"permission denied.*(socket|docker\.sock)",
        "let the agent's user use the engine (usermod -aG docker USER, then restart the agent; "
        "whoever may do that is root on this host)",
    ),
    _cure(
        r"cannot connect to the docker daemon|docker\.sock: connect|"
        r"failed to connect to the docker",
        "start the engine on the agent's host (systemctl start docker)",
    ),
    _cure(r"no space left|disk quota exceeded", "make room where the engine keeps its images"),
    _cure(
        r"no such image|image not known|does not exist in the local",
        "this host does not have the image, and --pull never forbids to fetch it: leave that "
        "out, or put the image there",
    ),
    _cure(
        r"unauthorized|authentication required|access denied|may require 'docker login'|denied:",
        "check the image's name; if it is private, log the agent's user in to its registry on the "
        "agent's host (docker login)",
    ),
    _cure(
        r"manifest( for .*)? (unknown|not found)|not found: manifest|no such manifest|"
        r"repository .* not found|name unknown",
        "check the image's name and tag: its registry does not have it",
    ),
    _cure(r"no matching manifest|exec format error", "take an image for this host's processor"),
    _cure(r"toomanyrequests|rate limit", "wait, or log in to the registry on the agent's host"),
    _cure(
        r"x509|certificate", "have the engine trust the registry's certificate on the agent's host"
    ),
    _cure(
        r"no such host|i/o timeout|connection refused|network is unreachable|deadline exceeded|"
        r"server misbehaving|tls handshake",
        "the agent's host does not reach the image's registry: check the name, its network and the "
        "engine's proxy",
    ),
    _cure(r"network .* not found", "make that network, or take it out of [containers] networks"),
    _cure(
        r"unable to find user|no matching entries in passwd|unable to find group",
        "name a user that the image has, or a number",
    ),
    _cure(r"bind source path does not exist|invalid mount", "make that directory on the host"),
    _cure(r"invalid reference format", "check the image's name: NAME:TAG in small letters"),
)


def not_made(said: str, image: str) -> str:
    """Why a container of this image could not be made."""
    return _sentence(f"the container of the image {image} could not be made", said)


def not_started(said: str, image: str) -> tuple[int, str]:
    """Why a container was made and could not be started, with an exit code as shells have it."""
    if (found := _PROGRAM.search(said)) is not None:
        program, why = found["program"], found["why"].strip()
        if "not found" in why or "no such file" in why:
            return NOT_FOUND, f"program {program!r} not found in the image {image}"
        if "permission denied" in why:
            return NOT_EXECUTABLE, f"program {program!r} of the image {image} is not executable"
        return NOT_EXECUTABLE, _sentence(f"program {program!r} of {image} did not start", why)
    if not said.strip():
        said = "the engine's reason is at the end of the job's standard error"
    return ENGINE_FAILED, _sentence(f"the container of the image {image} did not start", said)


def told(said: str) -> str:
    """The engine's own words: its last line that is no progress, without what comes before it."""
    lines = [line.strip() for line in said.splitlines()]
    kept = [line for line in lines if line and not _NOISE.match(line)]
    text = _PREFIX.sub("", kept[-1]) if kept else "the engine gave no reason"
    return text.rstrip(".") if len(text) <= _MOST else f"{text[:_MOST]}…"


def _sentence(what: str, said: str) -> str:
    words = told(said)
    cure = next((cure.cure for cure in _CURES if cure.pattern.search(said)), "")
    return f"{what}: {words}" + (f"; {cure}" if cure else "")
