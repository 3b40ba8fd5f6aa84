"""What failures do to both sides, each met by a task of either at the same moment."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import httpx

from benchmarks.airflow import figures
from benchmarks.airflow.sides import Place, end_all
from benchmarks.bed import descendants
from tests.support.stack import until

OUTAGE: Final = 67.0
_ENDED: Final = ("success", "failed", "up_for_retry")


@dataclass
class Outcome:
    """What came of one side's task."""

    state: str
    after: float
    """Seconds from the failure until Airflow had that state."""
    missing: int
    repeated: int
    """Lines of its log."""
    ticks: int
    starts: int
    back: float | None = None
    """Seconds until the worker was let in again under its name."""

    def words(self) -> str:
        """For a table."""
        lost = f"{self.missing} of {self.ticks} lines missing" if self.missing else "log whole"
        if self.state != "success":
            lost = f"{self.ticks - self.missing} lines"
        twice = f", {self.repeated} lines twice" if self.repeated else ""
        begun = "" if self.starts == 1 else f", begun {self.starts} times"
        back = "" if self.back is None else f"; its name is let in after {self.back:.0f} s"
        return f"{self.state} after {self.after:.0f} s, {lost}{twice}{begun}{back}"


def outage(place: Place) -> list[Outcome]:
    """The api-server and our server are away for 67 s."""

    def happens() -> None:
        central = (place.airflow.parts["api-server"], place.stack.server)
        for program in central:
            program.send(signal.SIGTERM)
        for program in central:
            program.wait(60)
        time.sleep(OUTAGE)
        place.stack.start_server()
        central[0].start()
        place.airflow.answers()

    return _met(place, int(5 * (OUTAGE + 50)), happens)


def killed_workers(place: Place) -> list[Outcome]:
    """SIGKILL of both workers, which are started again after two seconds."""

    def happens() -> None:
        for side in place.sides:
            side.worker.kill()

    return _met(place, 150, happens, back=240)


def lost_hosts(place: Place) -> list[Outcome]:
    """SIGKILL of both workers with all below them, started again after two seconds."""

    def happens() -> None:
        pids = [(side.worker.pid, *descendants(side.worker.pid)) for side in place.sides]
        for tree in pids:
            end_all(tree)
        for side in place.sides:
            side.worker.wait()

    return _met(place, 3000, happens, back=240)


def _met(
    place: Place, ticks: int, happens: Callable[[], None], back: float | None = None
) -> list[Outcome]:
    """A task of each side meets it after six seconds."""
    runs = [place.airflow.trigger(f"{side.name}_ticks", ticks=ticks) for side in place.sides]
    until(lambda: all(place.started(run) == 1 for run in runs), "both tasks run", 60)
    time.sleep(6)
    begun = time.monotonic()
    happens()
    ended: dict[str, tuple[str, float]] = {}

    def look() -> bool:
        for run in runs:
            with contextlib.suppress(httpx.HTTPError):
                state = place.airflow.tasks(run)["one"]["state"]
                if state in _ENDED:
                    ended.setdefault(run, (state, time.monotonic() - begun))
        return len(ended) == len(runs)

    let_in: list[float | None] = [None, None]
    with ThreadPoolExecutor(len(runs)) as pool:
        if back is not None:
            time.sleep(2)
            coming = [pool.submit(side.comes_back, back) for side in place.sides]
        until(look, "both tasks have ended", ticks / 5 + 330)
        if back is not None:
            let_in = [one.result() for one in coming]
    # The last lines of a worker that polls.
    time.sleep(15)
    return [
        _outcome(place, run, ticks, *ended[run], let_in[number]) for number, run in enumerate(runs)
    ]


def _outcome(
    place: Place, run: str, ticks: int, state: str, after: float, back: float | None
) -> Outcome:
    log = place.airflow.log(run, "one")
    return Outcome(
        state=state,
        after=after,
        missing=figures.missing(log, ticks),
        repeated=figures.repeated(log),
        ticks=ticks,
        starts=place.started(run),
        back=back,
    )
