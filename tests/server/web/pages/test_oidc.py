"""Signing in by a provider, through the pages of a whole server."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from remote_server.config import load
from tests.support.issuer import CLIENT, SECRET, Issuer, issuing
from tests.support.live_server import Live, config_for, running
from tests.support.visitor import Seen, Visitor, visitor


@dataclass
class Site:
    """A server and its provider."""

    live: Live
    issuer: Issuer

    async def signs_in(self, browser: Visitor, following: str = "", **changed: str) -> Seen:
        """The whole way; `changed` is what the browser brings back instead."""
        query = f"?{urlencode({'next': following})}" if following else ""
        there = await browser.get(f"/oidc-login{query}")
        back = self.issuer.authorize(there.location) | changed
        return await browser.get(f"/oidc-callback?{urlencode(back)}")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with issuing() as issuer:
        file = tmp_path / "server.toml"
        file.write_text(
            f'[oidc]\nissuer = "{issuer.url}"\nclient_id = "{CLIENT}"\nname = "Example"\n'
            'url = "https://jobs.example/x"\noperator_groups = ["ops"]\nadmin_groups = ["root"]\n'
            'timeout = "60s"\n'
        )
        usual = config_for(tmp_path / "site")
        oidc = load(file, {"REMOTE_SERVER_OIDC_CLIENT_SECRET": SECRET}).oidc
        async with running(usual.model_copy(update={"oidc": oidc})) as live:
            yield Site(live, issuer)


async def audit(live: Live, action: str) -> list[dict[str, Any]]:
    """Its entries, the newest first."""
    return list((await live.get(f"/audit?action={action}")).body["items"])


async def test_the_page_offers_it_only_where_there_is_one(site: Site, live: Live) -> None:
    async with visitor(site.live, None) as browser:
        page = await browser.get("/login?next=jobs%3Fstate%3Dfailed")
        assert "Sign in with Example" in page.words
        assert 'href="./oidc-login?next=jobs%3Fstate%3Dfailed"' in page.text
        signed_out = await browser.get("/login?done=signed-out")
        assert 'href="./oidc-login?fresh=yes"' in signed_out.text, "another person may follow"
    async with visitor(live, None) as browser:
        assert "Sign in with" not in (await browser.get("/login")).words
        assert (await browser.get("/oidc-login")).status == 404
        assert (await browser.get("/oidc-callback?code=x")).status == 404


async def test_a_person_signs_in_with_their_role_and_comes_back(site: Site) -> None:
    async with visitor(site.live, None) as browser:
        seen = await site.signs_in(browser, "queues/default")
        assert seen.location == "./queues/default"
        assert (await browser.get("/queues/default")).status == 200
        assert "oidc:alice" in (await browser.get("/about")).words
        assert (await browser.get("/tokens")).status == 403
        assert (await browser.send("/queues/default/pause")).status == 303
    said = await audit(site.live, "session.sign_in")
    assert (said[0]["actor"], said[0]["result"]) == ("oidc:alice", "ok")
    assert (await audit(site.live, "queue.pause"))[0]["actor"] == "oidc:alice"


async def test_the_cookies_are_the_browsers_alone(site: Site) -> None:
    async with visitor(site.live, None) as browser:
        there = await browser.get("/oidc-login", **{"X-Forwarded-Proto": "https"})
        said = there.headers["Set-Cookie"]
        assert said.endswith("; Max-Age=600; HttpOnly; SameSite=Lax; Secure")
        assert there.headers["Referrer-Policy"] == "no-referrer"
        assert there.headers["Cache-Control"] == "no-store"
    async with visitor(site.live, None) as browser:
        await site.signs_in(browser)
        kept = {cookie.key for cookie in browser.session.cookie_jar}
        assert kept == {"remote_session"}


async def test_groups_are_judged_anew_at_each_sign_in(site: Site) -> None:
    async with visitor(site.live, None) as one, visitor(site.live, None) as other:
        site.issuer.claims = {"groups": ["root", "ops"]}
        await site.signs_in(one)
        assert (await one.get("/tokens")).status == 200
        site.issuer.claims = {"groups": ["ops"]}
        await site.signs_in(other)
        assert (await other.get("/tokens")).status == 403
        assert (await one.get("/tokens")).status == 403, "the newest judgement holds everywhere"
        site.issuer.claims = {"groups": ["guests"]}
        async with visitor(site.live, None) as third:
            seen = await site.signs_in(third)
            assert seen.status == 403
            assert "alice is in the groups guests, none of which gives a role here" in seen.words
            assert "fresh=yes" in seen.text
        assert "login" in (await one.get("/queues")).location
    changes = [entry["action"] for entry in await audit(site.live, "token.")]
    assert changes[:3] == ["token.revoke", "token.update", "token.create"]


async def test_a_refusal_names_the_person_in_the_audit(site: Site) -> None:
    site.issuer.claims = {"groups": [], "preferred_username": "bob"}
    async with visitor(site.live, None) as browser:
        assert (await site.signs_in(browser)).status == 403
        assert browser.secret == ""
    (said,) = await refusals(site.live)
    assert (said["actor"], said["result"], said["address"]) == (
        "oidc:bob", "forbidden", "127.0.0.1",
    )  # fmt: skip


async def refusals(live: Live) -> list[dict[str, Any]]:
    """Refused sign-ins, once the loop of the audit has written them."""
    import asyncio

    async with asyncio.timeout(60):
        while True:
            found = (await live.get("/audit?action=session.sign_in&result=refused")).body["items"]
            if found:
                return list(found)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"state": "x" * 43}, "did not begin in this browser"),
        ({"code": "another"}, "was used already, or took too long"),
        ({"code": ""}, "answered the sign-in with no code"),
        ({"code": "", "error": "access_denied"}, "did not let you in"),
        ({"code": "", "error": "<script>"}, "answered the sign-in with no code"),
        ({"iss": "https://evil.example"}, "another provider"),
    ],
)
async def test_answers_that_do_not_do(site: Site, changed: dict[str, str], said: str) -> None:
    async with visitor(site.live, None) as browser:
        seen = await site.signs_in(browser, **changed)
        assert seen.status in (401, 403) and said in seen.words
        assert browser.secret == "" and "<script>" not in seen.text


async def test_another_site_cannot_sign_its_visitors_in(site: Site) -> None:
    """An attacker's own answer, in a browser that began no sign-in, or another one."""
    async with visitor(site.live, None) as attacker, visitor(site.live, None) as victim:
        back = site.issuer.authorize((await attacker.get("/oidc-login")).location)
        for _ in range(2):
            seen = await victim.get(f"/oidc-callback?{urlencode(back)}")
            assert seen.status == 403 and victim.secret == ""
            await victim.get("/oidc-login")
    assert site.issuer.asked["/token"] == 0


@pytest.mark.parametrize("following", ["https://evil.example", "//evil.example", "../x"])
async def test_nobody_is_sent_elsewhere(site: Site, following: str) -> None:
    async with visitor(site.live, None) as browser:
        assert (await site.signs_in(browser, following)).location == "./"


async def test_who_signs_out_is_out(site: Site) -> None:
    async with visitor(site.live, None) as browser:
        await site.signs_in(browser)
        assert (await browser.send("/logout")).location == "./login?done=signed-out"
        assert "login" in (await browser.get("/queues")).location


async def test_a_provider_that_fails_is_told_here_and_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.issuer.answer = (500, {}, b"{}")
    with caplog.at_level(logging.WARNING):
        async with visitor(site.live, None) as browser:
            seen = await browser.get("/oidc-login")
            assert seen.status == 503
            assert "The provider answered 500 for its discovery document" in seen.words
            assert "server's log" in seen.words
            await browser.get("/oidc-login")


async def test_secrets_are_in_no_page_and_no_log(
    site: Site, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with visitor(site.live, None) as browser:
        token = site.issuer.signed("x")
        site.issuer.token = token
        shown = [await site.signs_in(browser)]
        site.issuer.token = None
        shown.append(await site.signs_in(browser))
        shown.append(await browser.get("/about"))
    said = "".join(seen.text for seen in shown) + caplog.text + "".join(capfd.readouterr())
    said += str((await site.live.get("/audit?limit=100")).body)
    assert SECRET not in said and token not in said and "code-0" not in said
