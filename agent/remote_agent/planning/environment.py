"""Prepares the environment of a Python job, and becomes the job: the program of its first process.

    python3 -I environment.py ARGUMENTS-OF-THE-ENVIRONMENT'S-PYTHON

It runs as the job: by the job's interpreter and user, within its limits, with its streams. A copy
of this file lies beside the job's other files, with `environment.json`. So it is for any Python
from 3.8 on, uses the standard library only, and nothing of this package.

An environment lies in `<folder>/<user>/<digest>`, the digest being that of the interpreter, the
requirements and their sources. It counts only with the file `complete` in it, written last. Its
lock is a file beside it (flock(2)): who prepares it has it alone, who uses it shares it, for as
long as any process of the job lives that has inherited it. Programs in an environment hold its
path, so it is made in its place and never renamed; what lies there without `complete` was broken
off, and is removed first.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, NoReturn

FAILED = 125
"""Exit code when the job could not begin."""
COMPLETE = "complete"
_FORMAT = 1
"""Part of the digest: raised when environments are made in another way."""
_KEPT = 64 * 1024
"""Bytes of an installer's output in which its reason is looked for."""
_LONGEST = 1500
"""Characters of a reason."""
_FOREIGN = ("PIP_", "UV_", "PYTHON", "VIRTUAL_ENV", "NETRC")
"""Beginnings of variables by which a job would choose where its packages come from."""


class Failure(Exception):
    """The environment cannot be prepared; the text is a sentence."""


def main(arguments: list[str]) -> NoReturn:
    """Become the environment's Python with these arguments, or say why not and exit."""
    # A polite signal ends a preparation as it ends a program: at once and silently.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "environment.json"), encoding="utf-8") as file:
        settings = json.load(file)
    try:
        place = enter(settings)
        programs = os.path.join(place, "bin")
        path = os.environ.get("PATH", os.defpath)
        env = {**os.environ, "VIRTUAL_ENV": place, "PATH": programs + os.pathsep + path}
        python = os.path.join(programs, "python")
        os.execve(python, [python, *arguments], env)
    except Failure as failure:
        reason = str(failure)
    except OSError as error:
        reason = f"its environment cannot be prepared: {error}"
    say(reason)
    # Only now: whoever reads this file takes the job for one that has never begun.
    with open(settings["failure"], "w", encoding="utf-8", errors="replace") as file:
        file.write(reason)
    sys.exit(FAILED)


def enter(settings: dict[str, Any]) -> str:
    """The place of the environment, complete, with its lock shared by this process and all that it
    becomes or starts. Failure, OSError."""
    folder = own_folder(settings["folder"])
    place = os.path.join(folder, digest_of(settings))
    prepares = not settings.get("only_prepared")
    while True:
        lock = take_lock(place + ".lock", fcntl.LOCK_SH, prepares)
        if os.path.exists(os.path.join(place, COMPLETE)):
            os.utime(os.path.join(place, COMPLETE))  # when it was used last
            os.set_inheritable(lock, True)
            return place
        os.close(lock)
        if not prepares:
            raise Failure("its environment is not prepared yet")
        lock = take_lock(place + ".lock", fcntl.LOCK_EX)
        try:
            if not os.path.exists(os.path.join(place, COMPLETE)):
                prepare(place, settings, lock)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        finally:
            os.close(lock)


def own_folder(root: str) -> str:
    """The folder of this user's environments: what others could write would run as this user."""
    user = os.geteuid()
    folder = os.path.join(root, str(user))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except PermissionError:
        raise Failure(
            f"user {user} has no folder for environments, {folder}; restart the agent, which makes "
            "it"
        ) from None
    if os.stat(folder).st_uid != user:
        raise Failure(f"{folder} does not belong to user {user}: remove it, and restart the agent")
    os.chmod(folder, 0o700)
    return folder


def digest_of(settings: dict[str, Any]) -> str:
    """What an environment depends on, as its name."""
    said = [
        _FORMAT,
        [sys.version, sys.implementation.name, os.path.realpath(sys.executable)],
        [platform.system(), platform.machine()],
        [settings[name] for name in ("requirements", "index_url", "find_links", "offline")],
    ]
    if settings.get("wheel"):
        said.append(settings["wheel"]["digest"])
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def take_lock(path: str, kind: int, waits: bool = True) -> int:
    """The lock of this file, which is made if need be; says so when it has to wait. Failure when
    it must not."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits:
                raise Failure("its environment is being prepared") from None
            say("waiting for another job that prepares the same environment")
            fcntl.flock(lock, kind)
        # The agent removes the lock of an environment with it.
        try:
            there = os.stat(path)
            if os.path.samestat(there, os.fstat(lock)):
                return lock
        except FileNotFoundError:
            pass
        os.close(lock)


def prepare(place: str, settings: dict[str, Any], lock: int) -> None:
    """Make the environment in its place. What it starts holds the lock as well: when this process
    is killed, nobody else begins before all of that has ended."""
    began = time.monotonic()
    shutil.rmtree(place, ignore_errors=True)
    requirements = settings["requirements"]
    uv = shutil.which("uv")
    count = f"{len(requirements)} requirement{'' if len(requirements) == 1 else 's'}"
    wheel = settings.get("wheel")
    count += f" and {wheel['name']}" if wheel else ""
    version = platform.python_version()
    say(f"preparing the environment: Python {version}, {count}, by {'uv' if uv else 'pip'} …")
    env = environment(settings)
    if uv:
        run([uv, "--no-config", "--quiet", "venv", "--python", sys.executable, place], env, lock)
    else:
        run([sys.executable, "-I", "-m", "venv", place], env, lock)
    file = os.path.join(place, "requirements.txt")
    with open(file, "w", encoding="utf-8") as output:
        output.writelines(f"{line}\n" for line in requirements)
    wanted = ["-r", file]
    if wheel:
        # Installers read a wheel's name, version and tags from its file's name.
        os.mkdir(os.path.join(place, ".wheel"))
        named = os.path.join(place, ".wheel", wheel["name"])
        shutil.move(wheel["file"], named)
        wanted.append(named)
    run([*installer(uv, place), *sources(settings), *wanted], env, lock, settings["offline"])
    shutil.rmtree(os.path.join(place, ".wheel"), ignore_errors=True)
    complete(place)
    say(f"the environment is ready after {time.monotonic() - began:.1f} s")


def environment(settings: dict[str, Any]) -> dict[str, str]:
    """The installer's environment: the job has no say in where packages come from."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    if settings["netrc"]:
        env["NETRC"] = settings["netrc"]
    return env


def installer(uv: Any, place: str) -> list[str]:
    """The command that installs; nothing is kept but the environment itself."""
    python = os.path.join(place, "bin", "python")
    if uv:
        return [uv, "--no-config", "--quiet", "--no-cache", "pip", "install", "--python", python]
    options = ["--isolated", "--disable-pip-version-check", "--no-input", "--quiet"]
    more = ["--no-cache-dir", "--progress-bar", "off"]
    return [python, "-I", "-m", "pip", *options, "install", *more]


def sources(settings: dict[str, Any]) -> list[str]:
    """Options that say where packages come from."""
    said = []
    if settings["offline"]:
        said.append("--no-index")
    elif settings["index_url"]:
        said += ["--index-url", settings["index_url"]]
    if settings["find_links"]:
        said += ["--find-links", settings["find_links"]]
    return said


def run(command: list[str], env: dict[str, str], lock: int, offline: bool = False) -> None:
    """Run a step of the preparation; what it prints goes to stderr. Failure with its reason."""
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(lock,),
    )
    assert process.stdout is not None
    kept = b""
    while True:
        part = os.read(process.stdout.fileno(), _KEPT)
        if not part:
            break
        os.write(2, part)
        kept = (kept + part)[-_KEPT:]
    if process.wait() == 0:
        return
    reason = reason_in(kept.decode(errors="replace"))
    if offline:
        reason += "; this agent is offline: packages come from its [python] find_links only"
    raise Failure(f"its environment cannot be prepared: {reason}")


def reason_in(text: str) -> str:
    """What an installer says about its failure, on one line: that of pip in lines that begin with
    ERROR, that of uv from its first mark on; else the last lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line[len("ERROR:") :].strip() for line in lines if line.startswith("ERROR:")]
    if not said:
        marked = [at for at, line in enumerate(lines) if line.startswith(("×", "error:"))]
        text = " ".join(line.lstrip("×╰─▶│├ ") for line in lines[marked[0] :]) if marked else ""
        said = (
            [text[len("error:") :].strip() if text.startswith("error:") else text] if text else []
        )
    reason = "; ".join(said or lines[-3:]) or "its installer says no reason"
    shown = "".join(character if character.isprintable() else " " for character in reason)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def complete(place: str) -> None:
    """Say that the environment is whole, once all of it is on the disk."""
    size = 0
    for folder, _, files in os.walk(place):
        size += sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for name in files)
    os.sync()
    half = os.path.join(place, f".{COMPLETE}")
    with open(half, "w", encoding="utf-8") as file:
        json.dump({"size": size}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, os.path.join(place, COMPLETE))


def say(text: str) -> None:
    """A line of the job's log."""
    os.write(2, f"remote-agent: {text}\n".encode(errors="replace"))


if __name__ == "__main__":
    main(sys.argv[1:])
