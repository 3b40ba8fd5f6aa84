"""The chaos run: jobs of many shapes, seeded faults, hostile actors, and a judge.

Usage: python -m tests.chaos.run [--seed N] [--minutes M] [--agents N] [--tame] [--keep]

Exit code 0 only when every invariant held. The same seed plays the same jobs and faults; what they
meet differs with the machine's timing, so a failure prints a merged timeline besides its seed.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bed import memory
from remote_client.client import Client
from remote_client.errors import ApiError, ClientError, Unreachable
from remote_protocol.api.events import TimelineEntry
from remote_protocol.ids import make_ulid
from tests.chaos.checker import (
    Verdict,
    check_jobs,
    files_left,
    groups_left,
    processes_left,
    unnamed_damage,
)
from tests.chaos.faults import ALONE, LASTING, playable
from tests.chaos.hostile import Hostiles
from tests.chaos.inputs import InputFeeder
from tests.chaos.links import Fault
from tests.chaos.network import leave_the_host
from tests.chaos.plan import Planned, plan_job
from tests.chaos.stage import Missed, Stage, pause

_SETTLE = 240.0
_TIDY = 60.0
_TROUBLE = re.compile(r"Traceback|unhandled|never retrieved|AssertionError|Exception in callback")
_MEMORY_LIMIT = 400.0
"""MiB of peak resident memory for server and agents."""


@dataclass
class Score:
    """What happened in a run."""

    faults: Counter[str] = field(default_factory=Counter)
    story: list[tuple[float, str]] = field(default_factory=list)
    planned: dict[str, Planned] = field(default_factory=dict)
    hostiles: Hostiles | None = None
    feeders: list[InputFeeder] = field(default_factory=list)
    refused: int = 0
    missed: int = 0
    """Faults that found nothing to harm."""

    def tell(self, sentence: str) -> None:
        """Add to the timeline."""
        self.story.append((time.time(), sentence))


class Submitter(threading.Thread):
    """Submits jobs, and cancels those that are to be cancelled, until it is told to stop."""

    def __init__(self, stage: Stage, dice: random.Random, score: Score, per_second: float) -> None:
        super().__init__(daemon=True)
        self._stage = stage
        self._dice = dice
        self._score = score
        self._period = 1 / per_second
        self._client: Client = stage.client.again()
        self._cancels: list[tuple[float, str]] = []
        self.stopping = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Submit at random moments; a server that is away only delays it."""
        try:
            while not self.stopping.wait(self._dice.expovariate(1 / self._period)):
                self._submit()
                self._cancel_due()
            while self._cancels:
                self._cancel_due()
                time.sleep(0.1)
        except Exception as error:
            self.error = error

    def _submit(self) -> None:
        plan = plan_job(self._dice, self._stage.records)
        key = make_ulid(int(time.time() * 1000), self._dice.randbytes(10))
        spec = plan.spec.model_copy(update={"idempotency_key": key})
        while True:
            try:
                job = self._client.submit(spec)
                break
            except Unreachable:
                self._score.refused += 1
            except ApiError as error:
                if error.code != "store_unavailable":
                    raise
                self._score.refused += 1
            time.sleep(0.3)
        self._score.planned[job.id] = plan
        if spec.stdin:
            dice = random.Random(self._dice.getrandbits(32))
            feeder = InputFeeder(self._stage.client.again(), job.id, plan.feed, dice)
            self._score.feeders.append(feeder)
            feeder.start()
        if plan.cancel_after is not None:
            self._cancels.append((time.monotonic() + plan.cancel_after, job.id))

    def _cancel_due(self) -> None:
        for due in [item for item in self._cancels if item[0] <= time.monotonic()]:
            try:
                self._client.cancel(due[1], "chaos")
            except ClientError:
                continue
            self._cancels.remove(due)


class Harm:
    """Plays faults, one that lasts besides the others."""

    def __init__(self, stage: Stage, score: Score, dice: random.Random) -> None:
        self._stage = stage
        self._score = score
        self._dice = dice
        self._table = playable(stage)
        self._lasting: threading.Thread | None = None
        self.error: Exception | None = None

    def next(self) -> None:
        """One more fault; those that last may go on behind it."""
        # The sequence comes from the seed alone: what a fault meets must not turn these dice.
        dice = self._dice
        (fault,) = dice.choices(list(self._table), list(self._table.values()))
        behind, own = dice.random() < 0.5, random.Random(dice.getrandbits(32))
        busy = self._lasting is not None and self._lasting.is_alive()
        if fault in LASTING and behind and not busy:
            self._lasting = threading.Thread(target=self._play, args=(fault, own), daemon=True)
            self._lasting.start()
            return
        if fault in ALONE:
            self.join()
        self._play(fault, own)

    def join(self) -> None:
        """Wait for the one that lasts."""
        if self._lasting is not None:
            self._lasting.join()

    def _play(self, fault: Fault, dice: random.Random) -> None:
        try:
            self._score.tell(f"FAULT {fault(self._stage, dice)}")
            self._score.faults[fault.__name__] += 1
        except Missed as missed:
            self._score.tell(f"FAULT missed: {missed}")
            self._score.missed += 1
        except Exception as error:
            self.error = error


def play(
    stage: Stage, score: Score, seed: int, seconds: float, jobs_a_second: float, hostile: bool
) -> None:
    """Jobs and faults for so long; afterwards every harm is healed and every job has ended."""
    dice = random.Random(seed)
    submitter = Submitter(stage, random.Random(seed + 1), score, jobs_a_second)
    submitter.start()
    if hostile:
        score.hostiles = Hostiles(stage, random.Random(seed + 2), score.tell)
        score.hostiles.start()
    harm = Harm(stage, score, dice)
    until = time.monotonic() + seconds
    while time.monotonic() < until and submitter.error is None and harm.error is None:
        pause(dice, 2.0)
        # What gave up on a full disk is started again, as an init system would do.
        stage.revive()
        harm.next()
    harm.join()
    submitter.stopping.set()
    stage.calm()
    submitter.join(60)
    for feeder in score.feeders:
        feeder.join(60)
        if feeder.is_alive():
            stage.complain("the input of a job could not be sent to its end")
            feeder.stopping.set()
    if score.hostiles is not None:
        score.hostiles.leave()
    wrong = score.hostiles.error if score.hostiles is not None else None
    for error in (harm.error, submitter.error, wrong):
        if error is not None:
            raise error
    _await_ends(stage, score)


def _await_ends(stage: Stage, score: Score) -> None:
    deadline = time.monotonic() + _SETTLE
    pending = set(score.planned)
    while pending and time.monotonic() < deadline:
        pending = {job for job in pending if not stage.client.job(job).state.terminal}
        time.sleep(0.2)


def judge(stage: Stage, score: Score, seconds: float) -> Verdict:
    """Every invariant, checked on the calm stage."""
    verdict = check_jobs(stage.client, score.planned, stage.records, frozenset(stage.disturbed))
    verdict.wrong += stage.complaints
    verdict.wrong += _left_for_good(stage, score)
    logs = [agent.log.read_text("utf-8", "replace").splitlines() for agent in stage.agents]
    unnamed_damage(verdict, stage.client, score.planned, [line for log in logs for line in log])
    if score.hostiles is not None:
        verdict.wrong += score.hostiles.judge(seconds)
    for actor in (stage.server, *stage.agents):
        for line in _trouble(actor.log):
            verdict.wrong.append(f"{actor.name}.log: {line}")
        peak = memory(actor.pid, "VmHWM")
        if peak > _MEMORY_LIMIT:
            verdict.wrong.append(f"{actor.name} took {peak:.0f} MiB")
    return verdict


def _left_for_good(stage: Stage, score: Score) -> list[str]:
    """What the jobs have left. An agent tidies up after the server has called a job ended."""
    deadline = time.monotonic() + _TIDY
    while (left := _left(stage, score)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def _left(stage: Stage, score: Score) -> list[str]:
    damaged = frozenset(job for job, plan in score.planned.items() if plan.hostile)
    found = [f"process left: {line}" for line in processes_left(str(stage.records))]
    found += [f"group left: {group}" for group in groups_left(score.planned)]
    for agent in stage.agents:
        files = files_left(agent.disk / "state", damaged)
        found += [f"{agent.name}: {file}" for file in files]
    return found


def _trouble(log: Path) -> list[str]:
    lines = log.read_text("utf-8", "replace").splitlines()
    return [line[:300] for line in lines if _TROUBLE.search(line)][:5]


def report(stage: Stage, seed: int, score: Score, verdict: Verdict, seconds: float) -> None:
    """Figures on stdout; on failure the seed and the merged timeline too."""
    faults = ", ".join(f"{name} {count}" for name, count in sorted(score.faults.items()))
    print(f"seed {seed}: {sum(score.faults.values())} faults in {seconds:.0f} s ({faults})")
    if score.hostiles is not None:
        acts = ", ".join(f"{name} {n}" for name, n in sorted(score.hostiles.acts.items()))
        damaging = sum(plan.hostile for plan in score.planned.values())
        print(f"{score.hostiles.acts.total()} hostile acts ({acts}), {damaging} damaging jobs")
    if score.missed:
        print(f"{score.missed} more found nothing to harm")
    if stage.revived:
        print(f"{stage.revived} programs had given up and were started again")
    print(places(stage))
    ends = ", ".join(f"{name} {count}" for name, count in sorted(verdict.reasons.items()))
    print(
        f"{verdict.jobs} jobs, {verdict.attempts} attempts ({ends}); "
        f"{verdict.bytes_compared:,} log bytes compared; {verdict.inputs} inputs read; "
        f"{len(verdict.wrong)} violations"
    )
    if verdict.wrong:
        print("\nVIOLATIONS\n  " + "\n  ".join(verdict.wrong[:50]))
    sys.stdout.flush()


def places(stage: Stage) -> str:
    """Where the agents lived, and what the cable did to their packets."""
    if not stage.celled:
        return f"namespaces: none: {stage.without_cells}; all links went through relays"
    told = []
    for agent, cell in stage.celled:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(cell.cable.counts.items()))
        told.append(f"{agent.name} ({counts})")
    return "namespaces: " + "; ".join(told)


def merged_timeline(stage: Stage, score: Score, verdict: Verdict) -> str:
    """Faults, and the timelines of the jobs that went wrong, in order of time."""
    entries = list(score.story)
    wrong = {sentence.split(":")[0] for sentence in verdict.wrong} & set(score.planned)
    for job in sorted(wrong)[:10]:
        for entry in _timeline(stage.client, job):
            text = f"{job} {entry.what} attempt {entry.attempt} {entry.agent or ''} {entry.detail}"
            # The server's clock jumped: its times are set right again.
            entries.append((stage.server.clock.real(entry.at.timestamp()), text))
    return "\n".join(
        f"{time.strftime('%H:%M:%S', time.localtime(at))} {what}" for at, what in sorted(entries)
    )


def _timeline(client: Client, job: str) -> list[TimelineEntry]:
    try:
        return client.timeline(job)
    except ClientError:
        return []


def keep_evidence(stage: Stage, place: Path | None) -> None:
    """Copy the logs of server and agents, or show their ends."""
    for log in sorted(stage.root.glob("*.log")):
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
            (place / log.name).write_bytes(log.read_bytes())
        else:
            print(f"\n{log.name}\n{log.read_text('utf-8', 'replace')[-3000:]}")


def _break_off(number: int, _frame: object) -> None:
    """End the run; from here on nothing disturbs the cleaning up."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> int:
    """Play once; 0 when nothing went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2.5, help="jobs a second")
    parser.add_argument("--tame", dest="hostile", action="store_false", help="faults alone")
    parser.add_argument("--keep", type=Path, help="copy logs there when something went wrong")
    options = parser.parse_args()
    begun = time.monotonic()
    # Before the first thread: only a lone thread can take the whole process along.
    without_cells = leave_the_host()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _break_off)
    with Stage(options.agents, options.seed, without_cells) as stage:
        score = Score()
        try:
            play(stage, score, options.seed, options.minutes * 60, options.rate, options.hostile)
            verdict = judge(stage, score, options.minutes * 60)
        except Exception as error:
            verdict = Verdict(wrong=[f"the run broke off: {error!r}"])
        report(stage, options.seed, score, verdict, time.monotonic() - begun)
        if verdict.wrong:
            print("\nTIMELINE\n" + merged_timeline(stage, score, verdict))
            keep_evidence(stage, options.keep)
            print(f"\nPlay it again: make chaos SEED={options.seed} MINUTES={options.minutes:g}")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
