"""The command line `remote-server`. Exit codes: 0 done, 1 failed, 2 usage or configuration."""

from remote_server.cli.commands import main

__all__ = ["main"]
