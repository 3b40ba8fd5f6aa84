"""A token by a person's browser: a page of the server confirms the code that is shown here.

The device flow (RFC 8628): nothing has to reach this host, so it works over ssh. Opens a browser
where there is one.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
import time
from contextlib import closing
from typing import Final

from remote_client.cli.output import note
from remote_client.config import Access, secured
from remote_client.errors import ApiError, ClientError

_NOBODY: Final = "none"
"""Sent as the token where there is none yet: the calls of a login take any."""


_SLOWER: Final = 5.0
_LONGEST: Final = 60.0
"""Seconds between two questions at the most."""


class NotConfirmed(ClientError):
    """Nobody confirmed the login in time, or somebody refused it."""


def by_browser(
    url: str, ca_file: str | None, insecure: bool, *, role: str | None = None, open_it: bool
) -> str:
    """An API token that a person confirmed. NotConfirmed; what Transport raises."""
    from remote_client.calls import Calls
    from remote_client.transport import Transport

    secured(Access(url, "", ca_file, insecure))
    with closing(Transport(url, _NOBODY, ca_file)) as transport:
        calls = Calls(transport)
        begun = calls.begin_login(program_name(), role)
        page = f"{url}/{begun['page']}"
        note(f"confirm the code {begun['code']} in your browser, signed in:\n\n  {page}\n")
        if open_it and has_browser():
            import webbrowser

            webbrowser.open(page)
        end = time.monotonic() + float(begun["expires_in"])
        interval = min(max(float(begun["interval"]), 0.1), _LONGEST)
        while time.monotonic() < end:
            time.sleep(interval)
            try:
                answer = calls.ask_login(str(begun["secret"]))
            except ApiError as error:
                if error.code != "too_many_requests":
                    raise
                # It asks too often for the server (RFC 8628 §3.5).
                interval = min(interval + _SLOWER, _LONGEST)
                continue
            if answer.get("state") == "confirmed":
                return str(answer["token"]["token"])
            if answer.get("state") == "refused":
                raise NotConfirmed("The login was refused in the browser")
    raise NotConfirmed("Nobody confirmed the login in time; run remotectl login again")


def program_name() -> str:
    """What the token is called: who asks, and on which host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "somebody"
    text = f"{user}-{socket.gethostname().partition('.')[0]}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "remotectl"


def has_browser() -> bool:
    """Whether a browser here would show itself to whoever types."""
    if os.environ.get("SSH_CONNECTION"):
        return False
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
