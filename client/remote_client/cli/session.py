"""What the commands share: access to the server, made when it is first needed, and ids of jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from remote_client.cli.output import note
from remote_client.config import Access, find_access
from remote_client.errors import ClientError, Unreachable, UsageError

if TYPE_CHECKING:
    from remote_client.calls import Calls
    from remote_client.transport import Transport


class Session:
    """Global options of one call. `calls` raises UsageError when no server or token is known."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.token_file: str | None = None
        self.ca_file: str | None = None
        self.context: str | None = None
        self.insecure = False
        self.failed = ClientError.exit_code
        """The exit code when `remotectl` itself fails."""
        self._transport: Transport | None = None
        self._silent = False
        """Only a shell hears: it completes a word."""

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
        return find_access(
            self.url, self.token, self.ca_file, context=self.context, insecure=self.insecure
        )

    @property
    def calls(self) -> Calls:
        """The API."""
        from remote_client.calls import Calls

        if self._transport is None:
            self._transport = self._connected()
        return Calls(self._transport)

    def briefly(self, seconds: float) -> Calls:
        """The API for who cannot wait: no call is repeated or takes longer, nothing is said."""
        from remote_client.calls import Calls
        from remote_client.network import BlockingNetwork
        from remote_client.transport import Transport

        self._silent = True
        if self._transport is None:
            access, network = self.access, BlockingNetwork(_refuse)
            self._transport = Transport(access.url, access.token, access.ca_file, seconds, network)
        return Calls(self._transport)

    @contextmanager
    def again(self, quiet: bool = False) -> Iterator[Calls]:
        """The same for another thread; a `quiet` one leaves it to others to tell of outages."""
        from remote_client.calls import Calls

        with closing(self._connected(quiet)) as other:
            other.reached = self._transport is not None and self._transport.reached
            yield Calls(other)

    def job_id(self, text: str, newest: bool = True) -> str:
        """The whole id of a job: from any part of it, its name, or `@last`, the newest of ours.

        Of several jobs of one name the newest is meant, unless `newest` is false. UsageError when
        none or several fit.
        """
        from remote_client.cli.job_ids import find_job

        return find_job(self.calls, text, newest)

    def close(self) -> None:
        """Close the connections if there are any, and say when the token ends soon."""
        if self._transport is None:
            return
        self._transport.close()
        if self._transport.token_ends is not None and not self._silent:
            from remote_client.cli.expiry import warn

            warn(self._transport.url, self._transport.token_ends)

    def _connected(self, quiet: bool = False) -> Transport:
        # Loaded when it is needed: --version, --help and completion of words are instant.
        from remote_client.transport import Transport

        access = self.access
        notice = (lambda _: None) if quiet else note
        return Transport(access.url, access.token, access.ca_file, notice=notice)


def _refuse(seconds: float) -> None:
    raise Unreachable("there is no time to try again")


pass_session = click.make_pass_decorator(Session, ensure=True)
