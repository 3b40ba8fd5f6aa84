"""The faults of a chaos run: each does one harm to a running stack, and says what it did.

Here are those of processes, disks and clocks, and the table of all.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from remote_client.errors import ClientError
from tests.chaos import clones, links
from tests.chaos.links import Fault
from tests.chaos.stage import Actor, Missed, Stage


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
        raise Missed("kill shim: none ran")
    pid, job = dice.choice(found)
    shim = _parent(pid)
    if shim is None:
        raise Missed("kill shim: it had gone")
    stage.disturb(job)
    with suppress(OSError):
        os.kill(shim, signal.SIGKILL)
    return f"kill -9 shim {shim} of {job}"


def kill_job(stage: Stage, dice: random.Random) -> str:
    """kill -9 a job's own process: it ends by signal, with its whole log so far."""
    found = list(_job_processes(stage))
    if not found:
        raise Missed("kill job: none ran")
    pid, job = dice.choice(found)
    stage.disturb(job)
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    return f"kill -9 job {job}"


def kill_launcher(stage: Stage, dice: random.Random) -> str:
    """kill -9 the launcher of an agent's shims: no job may notice."""
    found = list(_job_processes(stage))
    if not found:
        raise Missed("kill launcher: no job ran")
    shim = _parent(dice.choice(found)[0])
    launcher = None if shim is None else _parent(shim)
    if launcher is None or not _is_launcher(launcher):
        raise Missed("kill launcher: it had gone")
    with suppress(OSError):
        os.kill(launcher, signal.SIGKILL)
    return f"kill -9 launcher {launcher}"


def freeze_shim(stage: Stage, dice: random.Random) -> str:
    """SIGSTOP a shim, have its job cancelled meanwhile, and let it go on."""
    found = list(_job_processes(stage))
    if not found:
        raise Missed("freeze shim: none ran")
    pid, job = dice.choice(found)
    shim = _parent(pid)
    if shim is None:
        raise Missed("freeze shim: it had gone")
    stage.disturb(job)
    with suppress(OSError):
        os.kill(shim, signal.SIGSTOP)
    try:
        with suppress(ClientError):
            stage.client.cancel(job, "chaos: its shim is frozen")
        time.sleep(dice.uniform(0.5, 8.0))
    finally:
        with suppress(OSError):
            os.kill(shim, signal.SIGCONT)
    return f"SIGSTOP shim {shim}, cancel {job}"


def fill_disk(stage: Stage, dice: random.Random) -> str:
    """The disk of one agent or of the server has no byte left for a while."""
    actor = dice.choice([stage.server, *stage.agents])
    with actor.full_disk():
        time.sleep(dice.uniform(0.5, 3.0))
    return f"disk full of {actor.name}"


def jump_clock(stage: Stage, dice: random.Random) -> str:
    """The wall clock of the server or of an agent and its shims jumps, by seconds to hours."""
    actor = dice.choice([stage.server, *stage.agents])
    size = dice.choice([3.0, 90.0, 3600.0, 6 * 3600.0]) * dice.uniform(0.3, 1.0)
    offset = round(size * dice.choice([-1, 1]), 3)
    by = offset - actor.clock.offset
    actor.clock.jump(offset)
    return f"clock of {actor.name} jumps by {by:+.1f} s to {offset:+.1f} s"


def jump_clocks(stage: Stage, dice: random.Random) -> str:
    """Every wall clock jumps at once, each by its own amount."""
    for actor in (stage.server, *stage.agents):
        actor.clock.jump(round(dice.uniform(-7200.0, 7200.0), 3))
    return "clocks jump to " + ", ".join(
        f"{actor.clock.offset:+.0f} s" for actor in (stage.server, *stage.agents)
    )


FAULTS: dict[Fault, int] = {
    kill_server: 5,
    restart_server: 3,
    kill_agent: 8,
    restart_agent: 4,
    kill_everything: 1,
    freeze_agent: 5,
    freeze_server: 3,
    kill_shim: 5,
    kill_launcher: 3,
    freeze_shim: 4,
    kill_job: 5,
    fill_disk: 4,
    jump_clock: 8,
    jump_clocks: 2,
    **links.FAULTS,
    clones.clone_agent: 3,
    clones.replay_connection: 3,
}
"""Every fault with its weight."""


LASTING = frozenset(
    {
        freeze_agent,
        freeze_server,
        freeze_shim,
        fill_disk,
        *(links.FAULTS.keys() - {links.cut_link, links.flap}),
    }
)
"""Faults that others may meet: they start no program, so a thread can play them."""
ALONE = frozenset({clones.clone_agent, clones.replay_connection})
"""Faults that judge by themselves, which needs a stage on which nothing else goes on."""


def playable(stage: Stage) -> dict[Fault, int]:
    """The faults that this stage has the means for."""
    return {
        fault: weight
        for fault, weight in FAULTS.items()
        if (stage.celled or fault not in links.IN_CELLS)
        and (stage.relayed or fault not in links.IN_RELAYS | {clones.replay_connection})
    }


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


def _parent(pid: int) -> int | None:
    """The shim of a job's process; None when it has gone."""
    with suppress(OSError, IndexError):
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return parent if parent > 1 else None
    return None


def _is_launcher(pid: int) -> bool:
    with suppress(OSError):
        return b"\0pool\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
