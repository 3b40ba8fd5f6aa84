"""Attempts of jobs with secrets: started with the values, or ended before they start."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from remote_agent.execution import secret_start
from remote_agent.execution.secret_start import SecretStart
from remote_agent.local.secret_sources import SecretSources
from remote_agent.sections import SecretsPart
from remote_agent.session.secret_needs import SecretNeeds
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Confirm
from remote_protocol.relay import VARIABLE
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason
from tests.agent.execution.test_runner import World, ticking


class FakeRelays:
    """Relays that are always open at one address, unless the disk is full."""

    def __init__(self) -> None:
        self.opened: list[AttemptId] = []
        self.error: OSError | None = None

    def open(self, key: AttemptId) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        self.opened.append(key)
        return {VARIABLE: "http://127.0.0.1:9/hush/", "<relay>": "hush"}


class Host(World):
    """A runner, with the secrets of its host."""

    def __init__(self, state_dir: Path, **settings: object) -> None:
        super().__init__(state_dir)
        environ = {"A": "of the environment"}
        self.sources = SecretSources(SecretsPart.model_validate(settings), environ)
        self.relays = FakeRelays()


SHOWS = 'printf "%s" "$A" | tr a-z A-Z'  # in small ones it is masked


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How often this process was closed to others' looks; the tests' own stays open."""
    calls: list[bool] = []
    monkeypatch.setattr(secret_start, "forbid_inspection", lambda: calls.append(True))
    return calls


def give(world: Host, key: AttemptId, names: list[str], **given: Any) -> None:
    spec = CommandSpec(command=["true"], secrets=names)
    needs = SecretNeeds(spec, Confirm(attempt=key, **given))
    SecretStart(world.runner, world.sources, world.relays).start_with_secrets(key, needs)


async def test_the_job_gets_what_the_server_gives_and_it_names(
    tmp_path: Path, closed: list[bool]
) -> None:
    async with ticking(Host(tmp_path)) as world:
        key = world.store(f'{SHOWS}; printf "%s" "${{B-unset}}"', secrets=["A"])
        give(world, key, ["A"], secrets={"A": "hush", "B": "more"})
        assert (await world.end_of(key)).exit_code == 0
        assert world.output(key) == b"HUSHunset"
        assert closed == [True]


async def test_what_is_missing_ends_the_attempt_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ticking(Host(tmp_path)) as world:
        key = world.store(f"touch {world.mark}", secrets=["A", "B", "C"])
        give(world, key, ["A", "B", "C"], secrets={"A": "hush"}, withheld={"C": "C is for q."})
        ended = await world.end_of(key)
        assert (ended.end_reason, ended.exit_code) == (EndReason.SECRET_MISSING, None)
        assert ended.end_detail.startswith(
            "There is no secret B; the agent's environment: [secrets] env_allow does not name it; "
            "the server: it gives none; the agent's files: [secrets] dir names no directory. "
            "There is no secret C;"
        )
        assert "the server: C is for q;" in ended.end_detail
        assert world.started(key) is None and not world.mark.exists()
    assert "hush" not in ended.end_detail + capsys.readouterr().err


async def test_one_that_has_begun_goes_on(tmp_path: Path) -> None:
    async with ticking(Host(tmp_path)) as world:
        key = world.store("sleep 0.3; exit 7", secrets=["A"])
        give(world, key, ["A"], secrets={"A": "hush"})
        while not (world.journal.path(key) / "started.json").exists():
            world.runner.tick()
        give(world, key, ["A"])
        assert (await world.end_of(key)).exit_code == 7


async def test_each_place_in_its_order(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("A", "B", "C"):
        (folder / name).write_text(f"{name} of the files\n")
    async with ticking(Host(tmp_path, dir=folder, env_allow=["A"])) as world:
        # In large letters, or it is masked.
        show = 'printf "%s, %s, %s, %s" "$A" "$B" "$C" "$ALL" | tr a-z A-Z'
        names = ["A", "B", "C"]
        key = world.store(show, secrets=names, env={"ALL": "${A}+${C}"})
        server = dict.fromkeys("AB", "of the server")
        spec = CommandSpec(command=["true"], secrets=names, env={"ALL": "${A}+${C}"})
        needs = SecretNeeds(spec, Confirm(attempt=key, secrets=server))
        SecretStart(world.runner, world.sources, world.relays).start_with_secrets(key, needs)
        await world.end_of(key)
        assert world.output(key) == (
            b"OF THE ENVIRONMENT, OF THE SERVER, C OF THE FILES, OF THE ENVIRONMENT+C OF THE FILES"
        )
        written = (world.journal.path(key) / "attempt.jsonl").read_bytes()
        assert b"of the" not in written and b"${A}+${C}" in written


async def test_a_private_input_is_read_by_the_job_and_lies_nowhere(tmp_path: Path) -> None:
    async with ticking(Host(tmp_path)) as world:
        text = "line one\nü hush"
        key = world.store("sha256sum", private_input=True)
        spec = CommandSpec(command=["true"], private_input=True)
        needs = SecretNeeds(spec, Confirm(attempt=key, private_input=text))
        assert "hush" not in repr(needs)
        SecretStart(world.runner, world.sources, world.relays).start_with_secrets(key, needs)
        assert (await world.end_of(key)).exit_code == 0
        assert world.output(key).split()[0].decode() == sha256(text.encode()).hexdigest()
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files and not [path for path in files if b"hush" in path.read_bytes()]


async def test_one_that_is_gone_ends_the_attempt_before_it_starts(tmp_path: Path) -> None:
    async with ticking(Host(tmp_path)) as world:
        key = world.store(f"touch {world.mark}", private_input=True)
        spec = CommandSpec(command=["true"], private_input=True)
        needs = SecretNeeds(spec, Confirm(attempt=key))
        SecretStart(world.runner, world.sources, world.relays).start_with_secrets(key, needs)
        ended = await world.end_of(key)
        assert ended.end_reason is EndReason.SECRET_MISSING
        assert "cannot give the private input" in ended.end_detail
        assert not world.mark.exists()


async def test_a_relay_is_opened_and_its_address_is_a_secret(tmp_path: Path) -> None:
    async with ticking(Host(tmp_path)) as world:
        script = 'printf "%s %s" "$API" "$REMOTE_RELAY_URL" | tr a-z A-Z'
        key = world.store(script, relay="api", env={"API": "${REMOTE_RELAY_URL}items"})
        order = (world.journal.path(key) / "attempt.jsonl").read_bytes()
        assert b"hush" not in order
        spec = CommandSpec(command=["true"], relay="api", env={"API": "${REMOTE_RELAY_URL}items"})
        needs = SecretNeeds(spec, Confirm(attempt=key))
        SecretStart(world.runner, world.sources, world.relays).start_with_secrets(key, needs)
        assert (await world.end_of(key)).exit_code == 0
        assert world.output(key) == b"HTTP://127.0.0.1:9/HUSH/ITEMS HTTP://127.0.0.1:9/HUSH/"
        assert world.relays.opened == [key]


async def test_a_relay_that_cannot_be_opened_ends_the_attempt(tmp_path: Path) -> None:
    async with ticking(Host(tmp_path)) as world:
        key = world.store("true", relay="api")
        world.relays.error = OSError(28, "No space left on device")
        needs = SecretNeeds(CommandSpec(command=["true"], relay="api"), Confirm(attempt=key))
        SecretStart(world.runner, world.sources, world.relays).start_with_secrets(key, needs)
        ended = await world.end_of(key)
        assert ended.end_reason is EndReason.SPAWN_ERROR
        assert "its relay cannot be opened" in ended.end_detail and "space" in ended.end_detail
