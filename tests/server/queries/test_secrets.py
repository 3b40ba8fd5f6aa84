"""Secrets as lists show them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from remote_server.domain.secrets import Scope, Secret
from remote_server.queries.secrets import secret_views
from remote_server.secrets.keys import KEY_SIZE, SealingKey
from remote_server.secrets.source import KeyFile
from remote_server.secrets.vault import SecretStore, Vault

KEY = SealingKey(b"k" * KEY_SIZE)


def secret(scope: Scope, key_id: str = KEY.id) -> Secret:
    return Secret("A", scope, key_id, 1.0, "alice", 2.0, "bob")


def test_each_says_what_is_the_matter(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "secrets.key", own=True)
    vault = Vault(cast(SecretStore, None), file)
    (view,) = secret_views(vault, [secret(Scope())])
    assert "the key of secrets is missing" in view.problem
    file.make(KEY)
    (view,) = secret_views(vault, [secret(Scope(("a",)))])
    assert (view.queues, view.all_queues, view.problem) == (["a"], False, "")
    assert (view.created_by, view.updated_by, view.key_id) == ("alice", "bob", KEY.id)
    assert "were deleted" in secret_views(vault, [secret(Scope(()))])[0].problem
    assert "another one" in secret_views(vault, [secret(Scope((), True), "else")])[0].problem
    assert secret_views(vault, []) == []
