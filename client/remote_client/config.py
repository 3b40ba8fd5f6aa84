"""Where the server is and who we are: flags, then environment, then the contexts of `login`.

Touches one file, `<user config dir>/remotectl/config.json`, readable by its owner only:

    {"current": "dev",
     "contexts": {"dev": {"url": "http://127.0.0.1:8750", "token": "rpt_…"},
                  "work": {"url": "https://jobs.example.com", "token": "rpt_…",
                           "ca_file": "/etc/ssl/company.pem"}}}
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from remote_client.errors import UsageError
from remote_protocol.limits import NAME_PATTERN, NAME_WORDS
from remote_protocol.urls import is_unencrypted, server_url

_API_TOKEN: Final = "rpt_"
"""`ids.TokenKind.API`, without the time that its module takes to load."""
_LARGEST: Final = 1024 * 1024


class Access(NamedTuple):
    """A server's base URL (without `/api/v1`) and an API token.

    `insecure` allows to send it over plain HTTP to another host; `context` is where it was found.
    """

    url: str
    token: str
    ca_file: str | None = None
    insecure: bool = False
    context: str | None = None
    own: bool = False
    """The token came from a login in the browser: it is ours to revoke."""


@dataclass(slots=True)
class Contexts:
    """All servers that were logged in to, by the names of their contexts."""

    current: str | None = None
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def find(self, name: str) -> dict[str, Any]:
        """One context. UsageError names those that there are."""
        if name not in self.known:
            names = ", ".join(self.known) or "none; make one: remotectl login --context NAME"
            raise UsageError(f"There is no context {name!r}; there are: {names}")
        return self.known[name]

    def at(self, url: str) -> str | None:
        """The name of a context of this server, the current one first."""
        names = sorted(self.known, key=lambda name: name != self.current)
        return next((name for name in names if self.known[name].get("url") == url), None)


def config_file() -> str:
    """The file with all contexts."""
    if sys.platform in ("darwin", "win32"):
        import platformdirs

        folder = platformdirs.user_config_dir("remotectl")
    else:
        # What platformdirs says here (XDG Base Directory Specification), without loading it.
        base = os.environ.get("XDG_CONFIG_HOME", "").strip() or os.path.expanduser("~/.config")
        folder = os.path.join(base, "remotectl")
    return os.path.join(folder, "config.json")


def find_access(
    url: str | None = None,
    token: str | None = None,
    ca_file: str | None = None,
    *,
    context: str | None = None,
    insecure: bool = False,
) -> Access:
    """What flags and environment gave, completed by a context. UsageError when incomplete."""
    try:
        contexts = read_contexts()
    except UsageError:
        # Who says everything needs no file.
        if context or not (url and token):
            raise
        contexts = Contexts()
    name = context or contexts.current
    stored = contexts.find(name) if name and (context or name in contexts.known) else {}
    if url:
        url = check_url(url)
        if stored.get("url") != url:
            # The token of one server is never sent to another.
            name = None if context else contexts.at(url)
            stored = contexts.known[name] if name else {}
    else:
        url = _text(stored, "url")
    if not url:
        raise UsageError(
            "No server is named. Set REMOTE_URL (for example http://127.0.0.1:8750), give --url, "
            "or run: remotectl login --url URL"
        )
    token, ca_file = token or _text(stored, "token"), ca_file or _text(stored, "ca_file")
    if not token:
        raise UsageError(
            "No token is given. Set REMOTE_TOKEN to an API token (rpt_…), give --token-file, or "
            "run: remotectl login. The first admin token is in the file `admin-token` of the "
            "server's data directory."
        )
    insecure = insecure or stored.get("insecure") is True
    return secured(Access(url, check_token(token), ca_file, insecure, name if stored else None))


def secured(access: Access) -> Access:
    """The access. UsageError when its token would go over plain HTTP to another host."""
    if access.insecure or not is_unencrypted(access.url):
        return access
    raise UsageError(
        f"{access.url} is plain HTTP: whoever is on the way reads the token and all output. Use "
        "https:// (remote-server run --tls-cert …), an ssh tunnel to 127.0.0.1, or, in a network "
        "that you trust, --insecure or REMOTE_INSECURE=1"
    )


def check_name(name: str) -> str:
    """The name of a context. UsageError when it is none."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"{name!r} is no name of a context: it {NAME_WORDS}")
    return name


def check_url(url: str) -> str:
    """The URL without a trailing slash. UsageError names exactly what is wrong with it."""
    try:
        return server_url(url)
    except ValueError as error:
        raise UsageError(str(error)) from None


def plain_token(token: str) -> str:
    """The token without space around it. UsageError when no header could carry it."""
    token = token.strip()
    if not token or any(not 33 <= ord(character) <= 126 for character in token):
        raise UsageError(
            "The token is empty or contains spaces, line ends or letters that no token has"
        )
    return token


def check_token(token: str) -> str:
    """The token. UsageError when it cannot be one, or is one of another kind."""
    token = plain_token(token)
    if token.startswith(_API_TOKEN):
        return token
    from remote_protocol.ids import TokenKind, kind_of

    kind = kind_of(token)
    if kind is not None:
        article = "an" if kind.words[0] in "aeiouA" else "a"
        raise UsageError(
            f"This is {article} {kind.words} ({kind.value}…); remotectl needs an "
            f"{TokenKind.API.words} ({TokenKind.API.value}…)"
        )
    return token


def name_for(url: str, contexts: Contexts) -> str:
    """How to call the context of a server that nobody has named: as before, or as its host."""
    parts = urlsplit(url)
    host = re.sub("[^A-Za-z0-9.]+", "-", parts.hostname or "").strip("-.") or "server"
    return contexts.at(url) or (f"{host}-{parts.port}" if parts.port else host)[:128]


def save_access(access: Access, name: str) -> str:
    """Keep access as a context, and make it the current one; returns the file."""
    contexts = read_contexts()
    kept = {"url": access.url, "token": access.token, "ca_file": access.ca_file}
    context: dict[str, Any] = {key: value for key, value in kept.items() if value is not None}
    if access.insecure:
        context["insecure"] = True
    if access.own:
        context["own"] = True
    contexts.known[check_name(name)] = context
    contexts.current = name
    return write_contexts(contexts)


def write_contexts(contexts: Contexts) -> str:
    """Replace the file (0600); returns its name."""
    path = config_file()
    os.makedirs(os.path.dirname(path), exist_ok=True, mode=0o700)
    temporary = f"{path}.{os.getpid()}.tmp"
    # A file that somebody left here would keep its own mode.
    if os.path.lexists(temporary):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        text = json.dumps({"current": contexts.current, "contexts": contexts.known}, indent=1)
        try:
            file.write(f"{text}\n")
            file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, temporary) from None
    os.replace(temporary, path)
    return path


def read_contexts() -> Contexts:
    """All contexts; none when there is no file. UsageError when it is damaged."""
    path = config_file()
    try:
        with open(path, encoding="utf-8") as file:
            document = json.loads(file.read(_LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return Contexts()
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise UsageError(f"{path} cannot be read ({why}); mend or remove it") from None
    known = document.get("contexts") if isinstance(document, dict) else None
    if not isinstance(known, dict) or not all(isinstance(one, dict) for one in known.values()):
        raise UsageError(f"{path} holds no contexts; remove it, and run remotectl login again")
    current = document.get("current")
    return Contexts(current if isinstance(current, str) else None, known)


def _text(stored: dict[str, Any], key: str) -> str | None:
    value = stored.get(key)
    return value if isinstance(value, str) else None
