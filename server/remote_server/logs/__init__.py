"""Logs of attempts: files that grow, are followed, compared, packed when they have ended."""

from remote_server.logs.store import LogStore, LogUnavailable

__all__ = ["LogStore", "LogUnavailable"]
