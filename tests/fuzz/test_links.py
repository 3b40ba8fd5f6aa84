"""Whatever an agent says, the real server goes on, and the honest agent beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.corpus import CONVERSATIONS
from tests.fuzz.explore import explore
from tests.fuzz.ground import Ground, fuzzed_ground
from tests.fuzz.link_cases import LinkCase, link_cases
from tests.fuzz.link_player import LinkPlayer

pytestmark = pytest.mark.timeout(300)  # Hundreds of cases take a while on a busy machine.
SEED = 7
CASES = 120


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with fuzzed_ground(tmp_path_factory.mktemp("fuzz")) as ground:
        yield ground


@pytest.mark.parametrize("case", CONVERSATIONS, ids=range(len(CONVERSATIONS)))
def test_what_failed_once(ground: Ground, case: LinkCase) -> None:
    LinkPlayer(ground).play(case)
    ground.check()


def test_generated_conversations(ground: Ground) -> None:
    player = LinkPlayer(ground)

    def play(case: LinkCase) -> None:
        player.play(case)
        ground.check()

    explore(link_cases(), play, seed=SEED, count=CASES)
    # Else the conversations do not reach what they are for.
    assert player.offers > CASES // 20
    assert player.refused < CASES // 2
