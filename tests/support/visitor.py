"""A browser without a window: keeps cookies, follows no redirect by itself, and sends forms as the
pages hold them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape

from aiohttp import ClientSession, CookieJar

from remote_server.web.sessions import COOKIE
from tests.support.live_server import Live

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass
class Seen:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def words(self) -> str:
        """The page without its tags, in one line."""
        return unescape(" ".join(re.sub(r"<[^>]*>", " ", self.text).split()))

    @property
    def location(self) -> str:
        """Where it sends the browser."""
        assert self.status == 303, (self.status, self.words)
        return self.headers["Location"]


@dataclass
class Visitor:
    """One browser."""

    live: Live
    session: ClientSession

    async def get(self, path: str, **headers: str) -> Seen:
        return await self.ask("GET", path, None, headers)

    async def ask(
        self, method: str, path: str, form: dict[str, str] | None, headers: dict[str, str]
    ) -> Seen:
        async with self.session.request(
            method,
            self.live.url + path,
            data=form,
            headers={"Accept": "text/html", **headers},
            allow_redirects=False,
        ) as answer:
            return Seen(answer.status, dict(answer.headers), await answer.text())

    async def send(self, path: str, csrf: str | None = None, **form: str) -> Seen:
        """Send a form, with the secret of this session unless another one is given."""
        if csrf is None:
            found = _CSRF.search((await self.get("/about")).text)
            assert found is not None, "not signed in"
            csrf = found[1]
        return await self.ask("POST", path, {**form, "csrf": csrf}, {})

    async def sign_in(self, token: str) -> Seen:
        return await self.ask("POST", "/login", {"token": token}, {})

    @property
    def secret(self) -> str:
        """What is in the session's cookie; empty without one."""
        found = [cookie.value for cookie in self.session.cookie_jar if cookie.key == COOKIE]
        return found[0] if found else ""


@asynccontextmanager
async def visitor(live: Live, role: str | None = "admin") -> AsyncIterator[Visitor]:
    """A browser, signed in with a token of this role unless it is None."""
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        browser = Visitor(live, session)
        if role is not None:
            seen = await browser.sign_in(await live.token_for(role))
            assert seen.location == "./"
        yield browser
