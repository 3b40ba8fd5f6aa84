"""Fuzzing for as long as one likes, with new seeds all the time.

Usage: python -m tests.fuzz.run [--minutes M] [--seed N] [--keep FOLDER] [--replay FILE]

Half of the time goes to HTTP requests, half to agents' links, each against a server of its own.
What fails is saved as a file in the folder and played again by --replay. Exit code 0 only when
nothing failed. The seeds are printed: a run with the same seed generates the same cases.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz import http_cases, link_cases
from tests.fuzz.corpus import CONVERSATIONS, REQUESTS
from tests.fuzz.explore import Found, explore
from tests.fuzz.ground import Ground, fuzzed_ground
from tests.fuzz.http_player import HttpPlayer
from tests.fuzz.link_player import LinkPlayer

_ROUND = 200
"""Cases of one seed."""
_MOST_FOUND = 5
"""Failures after which a run of one kind ends: more would hardly be read."""


@dataclass(frozen=True)
class Kind:
    """One of the two things that are fuzzed."""

    name: str
    cases: st.SearchStrategy[Any]
    known: tuple[Any, ...]
    player: Callable[[Ground], HttpPlayer | LinkPlayer]
    to_json: Callable[[Any], dict[str, Any]]
    from_json: Callable[[dict[str, Any]], Any]


KINDS = (
    Kind("http", http_cases.http_cases(), REQUESTS, HttpPlayer,
         http_cases.to_json, http_cases.from_json),
    Kind("link", link_cases.link_cases(), CONVERSATIONS, LinkPlayer,
         link_cases.to_json, link_cases.from_json),
)  # fmt: skip


@contextmanager
def playing(kind: Kind) -> Iterator[Callable[[Any], None]]:
    """A way to play cases of a kind; failing ones raise."""
    with (
        tempfile.TemporaryDirectory(prefix="remote-fuzz-") as folder,
        fuzzed_ground(Path(folder)) as ground,
    ):
        player = kind.player(ground)

        def play(case: Any) -> None:
            player.play(case)
            ground.check()

        try:
            yield play
        finally:
            if isinstance(player, HttpPlayer):
                player.close()
            print(f"{kind.name}: memory +{ground.watch.grown:.0f} MiB at its peak", flush=True)


def fuzz(kind: Kind, seconds: float, seed: int, keep: Path) -> list[str]:
    """Generate and play for so long; what went wrong, in words."""
    wrong: list[str] = []
    played, until = 0, time.monotonic() + seconds
    try:
        with playing(kind) as play:
            for case in kind.known:
                wrong += _known(play, case)
            while time.monotonic() < until and len(wrong) < _MOST_FOUND:
                try:
                    played += explore(
                        kind.cases,
                        play,
                        seed=seed,
                        count=_ROUND,
                        stop=lambda: time.monotonic() > until,
                    )
                except Found as found:
                    file = _save(keep, kind, seed, found)
                    wrong.append(f"{found}\nPlay it again: make fuzz ARGS='--replay {file}'")
                    print(wrong[-1], flush=True)
                seed += 1
    except AssertionError as error:
        wrong.append(f"in the end: {error}")
    print(f"{kind.name}: {played} cases, up to seed {seed - 1}, {len(wrong)} failures", flush=True)
    return wrong


def _known(play: Callable[[Any], None], case: Any) -> list[str]:
    try:
        play(case)
    except Exception as error:
        return [f"a known case fails: {case!r}: {error}"]
    return []


def _save(folder: Path, kind: Kind, seed: int, found: Found[Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{kind.name}-{seed}.json"
    value = {
        "kind": kind.name,
        "seed": seed,
        "error": str(found)[:10_000],
        "case": kind.to_json(found.case),
        "first": kind.to_json(found.first),
    }
    file.write_text(json.dumps(value, indent=1))
    return file


def replay(file: Path) -> list[str]:
    """Play one saved case, as small as it was made and as it was found."""
    value = json.loads(file.read_text())
    kind = next(kind for kind in KINDS if kind.name == value["kind"])
    wrong: list[str] = []
    with playing(kind) as play:
        for name in ("case", "first"):
            wrong += _known(play, kind.from_json(value[name]))
    return wrong


def main() -> int:
    """0 when nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-failures"), help="for failing cases"
    )
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], help="only this one")
    parser.add_argument("--replay", type=Path, help="a file with a failing case")
    options = parser.parse_args()
    if options.replay:
        wrong = replay(options.replay)
    else:
        kinds = [kind for kind in KINDS if options.kind in (None, kind.name)]
        print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
        share = options.minutes * 60 / len(kinds)
        wrong = [line for kind in kinds for line in fuzz(kind, share, options.seed, options.keep)]
    print("\n".join(["", f"{len(wrong)} FAILURES", *wrong] if wrong else ["nothing failed"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
