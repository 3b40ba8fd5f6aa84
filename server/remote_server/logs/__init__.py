"""Logs of attempts: appended to, followed and compared while they grow, packed when they ended."""

from remote_server.logs.logs import Logs
from remote_server.logs.ports import Archive, ArchiveUnavailable, LogStore, LogUnavailable

__all__ = ["Archive", "ArchiveUnavailable", "LogStore", "LogUnavailable", "Logs"]
