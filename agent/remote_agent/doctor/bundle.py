"""`remote-agent debug bundle`: one file with what somebody needs who looks for a fault from afar.

Reads the agent's state and its own log; works without a server and without a running agent. Writes
that one file. Secrets are left out by the type of their field, and masked in whatever is text;
output and environments of jobs are not looked at.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from errno import EEXIST
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from remote_agent import __version__
from remote_agent.app.bootstrap import host_platform
from remote_agent.config import Config, as_document, without_password
from remote_agent.connection.identity import Identity, read_identity
from remote_agent.errors import AgentError, os_words
from remote_agent.journal.folder import unsettled
from remote_agent.local.control import ask
from remote_agent.local.environment import notable
from remote_agent.local.logging_setup import FILES, mask
from remote_agent.processes import NEW, READ, Folder, open_file, rename
from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.report import Finding

MANIFEST: Final = "manifest.json"
MOST_LOG: Final = 8_000_000
"""Bytes of the agent's own log, the newest ones."""
MOST_ATTEMPTS: Final = 10_000
_SHORTEST: Final = 6
"""Characters of a secret that is looked for: a shorter one is found everywhere."""
_PACKAGES: Final = ("platformdirs", "pydantic", "structlog", "websockets")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a bundle is made of. `config` is None when it cannot be read."""

    state_dir: Path
    config: Config | None
    origins: Mapping[tuple[str, ...], str]
    findings: list[Finding]
    """The report of doctor."""
    environ: Mapping[str, str]


class Redactor:
    """Takes secrets out of texts: those that are known, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        # As they stand in JSON, too: the log is of lines of it.
        known |= {json.dumps(secret)[1:-1] for secret in known}
        self._secrets = sorted(known, key=len, reverse=True)
        self.count = 0
        """Lines that held one."""

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return "\n".join(map(self._line, text.split("\n")))

    def _line(self, line: str) -> str:
        found = line
        for secret in self._secrets:
            found = found.replace(secret, "***")
        found = mask(found)
        self.count += found != line
        return found


def write(target: Path, subject: Subject) -> list[str]:
    """Write the bundle, readable by its owner only; the names of what is in it. OSError,
    FileExistsError when the target is there already."""
    if target.exists():
        raise FileExistsError(EEXIST, "it exists already", str(target))
    identity = _identity(subject.state_dir)
    redact = Redactor(_secrets(subject, identity))
    files = {name: redact(text).encode() for name, text in _texts(subject, identity)}
    listed = [
        {"name": name, "size": len(content), "sha256": sha256(content).hexdigest()}
        for name, content in files.items()
    ]
    manifest = {
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "agent_version": __version__,
        "redacted_lines": redact.count,
        "left_out": ["tokens", "passwords", "output of jobs", "environments of jobs"],
        "files": listed,
    }
    _pack(target, {MANIFEST: _json(manifest).encode(), **files})
    return [MANIFEST, *files]


def _pack(target: Path, files: Mapping[str, bytes]) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    descriptor = open_file(temporary, NEW, 0o600)
    try:
        with (
            open(descriptor, "wb") as raw,
            tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, content in files.items():
                entry = tarfile.TarInfo(f"{target.name.partition('.')[0] or 'bundle'}/{name}")
                entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
                archive.addfile(entry, io.BytesIO(content))
        rename(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _texts(subject: Subject, identity: Identity | None) -> Iterable[tuple[str, str]]:
    """Every file of the bundle but the manifest, before it is redacted."""
    yield "doctor.json", _json([asdict(finding) for finding in subject.findings])
    yield "configuration.json", _json(_configuration(subject, identity))
    yield "status.json", _json(_tried(lambda: ask(subject.state_dir, {"do": "status"})))
    yield "attempts.json", _json(_tried(lambda: _attempts(subject.state_dir)))
    yield "platform.json", _json(_platform(subject))
    for name, text in _logs(subject.state_dir / "logs"):
        yield f"logs/{name}", text


def _configuration(subject: Subject, identity: Identity | None) -> dict[str, Any]:
    named = {".".join(place): origin for place, origin in subject.origins.items() if place[1:]}
    return {
        "effective": None if subject.config is None else as_document(subject.config),
        "origins": named,
        # Field by field: one that is added later must not get out by itself.
        "registered": None
        if identity is None
        else {
            "name": identity.name,
            "server": identity.server,
            "ca_file": identity.ca_file,
            "proxy": without_password(identity.proxy),
            "ephemeral": identity.ephemeral,
            "insecure": identity.insecure,
            "settings": identity.settings,
        },
    }


def _attempts(state_dir: Path) -> dict[str, Any]:
    """The attempts whose ends are not settled; nothing of what they are."""
    running, undelivered = unsettled(state_dir)
    return {
        "running": running[:MOST_ATTEMPTS],
        "undelivered": undelivered[:MOST_ATTEMPTS],
    }


def _platform(subject: Subject) -> dict[str, Any]:
    return {
        "agent": __version__,
        "protocol": PROTOCOL_VERSION,
        "python": sys.version,
        "frozen": bool(getattr(sys, "frozen", False)),
        "packages": {name: _version(name) for name in _PACKAGES},
        "host": host_platform().model_dump(),
        "user": os.geteuid() if hasattr(os, "geteuid") else None,
        "environment": {name: shown for name, (shown, _) in notable(subject.environ).items()},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _logs(folder: Path) -> Iterable[tuple[str, str]]:
    """The agent's own log, the newest part first, while there is room."""
    left = MOST_LOG
    for name in ("agent.log", *(f"agent.log.{number}" for number in range(1, FILES))):
        try:
            # A job may have put a link in its place, to what only root can read, or a FIFO.
            with Folder(folder) as kept, open(kept.open(name, READ), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - left))
                content = file.read(left)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield name, f"left out: {os_words(error, folder / name)}\n"
            continue
        # A line that is cut could hide the beginning of a secret.
        if size > left:
            content = content.partition(b"\n")[2]
        yield name, content.decode(errors="replace")
        left -= len(content)
        if left <= 0 or size > left + len(content):
            return


def _secrets(subject: Subject, identity: Identity | None) -> Iterable[str]:
    """All that is known to be secret, as it stands in files and variables, and decoded."""
    urls = [value for name, value in subject.environ.items() if name.lower().endswith("_proxy")]
    if identity is not None:
        yield identity.token
        yield identity.fingerprint
        urls.append(identity.proxy or "")
    if subject.config is not None:
        urls.append(subject.config.server.proxy or "")
    for name in ("REMOTE_AGENT_TOKEN", "REMOTE_TOKEN"):
        yield subject.environ.get(name, "")
    for url in urls:
        login = urlsplit(url if "://" in url else f"http://{url}").netloc.rpartition("@")[0]
        password = login.partition(":")[2]
        yield from (password, unquote(password))


def _identity(state_dir: Path) -> Identity | None:
    try:
        return read_identity(state_dir)
    except AgentError:
        return None


def _tried(call: Callable[[], Any]) -> Any:
    """What it gives, or why it does not."""
    try:
        return call()
    except (AgentError, OSError) as error:
        return {"error": str(error)}


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, default=str)
