"""Whatever HTTP request is sent, the real server answers it, stays quick and small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.corpus import REQUESTS
from tests.fuzz.explore import explore
from tests.fuzz.ground import Ground, fuzzed_ground
from tests.fuzz.http_cases import HttpCase, http_cases
from tests.fuzz.http_player import HttpPlayer

pytestmark = pytest.mark.timeout(300)  # Hundreds of cases take a while on a busy machine.
SEED = 7
CASES = 500


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with fuzzed_ground(tmp_path_factory.mktemp("fuzz")) as ground:
        yield ground


@pytest.fixture
def player(ground: Ground) -> Iterator[HttpPlayer]:
    player = HttpPlayer(ground)
    yield player
    player.close()


@pytest.mark.parametrize("case", REQUESTS, ids=range(len(REQUESTS)))
def test_what_failed_once(ground: Ground, player: HttpPlayer, case: HttpCase) -> None:
    player.play(case)
    ground.check()


def test_generated_requests(ground: Ground, player: HttpPlayer) -> None:
    def play(case: HttpCase) -> None:
        player.play(case)
        ground.check()

    explore(http_cases(), play, seed=SEED, count=CASES)
