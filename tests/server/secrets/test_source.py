"""The keys as files and variables have them, whole, lost, damaged, read by others."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from remote_server.secret_settings import SecretsPart
from remote_server.secrets.keys import KEY_SIZE, KeyRing, SealingKey
from remote_server.secrets.source import (
    GivenKeys,
    KeyFile,
    KeyMissing,
    KeyUnusable,
    open_keys,
)

ONE, TWO = SealingKey(b"1" * KEY_SIZE), SealingKey(b"2" * KEY_SIZE)


def ids(ring: KeyRing) -> list[str]:
    return [key.id for key in ring.keys]


def test_the_servers_own_file_is_made_for_it_alone(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "secrets.key", own=True)
    with pytest.raises(KeyMissing, match=r"there is no .*secrets.key; restore the file"):
        file.ring()
    file.make(ONE)
    assert ids(file.ring()) == [ONE.id]
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.replace(KeyRing([ONE, TWO]))
    assert ids(file.ring()) == [ONE.id, TWO.id]
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.key"]


def test_a_configured_file_is_the_operators(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "given.key", own=False)
    with pytest.raises(KeyMissing, match=r"\[secrets\] key_file"):
        file.ring()
    with pytest.raises(KeyUnusable, match=r"openssl rand -base64 32 > .*given.key"):
        file.make(ONE)
    assert not file.path.exists()


def test_a_file_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "secrets.key", own=True)
    file.make(ONE)
    for mode in (0o640, 0o604, 0o660):
        file.path.chmod(mode)
        with pytest.raises(KeyUnusable, match=rf"mode {mode:04o}\): chmod 600 .*rotate-key"):
            file.ring()
    file.path.chmod(0o400)
    assert ids(file.ring()) == [ONE.id]


@pytest.mark.parametrize("content", [b"", b"damaged\n", b"\xff\xfe", b"A" * 5000])
def test_a_damaged_file_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secrets.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyUnusable, match=r"is damaged \(it is .*restore the file") as caught:
        KeyFile(path, own=True).ring()
    assert not isinstance(caught.value, KeyMissing)


def test_a_file_that_cannot_be_written_or_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(KeyUnusable, match=r"cannot be read: Is a directory"):
        KeyFile(tmp_path / "folder", own=True).ring()
    with pytest.raises(KeyUnusable, match="cannot be written: No such file"):
        KeyFile(tmp_path / "missing" / "secrets.key", own=True).make(ONE)


def test_keys_of_the_environment_stay_there() -> None:
    given = GivenKeys(f"{ONE.text},{TWO.text}")
    assert ids(given.ring()) == [ONE.id, TWO.id]
    for change in (lambda: given.make(ONE), lambda: given.replace(KeyRing([ONE]))):
        with pytest.raises(KeyUnusable, match="REMOTE_SERVER_SECRETS_KEY"):
            change()
    with pytest.raises(KeyUnusable, match=r"REMOTE_SERVER_SECRETS_KEY holds no key.*openssl"):
        GivenKeys("damaged").ring()


def test_the_settings_choose(tmp_path: Path) -> None:
    own = tmp_path / "secrets.key"
    KeyFile(own, own=True).make(ONE)
    assert ids(open_keys(SecretsPart(), own).ring()) == [ONE.id]
    given = SecretsPart(key=SecretStr(TWO.text), key_file=tmp_path / "other")
    assert ids(open_keys(given, own).ring()) == [TWO.id]
    with pytest.raises(KeyMissing, match="other"):
        open_keys(SecretsPart(key_file=tmp_path / "other"), own).ring()
