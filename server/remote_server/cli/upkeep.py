"""`remote-server migrate`, `check`, `backup`: looking after the data directory."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remote_server.cli.options import configuration, require_database, storage_options
from remote_server.config import Config
from remote_server.data_dir import DataDir
from remote_server.errors import ServerError

if TYPE_CHECKING:
    from remote_server.cli.backup_file import Parts


class UpkeepError(ServerError):
    """There is nothing to look after, or the result cannot be written."""


@click.command(epilog="\b\nExample:\n  remote-server migrate --data-dir /var/lib/remote-server")
@storage_options
def migrate(config_file: Path | None, **flags: object) -> None:
    """Bring the database up to date; `run` does it too.

    The server must not run meanwhile. Make a backup before.
    """
    from remote_server.store.opening import migrate as bring_up_to_date

    config = configuration(config_file, **flags)
    require_database(config)
    data = DataDir(config.server.data_dir)
    data.prepare()
    data.lock()
    try:
        changed = bring_up_to_date(config.database_url)
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
@click.option(
    "--archive-lost",
    is_flag=True,
    envvar="REMOTE_SERVER_CHECK_ARCHIVE_LOST",
    show_envvar=True,
    help="The archive is lost for good, not only not mounted: mark its logs as removed.",
)
def check(config_file: Path | None, repair: bool, archive_lost: bool, **flags: object) -> None:
    """Compare the database with the log files and the key of secrets, and name what is wrong.

    Exit code 1 when something is.
    """
    config = configuration(config_file, **flags)
    sys.exit(asyncio.run(_check(config, repair, archive_lost)))


async def _check(config: Config, repair: bool, archive_lost: bool) -> int:
    from remote_server.disk.reserve import Reserve
    from remote_server.inspection import Inspection
    from remote_server.logs.opening import open_archive, open_logs
    from remote_server.relay_settings import unknown_queues
    from remote_server.relays import unusable_files
    from remote_server.secrets.source import open_keys
    from remote_server.secrets.vault import Vault
    from remote_server.store import Store, Terms

    require_database(config)
    data = DataDir(config.server.data_dir)
    if repair:
        data.lock()
    try:
        terms = Terms(migrate=False, guest=not repair)
        store = await Store.open(config.database_url, terms)
        try:
            archive = open_archive(config, data.archive)
            logs = open_logs(data.logs, archive, Reserve(data.logs, 0), config.logs.pack_above)
            found = Inspection(store, logs, repair, archive_lost)
            await found.run()
            logs.close()
            vault = Vault(store, open_keys(config.secrets, data.secrets_key))
            found.faults += await vault.faults()
            queues = {queue.name for queue in await store.queues()}
            found.faults += [*unknown_queues(config.relay, queues), *unusable_files(config.relay)]
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
    help="Without the logs, artifacts and contents of jobs.",
)
@click.option(
    "--with-archive",
    is_flag=True,
    envvar="REMOTE_SERVER_BACKUP_WITH_ARCHIVE",
    show_envvar=True,
    help="With the packed logs, too, where [logs] archive_dir names another directory for them.",
)
@click.option(
    "--no-database",
    is_flag=True,
    envvar="REMOTE_SERVER_BACKUP_NO_DATABASE",
    show_envvar=True,
    help="Without the database: for one that has means of its own, as PostgreSQL has. Copy that "
    "first.",
)
@click.option(
    "--with-secrets-key",
    is_flag=True,
    envvar="REMOTE_SERVER_BACKUP_WITH_SECRETS_KEY",
    show_envvar=True,
    help="With the key of secrets: whoever has the file can then read every secret in it.",
)
def backup(
    config_file: Path | None,
    file: Path,
    no_logs: bool,
    with_archive: bool,
    no_database: bool,
    with_secrets_key: bool,
    **flags: object,
) -> None:
    """Copy the database, logs, inputs, artifacts and contents into FILE, also while it is used.

    FILE is a tar archive, compressed when its name ends in .gz; with a name that ends in .db it
    is the database alone. It is readable by its owner only. Secrets are encrypted in it, and the
    key that they need is not there: keep a copy of that elsewhere.
    """
    from remote_server.cli.backup_file import Parts

    config = configuration(config_file, **flags)
    require_database(config)
    try:
        key = _key_of_secrets(config)
        asked = key if with_secrets_key else None
        if with_secrets_key and (key is None or file.suffix == ".db"):
            raise UpkeepError(
                "--with-secrets-key: there is no file with the key of secrets, or it cannot be a "
                "part of this backup; leave the option out"
            )
        archive = _other_archive(config, with_archive)
        parts = Parts(None, config.server.data_dir, not no_logs, asked, archive)
        size = asyncio.run(_backup(config, file, not no_database, parts))
    except OSError as error:
        raise UpkeepError(f"{file} cannot be written: {error.strerror or error}") from error
    click.echo(f"{file}: {size} bytes")
    elsewhere = config.logs.archive or config.logs.archive_dir
    if elsewhere is not None and not with_archive and not no_logs and file.suffix != ".db":
        cure = (
            "give --with-archive, or copy that directory now, too"
            if config.logs.archive is None
            else "keep versions of its objects, or copy them by the means of the storage"
        )
        click.echo(f"without the packed logs in {elsewhere}: {cure}", err=True)
    if key is not None and not with_secrets_key:
        click.echo(
            f"without the key of secrets, {key}: keep a copy of that file in another place, for "
            "without it the secrets in this backup cannot be read",
            err=True,
        )


def _other_archive(config: Config, wanted: bool) -> Path | None:
    """The directory of packed logs outside the data directory, if it is to be copied, too."""
    archive = config.logs.archive_dir
    if not wanted:
        return None
    if config.logs.archive is not None:
        raise UpkeepError(
            f"--with-archive: packed logs are in {config.logs.archive}; keep versions of its "
            "objects, or copy them by the means of the storage, and leave the option out"
        )
    if archive is None:
        raise UpkeepError(
            "--with-archive: packed logs are in the data directory, and part of each backup; leave "
            "the option out"
        )
    if not archive.is_dir():
        raise UpkeepError(f"the archive of logs {archive} is not there; mount it")
    return archive


def _key_of_secrets(config: Config) -> Path | None:
    """The file of the key that secrets are encrypted with, where there is one."""
    if config.secrets.key is not None:
        return None
    file = config.secrets.key_file or DataDir(config.server.data_dir).secrets_key
    return file if file.exists() else None


async def _backup(config: Config, file: Path, database: bool, parts: Parts) -> int:
    from remote_server.cli.backup_file import write_backup

    if database and file.suffix == ".db":
        return await _copy_database(config, file)
    with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".backup-") as folder:
        # The database first: logs only grow, so that they hold at least what it knows. What
        # they hold beyond it is of the same attempts, or cut off when those are accepted.
        copy = Path(folder) / "server.db" if database else None
        if copy is not None:
            await _copy_database(config, copy)
        part = Path(folder) / "archive"
        write_backup(part, parts._replace(database=copy), file.suffix in (".gz", ".tgz"))
        part.replace(file)
    return file.stat().st_size


async def _copy_database(config: Config, file: Path) -> int:
    from remote_server.store import Store, Terms

    store = await Store.open(config.database_url, Terms(migrate=False, guest=True))
    try:
        return await store.backup(file)
    finally:
        await store.close()
