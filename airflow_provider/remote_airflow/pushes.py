"""DAG bundles that go with the jobs of tasks: packed here, sent once, named by their SHA-256.

Used by the thread that submits, never by the scheduler's loop. A bundle is looked at before tasks
of it are submitted, and packed when something in it has changed; one with a version only once.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, NamedTuple, cast

from remote_airflow.packing import Entry, Packed, PackError, look, pack
from remote_airflow.server import Refused, Server
from remote_airflow.settings import Settings

log = logging.getLogger(__name__)

ARCHIVE: Final = ".airflow-bundle.zip"
"""Its name in a job's work directory, where `run_task.py` looks for it."""
_MOST_KEPT: Final = 200
_LOOKS_SHARE: Final = 0.1
"""The part of the time that may go into looking at one folder."""
_MOST_TRIES: Final = 5


class _Known(NamedTuple):
    seen: tuple[Entry, ...]
    packed: Packed
    look_again: float


class Pushes:
    """The bundles of one executor."""

    def __init__(
        self,
        server: Server,
        settings: Settings,
        root_of: Callable[[str, str | None], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`root_of` gives a context in which a bundle's folder is there. PackError."""
        self._server = server
        self._settings = settings
        self._root_of = root_of
        self._clock = clock
        self._known: OrderedDict[tuple[str, str | None], _Known] = OrderedDict()
        self._sent: set[str] = set()

    def files(self, name: str, version: str | None) -> list[dict[str, Any]]:
        """The files of a job that bring a bundle; the server has what they name. PackError;
        Unavailable."""
        try:
            found = self._packed(name, version)
        except PackError as error:
            raise PackError(f"the DAG bundle {name!r} cannot be pushed: {error}") from None
        return [{"path": ARCHIVE, "digest": found.digest, "size": found.size, "mode": 0o600}]

    def lost(self) -> None:
        """The server lacks what it was sent, or keeps it no longer: it is packed and sent anew."""
        self._known.clear()
        self._sent.clear()

    def _packed(self, name: str, version: str | None) -> Packed:
        key = name, version
        known = self._known.get(key)
        if known is not None and (version is not None or self._clock() < known.look_again):
            return known.packed
        began = self._clock()
        with self._root_of(name, version) as root:
            found = self._now(name, root, known, began)
        # One with a version stays what it is: nobody looks at it again.
        self._keep(key, found if version is None else found._replace(seen=()))
        return found.packed

    def _now(self, name: str, root: str, known: _Known | None, began: float) -> _Known:
        """A bundle as it is now; since `began` it is looked at."""
        why = ""
        for _ in range(_MOST_TRIES):
            try:
                seen = self._look(root)
                # A longer look is repeated later: most of the time belongs to others.
                again = self._clock() + (self._clock() - began) / _LOOKS_SHARE
                same = known is not None and known.seen == seen
                packed = known.packed if known and same else self._pack(name, root, seen)
            except OSError as error:
                why = f" ({error})"
                continue
            if packed is not None:
                return _Known(seen, packed, again)
        raise PackError(
            f"something in {root} changes all the time or cannot be read{why}; check who writes "
            "there, and that the scheduler's user may read it"
        )

    def _look(self, root: str) -> tuple[Entry, ...]:
        return look(root, self._settings.push_ignore_file, self._settings.push_limit)

    def _pack(self, name: str, root: str, seen: tuple[Entry, ...]) -> Packed | None:
        """Pack and send; None when it has changed meanwhile. OSError."""
        began = self._clock()
        with TemporaryFile() as file:
            packed = pack(seen, cast(BinaryIO, file))
            if self._look(root) != seen:
                return None
            if packed.digest not in self._sent:
                self._send(packed, cast(BinaryIO, file))
                log.info(
                    "DAG bundle %s: %d files as %d bytes, SHA-256 %s, packed and sent in %.2f s",
                    *(name, len(seen), packed.size, packed.digest, self._clock() - began),
                )
        return packed

    def _send(self, packed: Packed, file: BinaryIO) -> None:
        try:
            self._server.send_content(packed.digest, packed.size, file)
        except Refused as refused:
            raise PackError(f"the remote-server does not take it: {refused.args[0]}") from None
        if len(self._sent) >= _MOST_KEPT:
            self._sent.clear()
        self._sent.add(packed.digest)

    def _keep(self, key: tuple[str, str | None], known: _Known) -> None:
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)
