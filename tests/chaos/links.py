"""The faults of links: of TCP connections through a relay, of packets through a cable.

A relay never loses a byte that it has taken, so packets are lost, repeated and reordered only on
the cable of an agent in a network namespace.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tests.chaos.cable import Weather
from tests.chaos.stage import Stage

Fault = Callable[[Stage, random.Random], str]


def cut_link(stage: Stage, dice: random.Random) -> str:
    """Reset an agent's connection."""
    agent, relay = dice.choice(stage.relayed)
    relay.cut()
    return f"reset link of {agent.name}"


def black_hole(stage: Stage, dice: random.Random) -> str:
    """An agent's line swallows everything for a while, then is reset."""
    agent = dice.choice(stage.agents)
    seconds = dice.uniform(1.0, 8.0)
    agent.line.black_hole(True)
    time.sleep(seconds)
    agent.line.black_hole(False)
    if agent.relay is not None and dice.random() < 0.5:
        agent.relay.cut()
    return f"black hole before {agent.name} for {seconds:.1f} s"


def half_open(stage: Stage, dice: random.Random) -> str:
    """The server's words to an agent are lost for a while; a relay then resets the line."""
    agent = dice.choice(stage.agents)
    agent.line.half_open(True)
    time.sleep(dice.uniform(0.5, 4.0))
    if agent.relay is not None:
        agent.relay.cut()
    agent.line.half_open(False)
    return f"half-open link of {agent.name}"


def crawl(stage: Stage, dice: random.Random) -> str:
    """An agent's line carries one KB a second for a while."""
    agent = dice.choice(stage.agents)
    agent.line.rate(1024)
    time.sleep(dice.uniform(1.0, 4.0))
    agent.line.rate(None)
    if agent.relay is not None:
        agent.relay.cut()
    return f"1 KB/s for {agent.name}"


def flap(stage: Stage, dice: random.Random) -> str:
    """An agent's connection is reset many times in a row."""
    agent, relay = dice.choice(stage.relayed)
    for _ in range(dice.randrange(3, 12)):
        relay.cut()
        time.sleep(dice.uniform(0.0, 0.3))
    return f"flapping link of {agent.name}"


def unplug(stage: Stage, dice: random.Random) -> str:
    """The network interface of an agent goes down: no route, no address answers."""
    agent, cell = dice.choice(stage.celled)
    seconds = dice.uniform(0.2, 6.0)
    cell.plug(False)
    time.sleep(seconds)
    cell.plug(True)
    return f"{agent.name} unplugged for {seconds:.1f} s"


def storm(stage: Stage, dice: random.Random) -> str:
    """An agent's packets are lost, repeated, reordered, delayed for a while."""
    agent, cell = dice.choice(stage.celled)
    cell.cable.weather = weather = Weather(
        loss=round(dice.choice([0.0, 0.1, 0.4]) * dice.random(), 3),
        repeat=round(dice.choice([0.0, 0.3, 1.0]) * dice.random(), 3),
        reorder=round(dice.choice([0.0, 0.5, 1.0]) * dice.random(), 3),
        delay=round(dice.choice([0.0, 0.01, 0.3]) * dice.random(), 3),
        rate=dice.choice([None, None, 50_000, 1_000_000]),
    )
    seconds = dice.uniform(1.0, 8.0)
    time.sleep(seconds)
    cell.cable.heal()
    return f"storm before {agent.name} for {seconds:.1f} s: {weather}"


FAULTS: dict[Fault, int] = {
    cut_link: 8,
    black_hole: 4,
    half_open: 4,
    crawl: 3,
    flap: 3,
    unplug: 3,
    storm: 6,
}
IN_CELLS = frozenset({unplug, storm})
IN_RELAYS = frozenset({cut_link, flap})
