"""What the commands share: the client, made when it is first needed, and ids by their prefix."""

from __future__ import annotations

import os
from pathlib import Path

import click

from remote_client.cli.output import note
from remote_client.client import Client
from remote_client.config import find_access
from remote_client.errors import UsageError

_ID_LENGTH, _SHORTEST = 26, 4


class Session:
    """Global options of one call. `client` raises UsageError when no server or token is known."""

    def __init__(self, url: str | None, token_file: Path | None, ca_file: str | None) -> None:
        self.url = url
        self.ca_file = ca_file
        self._token_file = token_file
        self._client: Client | None = None

    @property
    def token(self) -> str | None:
        """The token from the file or the environment; never from argv, where `ps` shows it."""
        if self._token_file is None:
            return os.environ.get("REMOTE_TOKEN")
        try:
            text = self._token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UsageError(
                f"The token file {self._token_file} cannot be read: {error.strerror}"
            ) from None
        except ValueError:
            raise UsageError(f"The token file {self._token_file} is not a text file") from None
        if not text:
            raise UsageError(f"The token file {self._token_file} is empty")
        return text

    @property
    def client(self) -> Client:
        """The client for this call."""
        if self._client is None:
            access = find_access(self.url, self.token, self.ca_file)
            self._client = Client(access.url, access.token, ca_file=access.ca_file, notice=note)
        return self._client

    def job_id(self, text: str) -> str:
        """The whole id of a job from its beginning. UsageError when none or several begin so."""
        wanted = text.strip().upper()
        if len(wanted) >= _ID_LENGTH:
            return wanted
        if len(wanted) < _SHORTEST:
            raise UsageError(
                f"{text!r} is too short for a job's id; write {_SHORTEST} characters or more "
                "of it; see: remotectl job list"
            )
        found, cursor = [], None
        for _ in range(10):
            page = self.client.jobs(limit=200, cursor=cursor)
            found += [job.id for job in page.items if job.id.startswith(wanted)]
            cursor = page.next_cursor
            if cursor is None:
                break
        if len(found) == 1:
            return found[0]
        if not found:
            raise UsageError(f"No recent job's id begins with {text!r}; see: remotectl job list")
        raise UsageError(
            f"{len(found)} jobs' ids begin with {text!r}; write more of it: {', '.join(found[:5])}"
        )

    def close(self) -> None:
        """Close the client if there is one."""
        if self._client is not None:
            self._client.close()


pass_session = click.make_pass_decorator(Session)
