"""Which service manager this host has, and which program it is to start. Looks at the system."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from remote_agent.errors import AgentError
from remote_agent.processes import host_facts
from remote_agent.service.port import ServicePort
from remote_agent.service.systemd import Systemd

_NAME: Final = "remote-agent"


def service_manager() -> ServicePort:
    """That of this host. AgentError where there is none that we serve."""
    system = host_facts().system
    if system.lower() == "linux":
        return Systemd()
    raise AgentError(
        f"services are not installed on {system} yet: have its service manager start "
        "`remote-agent run`"
    )


def own_program() -> str:
    """The path of the program that runs now: what a service starts. AgentError when it has none."""
    if getattr(sys, "frozen", False):
        return sys.executable
    called = Path(os.path.abspath(sys.argv[0]))
    beside = Path(sys.executable).with_name(_NAME)
    found = shutil.which(_NAME)
    for path in (called if called.name == _NAME else beside, beside, Path(found or "")):
        # Links stay as they are: they may lead to another version one day.
        if path.is_absolute() and os.access(path, os.X_OK):
            return str(path)
    raise AgentError("no program remote-agent was found; call it by its path: PATH/remote-agent …")
