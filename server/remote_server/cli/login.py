"""`remote-server dev` logs `remotectl` in, and says what to paste.

The program itself does it, in a process of its own: where it keeps logins is its own affair.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONTEXT: Final = "dev"
"""The name under which `remotectl` keeps this login, beside those of other servers."""
_WITHIN: Final = 20.0


def find_program(name: str) -> str | None:
    """A program of the project: beside this one, else on the PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


@dataclass(frozen=True, slots=True)
class Access:
    """What a client of this server needs."""

    url: str
    token: str
    ca_file: Path | None

    def variables(self) -> dict[str, str]:
        """The variables of `remotectl`."""
        found = {"REMOTE_URL": self.url, "REMOTE_TOKEN": self.token}
        if self.ca_file is not None:
            found["REMOTE_CA_FILE"] = str(self.ca_file.absolute())
        return found


async def log_in(program: str, access: Access) -> tuple[bool, str]:
    """Let `remotectl` keep this access under the name `dev`; whether it did, and its words."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("REMOTE_")}
    process = await asyncio.create_subprocess_exec(
        program,
        "login",
        env={**others, **access.variables(), "REMOTE_CONTEXT": CONTEXT, "NO_PROXY": "*"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_WITHIN):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return False, f"it did not answer within {_WITHIN:g} s"
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode == 0, said.decode(errors="replace").strip()


def to_paste(program: str | None, access: Access, logged_in: bool) -> str:
    """Lines for another terminal, whatever its directory, environment and PATH are."""
    export = " ".join(f"{name}={shlex.quote(text)}" for name, text in access.variables().items())
    # On the PATH for good, not just of an environment that was activated here.
    at_hand = program and sys.prefix == sys.base_prefix and shutil.which("remotectl") == program
    remotectl = "remotectl" if at_hand or program is None else shlex.quote(program)
    line = f"{remotectl} run -- echo hello"
    lines = [line] if logged_in else [f"export {export}", line]
    return "".join(f"  {text}\n" for text in lines)
