"""The program that chaos jobs run: it prints, and records what it prints. Standard library only.

Usage: actor.py SHAPE SEED RECORDS. Each start appends a line to `RECORDS/<job>.starts`; every piece
of output is appended to `RECORDS/<job>.<attempt>.out` (stdout) or `.err` *before* it is written to
the stream. So a log must equal the record, or, when the job was killed, be a prefix of it that
lacks at most the last piece.
"""

import os
import random
import signal
import sys
import time


class Recorder:
    """Writes to a stream after it has written to the record."""

    def __init__(self, path: str, stream: int) -> None:
        self.record = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.stream = stream

    def write(self, data: bytes) -> None:
        """Record, then print all of it."""
        os.write(self.record, data)
        view = memoryview(data)
        while view:
            view = view[os.write(self.stream, view) :]


def short(dice: random.Random, out: Recorder, err: Recorder) -> int:
    out.write(b"short %d\n" % dice.randrange(1000))
    return 0


def failing(dice: random.Random, out: Recorder, err: Recorder) -> int:
    err.write(b"about to fail\n")
    return dice.randrange(1, 100)


def silent(dice: random.Random, out: Recorder, err: Recorder) -> int:
    time.sleep(dice.random())
    return 0


def long(dice: random.Random, out: Recorder, err: Recorder) -> int:
    for number in range(dice.randrange(20, 80)):
        (err if dice.random() < 0.2 else out).write(b"line %d\n" % number)
        time.sleep(0.1)
    return 0


def chatty(dice: random.Random, out: Recorder, err: Recorder) -> int:
    line = bytes(dice.choices(range(32, 127), k=79)) + b"\n"
    for _ in range(dice.randrange(50, 400)):
        out.write(line * dice.randrange(1, 400))
    return 0


def binary(dice: random.Random, out: Recorder, err: Recorder) -> int:
    for _ in range(dice.randrange(5, 60)):
        out.write(dice.randbytes(dice.randrange(1, 60_000)))
    return 0


def forking(dice: random.Random, out: Recorder, err: Recorder) -> int:
    """Leaves a daemonised grandchild behind that holds the pipe open."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
    out.write(b"left a grandchild\n")
    return 0


def stubborn(dice: random.Random, out: Recorder, err: Recorder) -> int:
    """Ignores the polite signal; only its timeout and the kill end it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out.write(b"you cannot stop me\n")
    time.sleep(600)
    return 0


def greedy(dice: random.Random, out: Recorder, err: Recorder) -> int:
    """Takes memory until its limit kills it."""
    out.write(b"eating\n")
    held = []
    while True:
        held.append(b"x" * 8_000_000)
        time.sleep(0.02)


SHAPES = {
    shape.__name__: shape
    for shape in (short, failing, silent, long, chatty, binary, forking, stubborn, greedy)
}


def main() -> int:
    """Act one shape; the exit code is part of what the seed decides."""
    shape, seed, records = sys.argv[1:4]
    job, attempt = os.environ["REMOTE_JOB_ID"], os.environ["REMOTE_ATTEMPT"]
    base = os.path.join(records, job)
    starts = os.open(base + ".starts", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(starts, f"{attempt} {os.environ['REMOTE_AGENT']} {os.getpid()}\n".encode())
    out = Recorder(f"{base}.{attempt}.out", 1)
    err = Recorder(f"{base}.{attempt}.err", 2)
    return SHAPES[shape](random.Random(int(seed)), out, err)


if __name__ == "__main__":
    sys.exit(main())
