"""Has as many agents as the queues need: looks at their depth and the age of the oldest waiting
job, and calls a command of yours with the number of agents.

    python examples/autoscale.py --queue berlin --max 20 --jobs-per-agent 4 --cooldown 10m -- \\
        kubectl scale deployment/remote-agent --replicas={agents}

Reads the server (REMOTE_URL and REMOTE_TOKEN or REMOTE_TOKEN_FILE, else the login of `remotectl`; a
viewer's token is enough), and starts that command; needs the package `remote-client`.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from remote_client.client import Client
from remote_client.config import find_access
from remote_client.errors import ClientError, UsageError
from remote_protocol.api.queues import QueueView
from remote_protocol.units import format_duration, parse_duration

PLACEHOLDER: Final = "{agents}"
_LARGEST_TOKEN: Final = 4096
_TIMEOUT: Final = 120.0
"""Seconds that the command may take."""


@dataclass(frozen=True, slots=True)
class Load:
    """What waits and runs in all the queues that are looked at."""

    waiting: int
    running: int
    oldest: float
    """Seconds that the oldest waiting job has waited; 0 when none waits."""
    online: int
    """Agents that are connected."""

    def __str__(self) -> str:
        oldest = f", the oldest for {format_duration(round(self.oldest))}" if self.waiting else ""
        return f"{self.waiting} wait{oldest}, {self.running} run, {self.online} agents are online"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many agents there may be, and what one of them is good for."""

    least: int
    most: int
    jobs_per_agent: int
    oldest: float
    """Seconds that a job may wait before one more agent than now is wanted."""


def load_of(queues: Iterable[QueueView]) -> Load:
    """The load of queues together. What waits in a paused one needs no agents."""
    waiting, running, oldest, online = 0, 0, 0.0, 0
    for queue in queues:
        running += queue.running
        online = max(online, queue.agents_online)  # most serve several queues
        if not queue.paused:
            waiting += queue.queued
            oldest = max(oldest, queue.oldest_seconds or 0.0)
    return Load(waiting, running, oldest, online)


def wanted(load: Load, limits: Limits) -> int:
    """How many agents this load needs now: places for all jobs; and, when a job has waited for too
    long all the same (heavy jobs, labels), one more than there are."""
    need = math.ceil((load.waiting + load.running) / limits.jobs_per_agent)
    if load.waiting and load.oldest > limits.oldest:
        need = max(need, load.online + 1)
    return min(limits.most, max(limits.least, need))


class Cooldown:
    """More agents at once, fewer only when so many were not needed for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._needs: deque[tuple[float, int]] = deque()

    def begin(self, there: int, now: float) -> None:
        """So many are there already: a restart of this program stops none of them sooner."""
        if self._seconds:
            self._needs.append((now, there))

    def after(self, need: int, now: float) -> int:
        """How many there should be, when so many are needed now."""
        self._needs.append((now, need))
        while self._needs[0][0] < now - self._seconds:
            self._needs.popleft()
        return max(number for _, number in self._needs)


class Autoscaler:
    """One look after the other. `look` gives the load (ClientError), `apply` makes so many agents
    and tells whether that worked."""

    def __init__(
        self,
        look: Callable[[], Load],
        apply: Callable[[int], bool],
        limits: Limits,
        cooldown: float,
    ) -> None:
        self._look = look
        self._apply = apply
        self._limits = limits
        self._cooldown = Cooldown(cooldown)
        self._looked = False
        self._agents: int | None = None
        """The number that was applied last."""

    def turn(self, now: float) -> bool:
        """Look, and change what differs; False when that failed: it is tried again at the next
        turn. ClientError: then nothing is changed, and the number of agents stays as it is."""
        load = self._look()
        if not self._looked:
            self._looked = True
            self._cooldown.begin(min(self._limits.most, load.online), now)
        agents = self._cooldown.after(wanted(load, self._limits), now)
        if agents != self._agents:
            print(f"{agents} agents: {load}", file=sys.stderr, flush=True)
            self._agents = agents if self._apply(agents) else None
        return self._agents is not None


def run_command(command: Sequence[str], agents: int) -> bool:
    """Call the command, or print the number when there is none; whether that worked."""
    if not command:
        print(agents, flush=True)
        return True
    words = [word.replace(PLACEHOLDER, str(agents)) for word in command]
    env = {name: text for name, text in os.environ.items() if name != "REMOTE_TOKEN"}
    try:
        code = subprocess.run(words, env=env, timeout=_TIMEOUT, check=False).returncode
        why = f"it ended with {code}" if code else ""
    except subprocess.TimeoutExpired:
        why = f"it did not end within {_TIMEOUT:.0f} s"
    except OSError as error:
        why = error.strerror or "it cannot be started"
    if why:
        print(f"{words[0]}: {why}", file=sys.stderr, flush=True)
    return not why


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= 100_000:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to 100000")
        return int(text)

    return parse


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; SystemExit (2) when they make no sense."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n\n")[0] if __doc__ else "",
        epilog=f"COMMAND is called when the number changes, with {PLACEHOLDER} replaced by it; "
        "without one, the number is printed.",
    )
    add = parser.add_argument
    add("--queue", action="append", required=True, metavar="Q", help="repeatable")
    add("--min", type=_number(0), default=0, metavar="N", help="agents at the least (0)")
    add("--max", type=_number(1), required=True, metavar="N", help="agents at the most")
    words = "capacity of one agent (1)"
    add("--jobs-per-agent", type=_number(1), default=1, metavar="N", help=words)
    words = "one more agent when a job has waited for longer (1m)"
    add("--oldest", type=_duration, default=60.0, metavar="DURATION", help=words)
    words = "fewer agents only after so long (5m)"
    add("--cooldown", type=_duration, default=300.0, metavar="DURATION", help=words)
    words = "time between two looks (15s)"
    add("--every", type=_duration, default=15.0, metavar="DURATION", help=words)
    add("--once", action="store_true", help="look once, then exit")
    add("command", nargs="*", metavar="COMMAND", help="what makes so many agents")
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error("--every is 1s or longer")
    if options.max < options.min:
        parser.error("--max is less than --min")
    if options.command and not any(PLACEHOLDER in word for word in options.command):
        parser.error(f"COMMAND does not say where the number goes; write {PLACEHOLDER}")
    return options


def connect() -> Client:
    """A client by the variables of `remotectl`, or its login. UsageError when that does not do."""
    token, file = os.environ.get("REMOTE_TOKEN"), os.environ.get("REMOTE_TOKEN_FILE")
    if not token and file:
        try:
            with open(file, encoding="ascii") as opened:
                token = opened.read(_LARGEST_TOKEN).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise UsageError(f"The token file {file} cannot be read: {why}") from None
    access = find_access(
        os.environ.get("REMOTE_URL"),
        token,
        os.environ.get("REMOTE_CA_FILE"),
        insecure=os.environ.get("REMOTE_INSECURE") == "1",
    )
    return Client(access.url, access.token, ca_file=access.ca_file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code."""
    options = parse(arguments)
    limits = Limits(options.min, options.max, options.jobs_per_agent, options.oldest)
    try:
        with connect() as client:
            scaler = Autoscaler(
                lambda: load_of([client.queue(name) for name in options.queue]),
                lambda agents: run_command(options.command, agents),
                limits,
                0.0 if options.once else options.cooldown,
            )
            # What is wrong from the beginning is an error.
            if not scaler.turn(time.monotonic()) and options.once:
                return 1
            while not options.once:
                time.sleep(options.every)
                try:
                    scaler.turn(time.monotonic())
                except ClientError as error:
                    print(f"{error} Nothing is changed.", file=sys.stderr, flush=True)
    except ClientError as error:
        print(f"autoscale: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
