"""Attempts of jobs with secrets: started with the values, or ended before they start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remote_agent.execution.secret_start import SecretStart
from remote_agent.session.secret_needs import SecretNeeds
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Confirm
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason
from tests.agent.execution.test_runner import World, ticking

SHOWS = 'printf "%s" "$A"'


def give(world: World, key: AttemptId, names: list[str], **given: Any) -> None:
    spec = CommandSpec(command=["true"], secrets=names)
    needs = SecretNeeds(spec, Confirm(attempt=key, **given))
    SecretStart(world.runner).start_with_secrets(key, needs)


async def test_the_job_gets_what_the_server_gives_and_it_names(tmp_path: Path) -> None:
    async with ticking(World(tmp_path)) as world:
        key = world.store(f'{SHOWS}; printf "%s" "${{B-unset}}"', secrets=["A"])
        give(world, key, ["A"], secrets={"A": "hush", "B": "more"})
        assert (await world.end_of(key)).exit_code == 0
        assert world.output(key) == b"hushunset"


async def test_what_is_missing_ends_the_attempt_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ticking(World(tmp_path)) as world:
        key = world.store(f"touch {world.mark}", secrets=["A", "B", "C"])
        give(world, key, ["A", "B", "C"], secrets={"A": "hush"}, withheld={"C": "C is for q."})
        ended = await world.end_of(key)
        assert (ended.end_reason, ended.exit_code) == (EndReason.SECRET_MISSING, None)
        assert "B" in ended.end_detail and "C is for q." in ended.end_detail
        assert world.started(key) is None and not world.mark.exists()
    assert "hush" not in ended.end_detail + capsys.readouterr().err


async def test_one_that_has_begun_goes_on(tmp_path: Path) -> None:
    async with ticking(World(tmp_path)) as world:
        key = world.store("sleep 0.3; exit 7", secrets=["A"])
        give(world, key, ["A"], secrets={"A": "hush"})
        while not (world.journal.path(key) / "started.json").exists():
            world.runner.tick()
        give(world, key, ["A"])
        assert (await world.end_of(key)).exit_code == 7
