"""The command line `remotectl`."""

from remote_client.cli.main import main

__all__ = ["main"]
