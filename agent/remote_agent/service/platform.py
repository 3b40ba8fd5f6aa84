"""Which service manager this host has, and which program it is to start. Looks at the system."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from remote_agent.errors import AgentError
from remote_agent.processes import account, host_facts, service_control
from remote_agent.service.account import own_uid
from remote_agent.service.port import ServicePort
from remote_agent.service.systemd import Systemd

_NAME: Final = "remote-agent"


def service_manager() -> ServicePort:
    """That of this host. AgentError where there is none that we serve."""
    if (control := service_control()) is not None:
        # Imported only there: it takes longer than the rest of most verbs.
        from remote_agent.service.windows import WindowsService

        return WindowsService(control)
    system = host_facts().system
    if system.lower() == "linux":
        return Systemd()
    if system.lower() == "darwin":
        # Imported only there: property lists take a parser of XML, which our binaries leave out.
        from remote_agent.service.launchd import Launchd, daemon_place, login_place

        uid = own_uid()
        return Launchd(login_place(account(str(uid))) if uid else daemon_place())
    raise AgentError(
        f"services are not installed on {system} yet: have its service manager start "
        "`remote-agent run`"
    )


def own_program() -> str:
    """The path of the program that runs now: what a service starts. AgentError when it has none.

    Links stay as they are: they may lead to another version one day. One binary is the file that
    was called, not what it has unpacked.
    """
    frozen = getattr(sys, "frozen", False)
    if not hasattr(os, "geteuid"):
        if frozen:
            return sys.executable  # on Windows nothing is unpacked
        # There the interpreter of a virtual environment starts another process, which the service
        # control manager does not know.
        raise AgentError("a service of Windows needs the program of the MSI; call that one")
    called = sys.argv[0] if os.sep in sys.argv[0] else shutil.which(sys.argv[0]) or ""
    places = [called] if frozen or os.path.basename(called) == _NAME else []
    if not frozen:
        places += [str(Path(sys.executable).with_name(_NAME)), shutil.which(_NAME) or ""]
    for place in places:
        if os.path.isfile(place) and os.access(place, os.X_OK):
            return os.path.abspath(place)
    raise AgentError("no program remote-agent was found; call it by its path: PATH/remote-agent …")
