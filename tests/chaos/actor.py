"""The program that chaos jobs run: it prints, and records what it prints. Standard library only.

Usage: actor.py SHAPE SEED RECORDS. Each start appends a line to `RECORDS/<job>.starts`; every piece
of output is appended to `RECORDS/<job>.<attempt>.out` (stdout) or `.err` *before* it is written to
the stream. So a log must equal the record, or, when the job was killed, be a prefix of it that
lacks at most the last piece.
"""

import os
import random
import shutil
import signal
import sys
import time
import zlib

DAMAGED = 4
"""Exit code of a job that has damaged its attempt."""


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


def reading(dice: random.Random, out: Recorder, err: Recorder) -> int:
    """Reads its input to the end, now quickly and now slowly."""
    count, checksum, slow = 0, 0, dice.random() < 0.5
    while data := os.read(0, 65536):
        count += len(data)
        checksum = zlib.crc32(data, checksum)
        if slow:
            time.sleep(0.01)
    out.write(b"read %d bytes, checksum %08x\n" % (count, checksum))
    return 0


def damaging(dice: random.Random, out: Recorder, err: Recorder) -> int:
    """Harms what its agent keeps about it, as far as it can reach it."""
    out.write(b"look what I do\n")
    place = os.path.dirname(os.environ["REMOTE_WORK_DIR"])
    DAMAGES[dice.randrange(len(DAMAGES))](place)
    out.write(b"done\n")
    time.sleep(dice.random())
    return DAMAGED


def _lock_up(place: str) -> None:
    os.chmod(place, 0)


def _make_folders(place: str) -> None:
    for name in ("exit.json", "started.json", "settled", "output.log"):
        path = os.path.join(place, name)
        if os.path.isfile(path):
            os.unlink(path)
        os.makedirs(path + "/x", exist_ok=True)


def _forge(place: str) -> None:
    with open(os.path.join(place, "exit.json"), "w") as file:
        file.write('{"exit_code": 0, "end_reason": "exit", "size": 1, "checksum": 0')


def _link(place: str) -> None:
    """Put a link to a file of somebody else in place of what the agent reads and sends."""
    secret = os.path.join(sys.argv[3], "secret")
    for name in os.listdir(place):
        path = os.path.join(place, name)
        if os.path.isfile(path):
            os.unlink(path)
            os.symlink(secret, path)


def _pipe(place: str) -> None:
    """Put pipes that nobody reads or writes in place of the agent's files."""
    for name in os.listdir(place):
        path = os.path.join(place, name)
        if os.path.isfile(path):
            os.unlink(path)
            os.mkfifo(path)


def _delete(place: str) -> None:
    shutil.rmtree(place, ignore_errors=True)


def _fill(place: str) -> None:
    """Leave no room on the agent's disk, for a moment."""
    path = os.path.join(place, "filler")
    try:
        with open(path, "wb", buffering=0) as file:
            while file.write(b"\0" * 65536):
                pass
    except OSError:
        time.sleep(1)
    finally:
        os.unlink(path)


def _litter(place: str) -> None:
    """Leave what is hard to remove: deep, read-only, many."""
    path = os.path.join(os.environ["REMOTE_WORK_DIR"], "deep")
    os.makedirs(path)
    for number in range(2_000):
        with open(os.path.join(path, str(number)), "w"):
            pass
    for _ in range(60):
        path = os.path.join(path, "d" * 20)
        os.mkdir(path)
        os.chmod(os.path.dirname(path), 0o500)


DAMAGES = (_lock_up, _make_folders, _forge, _link, _pipe, _delete, _fill, _litter)

SHAPES = {
    shape.__name__: shape
    for shape in (
        short,
        failing,
        silent,
        long,
        chatty,
        binary,
        forking,
        stubborn,
        greedy,
        reading,
        damaging,
    )
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
