"""`remote-server secret rotate-key`: a new key for all secrets, in the database itself.

The server must not run meanwhile. Opens the database, reads and writes the file of the key.
"""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remote_server.cli.options import configuration, require_database, storage_options
from remote_server.config import Config
from remote_server.data_dir import DataDir

if TYPE_CHECKING:
    from remote_server.secrets.rotation import Rotated


@click.group(epilog="\b\nExample:\n  remote-server secret rotate-key")
def secret() -> None:
    """Look after the key that secrets are encrypted with."""


@secret.command("rotate-key", epilog="\b\nExample:\n  remote-server secret rotate-key")
@storage_options
def rotate_key(config_file: Path | None, **flags: object) -> None:
    """Encrypt all secrets with a new key, and drop the old one.

    The server must not run meanwhile. When it is interrupted, no secret is lost: call it again, and
    it goes on. Afterwards keep a copy of the new key where you kept the old one; older backups of
    the database need the old one still.
    """
    config = configuration(config_file, **flags)
    require_database(config)
    done = asyncio.run(_rotate(config))
    if done.resumed:
        click.echo("a rotation that was interrupted is now complete")
    click.echo(f"secrets encrypted again: {done.sealed}; the key is now {done.key_id}")
    if done.given:
        click.echo("take the former key out of REMOTE_SERVER_SECRETS_KEY now", err=True)


async def _rotate(config: Config) -> Rotated:
    # Their imports take longer than a usage error or a help text may.
    from remote_server.domain.model import Principal
    from remote_server.secrets.rotation import rotate
    from remote_server.secrets.source import open_keys
    from remote_server.store import Store, Terms

    data = DataDir(config.server.data_dir)
    data.lock()
    try:
        store = await Store.open(config.database_url, Terms(migrate=False))
        try:
            by = Principal("", _user(), "", "command_line")
            return await rotate(store, open_keys(config.secrets, data.secrets_key), by)
        finally:
            await store.close()
    finally:
        data.release()


def _user() -> str:
    """Who runs this program, for the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container's user may have no name.
        return "unknown"
