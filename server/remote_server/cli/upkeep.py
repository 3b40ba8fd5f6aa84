"""`remote-server migrate`, `check`, `backup`: looking after the data directory."""

from __future__ import annotations

import asyncio
import os
import sys
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

import click

from remote_server.cli.options import configuration, require_database, storage_options
from remote_server.config import Config
from remote_server.data_dir import DataDir
from remote_server.errors import ServerError


class UpkeepError(ServerError):
    """There is nothing to look after, or the result cannot be written."""


@click.command(epilog="\b\nExample:\n  remote-server migrate --data-dir /var/lib/remote-server")
@storage_options
def migrate(config_file: Path | None, **flags: object) -> None:
    """Bring the database up to date; `run` does it too.

    The server must not run meanwhile. Make a backup before.
    """
    from remote_server.store.upgrade import database_path, prepare

    config = configuration(config_file, **flags)
    require_database(config)
    data = DataDir(config.server.data_dir)
    data.prepare()
    data.lock()
    try:
        changed = prepare(database_path(config.database_url))
    finally:
        data.release()
    click.echo("the database was brought up to date" if changed else "nothing to do")


@click.command(epilog="\b\nExample:\n  remote-server check --repair")
@storage_options
@click.option(
    "--repair",
    is_flag=True,
    envvar="REMOTE_SERVER_CHECK_REPAIR",
    show_envvar=True,
    help="Repair what can be repaired; the server must not run meanwhile.",
)
def check(config_file: Path | None, repair: bool, **flags: object) -> None:
    """Compare the database with the log files and name what is wrong.

    Exit code 1 when something is.
    """
    config = configuration(config_file, **flags)
    sys.exit(asyncio.run(_check(config, repair)))


async def _check(config: Config, repair: bool) -> int:
    from remote_server.inspection import Inspection
    from remote_server.logs import LogStore
    from remote_server.store import Store

    require_database(config)
    data = DataDir(config.server.data_dir)
    if repair:
        data.lock()
    try:
        store = await Store.open(config.database_url, migrate=False)
        try:
            found = Inspection(store, LogStore(data.logs), repair)
            await found.run()
        finally:
            await store.close()
    finally:
        data.release()
    for fault in found.faults:
        click.echo(fault)
    if not found.faults:
        click.echo(f"sound: {found.jobs} jobs")
        return 0
    said = f"{len(found.faults)} fault{'' if len(found.faults) == 1 else 's'}"
    click.echo(f"{said}, {found.repaired} repaired" if repair else said)
    return 0 if found.repaired == len(found.faults) else 1


@click.command(
    epilog="\b\nExample:\n  remote-server backup /backups/remote-server.tar.gz"
    "\n\nTo restore: stop the server, unpack the archive into an empty data directory, start it."
)
@storage_options
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--no-logs",
    is_flag=True,
    envvar="REMOTE_SERVER_BACKUP_NO_LOGS",
    show_envvar=True,
    help="Only the database.",
)
def backup(config_file: Path | None, file: Path, no_logs: bool, **flags: object) -> None:
    """Copy database and logs into FILE, also while the server runs.

    FILE is a tar archive, compressed when its name ends in .gz; with a name that ends in .db it
    is the database alone. It is readable by its owner only.
    """
    config = configuration(config_file, **flags)
    require_database(config)
    try:
        size = asyncio.run(_backup(config, file, logs=not no_logs))
    except OSError as error:
        raise UpkeepError(f"{file} cannot be written: {error.strerror or error}") from error
    click.echo(f"{file}: {size} bytes")


async def _backup(config: Config, file: Path, logs: bool) -> int:
    from remote_server.store import Store

    store = await Store.open(config.database_url, migrate=False)
    try:
        if file.suffix == ".db":
            return await store.backup(file)
        with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".backup-") as folder:
            copy = Path(folder) / "server.db"
            # The database first: logs only grow, so that they hold at least what it knows. What
            # they hold beyond it is of the same attempts, or cut off when those are accepted.
            await store.backup(copy)
            part = Path(folder) / "archive"
            _archive(part, copy, config.server.data_dir, logs, file.suffix in (".gz", ".tgz"))
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(file)
        return file.stat().st_size
    finally:
        await store.close()


def _archive(part: Path, database: Path, data_dir: Path, logs: bool, packed: bool) -> None:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        os.fdopen(descriptor, "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz" if packed else "w") as archive,
    ):
        archive.add(database, "server.db", filter=_private)
        if logs:
            for path in sorted((data_dir / "logs").rglob("*.log*")):
                if path.suffix != ".part":
                    _add_log(archive, path, data_dir)


def _add_log(archive: tarfile.TarFile, path: Path, data_dir: Path) -> None:
    """Add a log that may grow meanwhile: as long as it is now. Retention may have taken it, or it
    was packed since the folder was listed."""
    from remote_server.logs import sparse

    for now in (path, path.with_name(path.name + ".gz")):
        with suppress(FileNotFoundError), now.open("rb", buffering=0) as file:
            name = now.relative_to(data_dir).as_posix()
            entry = archive.gettarinfo(arcname=name, fileobj=file)
            sparse.add(archive, _private(entry), file)
            return


def _private(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Unpacked, it is its owner's alone: a database holds the environments of jobs."""
    entry.mode = 0o600
    return entry
