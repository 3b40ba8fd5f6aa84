"""A fake API, a client for it, and `remotectl` called in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from remote_client.cli.main import main
from remote_client.client import Client
from tests.support.fake_api import TOKEN, FakeApi


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the developer reach a test."""
    for name in [name for name in os.environ if name.startswith("REMOTE_")]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    """`remotectl run`, called in this process, leaves its handlers behind."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    usual = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, usual, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


@pytest.fixture
def client(api: FakeApi) -> Iterator[Client]:
    """A client that does not wait between repetitions."""
    with Client(api.url, TOKEN, sleep=lambda _: None) as client:
        yield client


@pytest.fixture
def ctl(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`remotectl` against the fake API; gives the exit code."""
    monkeypatch.setenv("REMOTE_URL", api.url)
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    return call


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    code = ended.value.code
    assert isinstance(code, int)
    return code


def started(
    api: FakeApi,
    *command: str,
    options: Sequence[str] = (),
    url: str | None = None,
    stdout: Any = subprocess.PIPE,
    stderr: Any = subprocess.PIPE,
    under: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """`remotectl run` in a process of its own."""
    env = {**os.environ, "REMOTE_URL": url or api.url, "REMOTE_TOKEN": TOKEN}
    arguments = [*under, sys.executable, "-m", "remote_client", "run", *options, "--", *command]
    return subprocess.Popen(arguments, stdout=stdout, stderr=stderr, env=env)
