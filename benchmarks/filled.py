"""A database as it is after months: many jobs, nearly all of them ended, with attempts and
timelines. Made with the store's own submit, and then aged by plain SQL, which takes seconds."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Final

from remote_protocol.api.queues import QueueCreate
from remote_protocol.spec import CommandSpec, JobSpec
from remote_server.store import Store

QUEUES: Final = ("default", "berlin", "lyon", "nightly", "gpu")
BATCH: Final = 1000
_DAYS: Final = 30 * 86400.0
_WAITING: Final = 300
"""The newest jobs, which wait for an agent that has a label."""

# Of a hundred jobs 93 succeed, 5 fail, 2 are cancelled. Each ran for some seconds, on one of the
# agents in turn.
_AGED: Final = """
UPDATE jobs SET attempt = 1, used = 1, tries = 1, agent = 'swarm-' || (rowid % :agents),
  state = CASE WHEN rowid % 100 < 93 THEN 'succeeded' WHEN rowid % 100 < 98 THEN 'failed'
          ELSE 'cancelled' END,
  end_reason = CASE WHEN rowid % 100 < 93 THEN 'exit' WHEN rowid % 100 < 96 THEN 'exit'
          WHEN rowid % 100 < 98 THEN 'timeout' ELSE 'cancelled' END,
  exit_code = CASE WHEN rowid % 100 < 93 THEN 0 WHEN rowid % 100 < 96 THEN 3 ELSE 143 END,
  end_detail = CASE WHEN rowid % 100 < 93 THEN 'exit code 0' WHEN rowid % 100 < 96 THEN
          'exit code 3' ELSE 'it ran for longer than its timeout of 10m' END,
  assigned_at = created_at + 0.2, started_at = created_at + 0.4,
  ended_at = created_at + 0.4 + rowid % 40
WHERE rowid <= :ended
"""
_ATTEMPTS: Final = """
INSERT INTO attempts (job, number, agent, queue, state, offered_at, accepted_at, started_at,
  ended_at, exit_code, end_reason, end_detail, log_size, log_complete, log_gone)
SELECT id, 1, agent, queue, 'ended', assigned_at, assigned_at, started_at, ended_at, exit_code,
  end_reason, end_detail, 0, 1, 0 FROM jobs WHERE attempt = 1
"""
_EVENTS: Final = """
INSERT INTO timeline (job, at, what, state, attempt, agent, source, detail)
SELECT id, {at}, :what, {state}, 1, agent, :source, '' FROM jobs WHERE attempt = 1
"""
_STEPS: Final = (
    ("assigned_at", "assigned", "'assigned'", "server"),
    ("started_at", "started", "'running'", "server"),
    ("ended_at", "ended", "state", "agent"),
)


def fill(database: Path, jobs: int, agents: int) -> None:
    """Make the database; `agents`: how many the jobs have run on."""
    database.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(_submit(database, jobs))
    with sqlite3.connect(database) as connection:
        connection.execute(_AGED, {"agents": agents, "ended": jobs - min(_WAITING, jobs // 2)})
        connection.execute(_ATTEMPTS)
        for at, what, state, source in _STEPS:
            given = {"what": what, "source": source}
            connection.execute(_EVENTS.format(at=at, state=state), given)
        connection.execute("PRAGMA optimize")
    connection.close()


async def _submit(database: Path, jobs: int) -> None:
    store, now = await Store.open(str(database)), time.time()
    for name in QUEUES[1:]:
        await store.create_queue(QueueCreate(name=name, description=f"hosts of {name}"), now)
    for first in range(0, jobs, BATCH):
        specs = [_spec(number, jobs) for number in range(first, min(first + BATCH, jobs))]
        # From a month ago until a minute ago.
        await store.submit(specs, now - 60 - _DAYS * (1 - first / jobs))
    await store.close()


def _spec(number: int, jobs: int) -> JobSpec:
    waits = number >= jobs - min(_WAITING, jobs // 2)
    labels = {"gpu": "h100"} if waits else {"site": "berlin"} if number % 3 == 0 else {}
    return CommandSpec(
        command=["rsync", "-a", "--delete", f"/srv/export/{number}/", "backup:/srv/in"],
        name=f"nightly-export-{number % 500}",
        queue=QUEUES[number % len(QUEUES)],
        labels=labels,
        env={"TARGET": f"store-{number % 7}", "MODE": "full"},
    )
