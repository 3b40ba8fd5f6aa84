"""Who hears of what a database does."""

from __future__ import annotations

from remote_server.domain.change_set import ChangeSet
from remote_server.store.listeners import Listeners


def test_everybody_hears_of_what_they_asked_for() -> None:
    listeners, heard = Listeners(), list[object]()
    listeners.on_commit(heard.append)
    listeners.on_told(lambda: heard.append("told"))
    listeners.on_failure(lambda: heard.append("failed"))
    listeners.on_reconnect(lambda: heard.append("back"))
    listeners.on_loss(heard.append)
    changes, error = ChangeSet(queued=True), RuntimeError()
    listeners.published(changes)
    listeners.told()
    listeners.failed()
    listeners.reconnected()
    listeners.lost(error)
    assert heard == [changes, "told", "failed", "back", error]
