"""The faults of a chaos run: each does one harm to a running stack, and says what it did."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.chaos.stage import Actor, Stage

Fault = Callable[[Stage, random.Random], str]


def kill_server(stage: Stage, dice: random.Random) -> str:
    """kill -9 the server; it comes back after a moment."""
    stage.server.kill()
    time.sleep(dice.uniform(0.0, 2.0))
    stage.server.start()
    return "kill -9 server"


def restart_server(stage: Stage, dice: random.Random) -> str:
    """Stop the server politely and start it again."""
    stage.server.stop()
    stage.server.start()
    return "restart server"


def kill_agent(stage: Stage, dice: random.Random) -> str:
    """kill -9 an agent; it comes back after a moment."""
    agent = dice.choice(stage.agents)
    agent.kill()
    time.sleep(dice.uniform(0.0, 2.0))
    agent.start()
    return f"kill -9 {agent.name}"


def restart_agent(stage: Stage, dice: random.Random) -> str:
    """Stop an agent by SIGTERM, which leaves its jobs running, and start it again."""
    agent = dice.choice(stage.agents)
    agent.stop()
    agent.start()
    return f"restart {agent.name}"


def kill_everything(stage: Stage, dice: random.Random) -> str:
    """kill -9 the server and every agent at once."""
    for actor in (stage.server, *stage.agents):
        actor.kill()
    for actor in (stage.server, *stage.agents):
        actor.start()
    return "kill -9 server and all agents"


def freeze_agent(stage: Stage, dice: random.Random) -> str:
    """SIGSTOP an agent for a while."""
    agent = dice.choice(stage.agents)
    return _freeze(agent, dice.uniform(0.5, 6.0))


def freeze_server(stage: Stage, dice: random.Random) -> str:
    """SIGSTOP the server for a while."""
    return _freeze(stage.server, dice.uniform(0.5, 4.0))


def kill_shim(stage: Stage, dice: random.Random) -> str:
    """kill -9 the shim of a running job: its job dies with it, reported as lost."""
    found = list(_job_processes(stage))
    if not found:
        return "kill shim: none ran"
    pid, job = dice.choice(found)
    with suppress(OSError, IndexError):
        shim = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if shim > 1:
            stage.disturb(job)
            os.kill(shim, signal.SIGKILL)
            return f"kill -9 shim {shim} of {job}"
    return "kill shim: it had gone"


def kill_job(stage: Stage, dice: random.Random) -> str:
    """kill -9 a job's own process: it ends by signal, with its whole log so far."""
    found = list(_job_processes(stage))
    if not found:
        return "kill job: none ran"
    pid, job = dice.choice(found)
    stage.disturb(job)
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    return f"kill -9 job {job}"


def cut_link(stage: Stage, dice: random.Random) -> str:
    """Reset an agent's connection."""
    agent = dice.choice(stage.agents)
    agent.relay.cut()
    return f"reset link of {agent.name}"


def black_hole(stage: Stage, dice: random.Random) -> str:
    """An agent's line swallows everything for a while, then is reset."""
    agent = dice.choice(stage.agents)
    seconds = dice.uniform(1.0, 8.0)
    agent.relay.black_hole(True)
    time.sleep(seconds)
    agent.relay.black_hole(False)
    if dice.random() < 0.5:
        agent.relay.cut()
    return f"black hole before {agent.name} for {seconds:.1f} s"


def half_open(stage: Stage, dice: random.Random) -> str:
    """The server's words to an agent are lost for a while, then the line is reset."""
    agent = dice.choice(stage.agents)
    agent.relay.half_open(True)
    time.sleep(dice.uniform(0.5, 4.0))
    agent.relay.cut()
    agent.relay.half_open(False)
    return f"half-open link of {agent.name}"


def crawl(stage: Stage, dice: random.Random) -> str:
    """An agent's line carries one KB a second for a while."""
    agent = dice.choice(stage.agents)
    agent.relay.rate(1024)
    time.sleep(dice.uniform(1.0, 4.0))
    agent.relay.rate(None)
    agent.relay.cut()
    return f"1 KB/s for {agent.name}"


def flap(stage: Stage, dice: random.Random) -> str:
    """An agent's connection is reset many times in a row."""
    agent = dice.choice(stage.agents)
    for _ in range(dice.randrange(3, 12)):
        agent.relay.cut()
        time.sleep(dice.uniform(0.0, 0.3))
    return f"flapping link of {agent.name}"


def fill_disk(stage: Stage, dice: random.Random) -> str:
    """The disk of one agent or of the server has no byte left for a while."""
    actor = dice.choice([stage.server, *stage.agents])
    with actor.full_disk():
        time.sleep(dice.uniform(0.5, 3.0))
    return f"disk full of {actor.name}"


FAULTS: dict[Fault, int] = {
    kill_server: 5,
    restart_server: 3,
    kill_agent: 8,
    restart_agent: 4,
    kill_everything: 1,
    freeze_agent: 5,
    freeze_server: 3,
    kill_shim: 5,
    kill_job: 5,
    cut_link: 8,
    black_hole: 4,
    half_open: 4,
    crawl: 3,
    flap: 3,
    fill_disk: 4,
}
"""Every fault with its weight."""


def _freeze(actor: Actor, seconds: float) -> str:
    actor.signal(signal.SIGSTOP)
    time.sleep(seconds)
    actor.signal(signal.SIGCONT)
    return f"SIGSTOP {actor.name} for {seconds:.1f} s"


def _job_processes(stage: Stage) -> Iterator[tuple[int, str]]:
    """Main processes of running jobs: `(pid, job id)`, by their environment and command line."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if b"actor.py" not in (entry / "cmdline").read_bytes():
                continue
            pairs = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        job = next((p[14:].decode() for p in pairs if p.startswith(b"REMOTE_JOB_ID=")), "")
        if job and str(stage.records).encode() in command:
            yield int(entry.name), job
