"""From a host with the service, or with what is left of one, to one without. Removes files, the
account, and, when the server can be reached, the agent there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from remote_agent.errors import AgentError, os_words
from remote_agent.journal.folder import unsettled
from remote_agent.local.control import ask
from remote_agent.processes import remove_tree
from remote_agent.service import account
from remote_agent.service.calling import one_line
from remote_agent.service.installing import ENVIRONMENT, TOKEN_FILE
from remote_agent.service.port import ServicePort

_NAMED: Final = 5
"""Attempts that a refusal names, at the most."""


@dataclass(slots=True)
class Receipt:
    """What an uninstallation did."""

    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unpacked: list[str] = field(default_factory=list)
    """What became of the unpacked program, in lines; the call itself may have unpacked it."""

    def lines(self) -> list[str]:
        """For people."""
        if not (self.removed or self.kept or self.notes):
            return ["nothing of the service is on this host; nothing to do", *self.unpacked]
        return [
            *(f"removed  {path}" for path in self.removed),
            *(f"kept     {path}" for path in self.kept),
            *self.unpacked,
            *self.notes,
        ]


def uninstall(
    port: ServicePort,
    leave: Callable[[Path], str | None],
    force: bool = False,
) -> Receipt:
    """Remove the service and all that is its own.

    `leave` has the agent leave its server, and gives what is to be said of that, or None. Without
    `force`, AgentError when jobs run or results have not reached the server; nothing is changed
    then. It may be called again at any time, on whatever an earlier call has left.
    """
    state = port.state()
    port.check()
    _look_for_others(port.state_dir, state.pid)
    if not force:
        _look_for_results(port.state_dir)
    receipt = Receipt(removed=port.remove())
    with suppress(AgentError):
        # A damaged identity keeps nothing here.
        if note := leave(port.state_dir):
            receipt.notes.append(note)
    try:
        _remove_files(receipt, port.state_dir, port.config_dir)
    except OSError as error:
        raise AgentError(
            f"{os_words(error, port.state_dir)}; remove it, then repeat this"
        ) from None
    user = state.user or port.account
    if account.remove(user):
        receipt.removed.append(f"user {user}")
    # The last step: this process may be running from there.
    _remove_program(receipt, port.program_dir)
    return receipt


def _remove_files(receipt: Receipt, state_dir: Path, config_dir: Path) -> None:
    for path in (state_dir, config_dir / TOKEN_FILE, config_dir / ENVIRONMENT):
        if os.path.lexists(path):
            remove_tree(path)
            receipt.removed.append(str(path))
    if not config_dir.is_dir():
        return
    if rest := sorted(os.listdir(config_dir)):
        receipt.kept += [str(config_dir / name) for name in rest]
    else:
        config_dir.rmdir()
        receipt.removed.append(str(config_dir))


def _remove_program(receipt: Receipt, folder: Path) -> None:
    """Remove what a binary has unpacked for root, unless another process runs from there."""
    if not os.path.lexists(folder):
        return
    if other := _runs_from(folder):
        receipt.unpacked.append(f"kept     {folder} (process {other} runs from it)")
        return
    try:
        remove_tree(folder)
    except OSError as error:
        raise AgentError(f"{os_words(error, folder)}; remove it") from None
    receipt.unpacked.append(f"removed  {folder}")


def _runs_from(folder: Path) -> int:
    """Another process whose program lies in a folder; 0 for none."""
    for link in Path("/proc").glob("[0-9]*/exe"):
        with suppress(OSError):
            pid = int(link.parent.name)
            if pid != os.getpid() and Path(os.readlink(link)).is_relative_to(folder):
                return pid
    return 0


def _look_for_others(state_dir: Path, pid: int) -> None:
    """AgentError when another process than the service works on its state directory."""
    try:
        other = ask(state_dir, {"do": "status"}).get("pid")
    except AgentError:
        return
    if other != pid:
        raise AgentError(
            f"an agent that is not the service's runs on {state_dir} (process "
            f"{one_line(other)}): stop it first"
        )


def _look_for_results(state_dir: Path) -> None:
    running, undelivered = unsettled(state_dir)
    if not running and not undelivered:
        return
    names = [*running, *undelivered]
    more = ", …" if len(names) > _NAMED else ""
    raise AgentError(
        f"{len(running)} jobs run here and {len(undelivered)} results have not reached the server "
        f"({', '.join(names[:_NAMED])}{more}): let them finish (remote-agent drain, with the "
        "server in reach), or kill and delete them with --force"
    )
