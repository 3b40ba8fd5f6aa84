"""Signing in and out, through the pages of a whole server."""

from __future__ import annotations

import pytest

from remote_server.web.pages.sign_in import is_ours
from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_who_is_not_signed_in_comes_back_after_it(live: Live) -> None:
    async with visitor(live, None) as browser:
        assert (await browser.get("/queues/default?done=x")).location == (
            "../login?next=queues%2Fdefault%3Fdone%3Dx"
        )
        page = await browser.get("/login?next=queues/default")
        assert 'name="next" value="queues/default"' in page.text
        form = {"token": live.token, "next": "queues/default"}
        seen = await browser.ask("POST", "/login", form, {})
        assert seen.location == "./queues/default"
        assert (await browser.get("/queues/default")).status == 200


async def test_the_cookie_is_the_sessions_alone(live: Live) -> None:
    async with visitor(live, None) as browser:
        said = (await browser.sign_in(live.token)).headers["Set-Cookie"]
        assert said.endswith("; HttpOnly; SameSite=Lax") and "Path" not in said
        assert live.token not in said
        secure = await browser.ask(
            "POST", "/login", {"token": live.token}, {"X-Forwarded-Proto": "https"}
        )
        assert secure.headers["Set-Cookie"].endswith("; Secure")


async def test_who_signs_out_is_out(live: Live) -> None:
    async with visitor(live) as browser:
        secret = browser.secret
        assert (await browser.send("/logout")).location == "./login?done=signed-out"
        assert browser.secret == ""
        kept = {"Cookie": f"remote_session={secret}"}
        assert "login" in (await browser.get("/queues", **kept)).location


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "Type an API token."),
        ("hello", "This is no token of a remote-server"),
        ("rrt_" + "A" * 43, "registration token"),
        ("rpt_" + "A" * 43, "unknown here or was revoked"),
    ],
)
async def test_a_wrong_token_is_told_in_the_form(live: Live, token: str, said: str) -> None:
    async with visitor(live, None) as browser:
        seen = await browser.sign_in(token)
        assert seen.status in (401, 403) and said in seen.words
        assert token == "" or token not in seen.text
        assert browser.secret == ""


async def test_another_site_cannot_sign_its_visitors_in(live: Live) -> None:
    async with visitor(live, None) as browser:
        seen = await browser.ask(
            "POST", "/login", {"token": live.token}, {"Sec-Fetch-Site": "cross-site"}
        )
        assert seen.status == 403 and "another site" in seen.words.lower()


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("null", 403), ("own", 303), (None, 303)],
)
async def test_over_plain_http_the_origin_tells_whose_form_it_is(
    live: Live, origin: str | None, status: int
) -> None:
    """Browsers send no Sec-Fetch-Site to what is no secure context."""
    own = live.url if origin == "own" else origin
    headers = {} if own is None else {"Origin": own}
    async with visitor(live, None) as browser:
        page = await browser.get("/login")
        assert page.headers["Referrer-Policy"] == "same-origin", "else our form says null, too"
        seen = await browser.ask("POST", "/login", {"token": live.token}, headers)
        assert seen.status == status


async def test_a_form_of_another_session_does_nothing(live: Live) -> None:
    async with visitor(live) as browser, visitor(live) as other:
        assert (await browser.send("/queues", csrf="0" * 64, name="x")).status == 403
        assert (await browser.send("/queues", csrf="", name="x")).status == 403
        assert (await browser.ask("POST", "/queues", {"name": "x"}, {})).status == 403
        assert (await other.get("/queues/x")).status == 404


async def test_api_and_pages_never_take_each_others_credentials(live: Live) -> None:
    """What a browser sends by itself does nothing in the API, and the other way round."""
    async with visitor(live) as browser:
        cookie = {"Cookie": f"remote_session={browser.secret}"}
        answer = await live.ask("GET", "/queues", None, "", headers=cookie)
        answer.problem(401, "missing_token")
        async with live.session.get(
            f"{live.url}/queues",
            headers={"Authorization": f"Bearer {live.token}"},
            allow_redirects=False,
        ) as page:
            assert page.status == 303


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/x",
        "//evil.example",
        "/\\evil.example",
        "\\evil",
        "javascript:alert(1)",
        "../other",
        "a/../../b",
        "a\nb",
        "http://[",
    ],
)
def test_nobody_is_sent_elsewhere(path: str) -> None:
    assert not is_ours(path)


def test_our_own_pages_are_come_back_to() -> None:
    assert is_ours("") and is_ours("jobs?state=failed&name=a..b") and is_ours("queues/default")
