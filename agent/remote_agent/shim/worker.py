"""A shim process: takes an attempt's directory, runs the attempt, goes back. Disk, processes.

Nothing of an attempt survives in the process: its objects are made for it, its descriptors are
closed, the working directory is left. After anything odd the process ends and is replaced.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from remote_agent.processes import (
    Folder,
    SharedQueue,
    UnexpectedEntry,
    become_subreaper,
    forbid_inspection,
    start_oom_victims,
    start_time,
    sweep,
)
from remote_agent.shim.attempt import AttemptRunner, ShimProcess
from remote_agent.shim.control_socket import ControlSocket
from remote_agent.shim.ending import SPAWN_ERROR
from remote_agent.shim.held_inputs import InputHolder
from remote_agent.shim.json_text import decode
from remote_agent.shim.layout import EXIT
from remote_agent.shim.order import Order, OrderError, read_order
from remote_agent.shim.record import has_begun, mark_begun, write_record
from remote_agent.shim.record_text import shim_fields
from remote_agent.shim.secret_files import SecretFiles
from remote_agent.shim.secrets import PRIVATE_INPUT, SecretsError, read_secrets

ATTEMPTS: Final = 1000
"""Attempts after which a shim is replaced, so that nothing can pile up in it."""
_LARGEST_REQUEST: Final = 1 << 16
_LOCK_TRIES: Final = 20
_LOCK_PAUSE: Final = 0.01


class Outcome(IntEnum):
    """Exit codes by which a shim tells its launcher why it ended."""

    DONE = 0
    """No more requests: the agent is gone, or one shim too many was there."""
    REPLACE = 3
    """Replace it by a fresh one."""
    DETACHED = 4
    """The same, and processes of its last job live on, as its order says."""
    USED = 5
    """The same: its memory may have held secrets, and no other attempt may share it with them."""


def log_line(text: str) -> None:
    """A line in the shims' own log (their standard error)."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(f"{stamp} shim {os.getpid()}: {text}\n")
    sys.stderr.flush()


def become_shim(holder: InputHolder | None, boot: str) -> ShimProcess:
    """Set this process up as the parent of its job's orphans; its signals are reset already. Facts
    about it; without a launcher there is no `holder`. `boot` is the `boot_id`."""
    become_subreaper()
    start_oom_victims(False)
    pid = os.getpid()
    socket = ControlSocket(reused=holder is not None)
    return ShimProcess(boot, shim_fields(pid, start_time(pid) or "", boot), holder, socket)


def run_attempt(path: str, shim: ShimProcess, secrets: Mapping[str, str]) -> Outcome | None:
    """Run the attempt in this directory, if nobody does or did. None: ready for the next one."""
    try:
        directory = Folder(path)
    except OSError as error:
        log_line(f"cannot open the attempt directory {path}: {error.strerror}")
        return None
    files = None
    try:
        if not _lock(directory):
            log_line(f"another shim keeps {path}; this one leaves it alone")
            return None
        directory.enter()
        if has_begun(directory):
            log_line(f"the attempt in {path} was begun before; it is not started again")
            return None
        try:
            order = read_order(directory)
            if order.key != path.rpartition(os.sep)[2]:
                # Settled, and used again by an attempt that nobody has confirmed yet (I1): it would
                # begin too early, and with the secrets of this one.
                log_line(f"{path} was settled; {order.key} has its directory, and is left alone")
                return None
            if missing := _missing(order, secrets):
                log_line(f"{path} needs secrets that did not come with the request: {missing}")
                return None
            if order.private_input:
                secrets = dict(secrets)
                order = order._replace(payload=secrets.pop(PRIVATE_INPUT).encode())
            if order.payload_secrets:
                head = {name: secrets[name] for name in order.payload_secrets}
                order = order._replace(payload=json.dumps(head).encode() + b"\n" + order.payload)
            # Everything that a full disk can refuse comes first: then the attempt has not begun.
            if order.secret_files:
                files = SecretFiles(order, secrets)
                if files.shared:
                    order = order._replace(options={**order.options, "secrets": files.shared})
            attempt = AttemptRunner(directory, order, shim, secrets, files)
        except FileNotFoundError:
            # Settled meanwhile, and used again: nothing of it may be touched.
            log_line(f"there is no start order in {path}")
            return None
        except (OrderError, UnexpectedEntry) as error:
            if not directory.is_at(path):
                # The same: what is a spare directory now has an empty order. Nobody makes one of
                # a directory while its lock is held here.
                log_line(f"{path} was settled; it is not started again")
                return None
            mark_begun(directory)
            _refuse(directory, error)
            return None
        env = order.env
        if order.secrets:
            env = {**env, **{name: secrets[name] for name in order.secrets}}
        if files is not None:
            env = {**env, **files.variables}
        return _run(attempt, directory, order, env)
    finally:
        if files is not None:
            files.remove()
        directory.leave()
        directory.close()


def _missing(order: Order, secrets: Mapping[str, str]) -> list[str]:
    """Names of secrets that the order needs and nobody has given."""
    wanted = [*order.secrets, *order.secret_files, *order.payload_secrets]
    if order.private_input:
        wanted.append(PRIVATE_INPUT)
    return [name for name in wanted if name not in secrets] if wanted else wanted


def _run(
    attempt: AttemptRunner, directory: Folder, order: Order, env: Mapping[str, str]
) -> Outcome | None:
    if order.filter is not None:
        # What the job adds at run time is secret, too.
        forbid_inspection()
    try:
        mark_begun(directory, looked=True)
        try:
            attempt.run(env)
        except BaseException:
            attempt.abandon()
            raise
    finally:
        attempt.close()
    if attempt.detached:
        return Outcome.DETACHED
    return Outcome.USED if attempt.given_secrets else None


def _lock(directory: Folder) -> bool:
    """The exclusive lock on an attempt; waits a moment, for the agent may be looking at it."""
    for _ in range(_LOCK_TRIES):
        if directory.lock():
            return True
        time.sleep(_LOCK_PAUSE)
    return False


def _refuse(directory: Folder, error: OrderError | UnexpectedEntry) -> None:
    detail = str(error)
    if isinstance(error, UnexpectedEntry):
        detail = f"the start order cannot be read: {error.strerror}"
    body = {
        "exit_code": 126,
        "end_reason": SPAWN_ERROR,
        "end_detail": detail,
        "size": 0,
        "checksum": 0,
        "ended_at": time.time(),
    }
    write_record(directory, EXIT, body, sync=True)


def serve(requests: int, shim: ShimProcess) -> Outcome:
    """Take attempts from the shared socket `requests` until it is closed or it is time to go."""
    queue = SharedQueue(socket.socket(fileno=requests))
    try:
        return _serve(queue, shim)
    finally:
        queue.close()
        shim.socket.close()


def _serve(queue: SharedQueue, shim: ShimProcess) -> Outcome:
    for _ in range(ATTEMPTS):
        data, descriptor = queue.receive(_LARGEST_REQUEST)
        if not data:
            return Outcome.DONE
        try:
            request = decode(data)
            if request.get("retire"):
                return Outcome.DONE
            outcome = serve_request(request["dir"], shim, descriptor)
        except Exception:
            log_line(f"unforeseen:\n{traceback.format_exc()}")
            # Whatever state this was in, no process of the job may outlive its shim.
            sweep(0)
            return Outcome.REPLACE
        if outcome is not None:
            return outcome
    return Outcome.REPLACE


def serve_request(path: str, shim: ShimProcess, descriptor: int | None) -> Outcome | None:
    """Run an attempt whose secrets, if it has any, are read from this descriptor."""
    if descriptor is None:
        return run_attempt(path, shim, {})
    forbid_inspection()
    shim.socket.serve_one()
    try:
        secrets = read_secrets(descriptor)
    except SecretsError as error:
        log_line(f"{path} is not started: {error}")
        return Outcome.USED
    return run_attempt(path, shim, secrets) or Outcome.USED
