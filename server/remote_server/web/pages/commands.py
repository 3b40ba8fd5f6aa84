"""Commands to paste that name this server. Pure."""

from __future__ import annotations

from shlex import quote

from aiohttp import web

from remote_server.web.http.headers import came_by_tls


def server_url(request: web.Request) -> str:
    """The server as the browser knows it."""
    return f"{'https' if came_by_tls(request) else 'http'}://{request.host}"


def make_registration_token(url: str) -> str:
    """On the admin's machine; the token goes into a file, not onto the screen."""
    return (
        f"export REMOTE_URL={quote(url)} REMOTE_TOKEN=rpt_…\n"
        "remotectl registration-token create --uses 1 --expires 1h --output-file token"
    )


def enrol(url: str, name: str = "") -> str:
    """On the host; the token is in the file `token`. Over plain HTTP to another host the agent
    has to be told that this is meant."""
    named = f" --name {quote(name)}" if name else ""
    plain = "" if _safe(url) else " --insecure"
    return (
        f"remote-agent register --server {quote(url)}{plain} --token-file token{named}\n"
        f"remote-agent run"
    )


def keep_token(text: str) -> str:
    """On the host: the token goes into a file of its own, readable for its owner only."""
    return f"(umask 077; cat > token) <<'END'\n{text}\nEND"


def use_api_token(url: str, text: str) -> str:
    """Wherever `remotectl` is to work with a new API token."""
    return f"export REMOTE_URL={quote(url)} REMOTE_TOKEN={text}\nremotectl agent list"


def _safe(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    host = rest.rsplit(":", 1)[0] if not rest.endswith("]") else rest
    return scheme == "https" or host in ("localhost", "[::1]") or host.startswith("127.")
