"""What the commands share: access to the server, made when it is first needed, and ids of jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from remote_client.cli.output import note
from remote_client.config import Access, find_access
from remote_client.errors import ClientError, UsageError

if TYPE_CHECKING:
    from remote_client.calls import Calls
    from remote_client.transport import Transport

_ID_LENGTH, _SHORTEST = 26, 4


class Session:
    """Global options of one call. `calls` raises UsageError when no server or token is known."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.token_file: str | None = None
        self.ca_file: str | None = None
        self.failed = ClientError.exit_code
        """The exit code when `remotectl` itself fails."""
        self._transport: Transport | None = None

    @property
    def token(self) -> str | None:
        """The token from the file or the environment; never from argv, where `ps` shows it."""
        if self.token_file is None:
            return os.environ.get("REMOTE_TOKEN")
        try:
            with open(self.token_file, encoding="utf-8") as file:
                text = file.read(64 * 1024).strip()
        except OSError as error:
            raise UsageError(
                f"The token file {self.token_file} cannot be read: {error.strerror}"
            ) from None
        except ValueError:
            raise UsageError(f"The token file {self.token_file} is not a text file") from None
        if not text:
            raise UsageError(f"The token file {self.token_file} is empty")
        return text

    @property
    def access(self) -> Access:
        """The server and who we are there."""
        return find_access(self.url, self.token, self.ca_file)

    @property
    def calls(self) -> Calls:
        """The API."""
        from remote_client.calls import Calls

        if self._transport is None:
            self._transport = self._connected()
        return Calls(self._transport)

    @contextmanager
    def again(self) -> Iterator[Calls]:
        """The same for another thread."""
        from remote_client.calls import Calls

        with closing(self._connected()) as other:
            other.reached = self._transport is not None and self._transport.reached
            yield Calls(other)

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
            page = self.calls.jobs(limit=200, cursor=cursor)
            found += [job["id"] for job in page["items"] if job["id"].startswith(wanted)]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        if len(found) == 1:
            return str(found[0])
        if not found:
            raise UsageError(f"No recent job's id begins with {text!r}; see: remotectl job list")
        raise UsageError(
            f"{len(found)} jobs' ids begin with {text!r}; write more of it: {', '.join(found[:5])}"
        )

    def close(self) -> None:
        """Close the connections if there are any."""
        if self._transport is not None:
            self._transport.close()

    def _connected(self) -> Transport:
        # Loaded when it is needed: --version, --help and completion of words are instant.
        from remote_client.transport import Transport

        access = self.access
        return Transport(access.url, access.token, access.ca_file, notice=note)


pass_session = click.make_pass_decorator(Session, ensure=True)
