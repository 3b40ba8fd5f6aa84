"""The page of tokens."""

from __future__ import annotations

import re
import time

import pytest

from remote_protocol.ids import Role
from remote_server.domain.model import Token
from remote_server.web import digest
from remote_server.web.pages.tokens import SHOWN, TokenRow
from tests.support.live_server import Live
from tests.support.visitor import Seen, visitor

DAY = 86400.0


def secret(seen: Seen) -> str:
    """The token on the page that answers its making."""
    assert seen.status == 200, seen.words
    found = re.search(r"data-secret>(r[a-z]t_[^<]+)<", seen.text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "valid"),
        ({"expires_at": 100 * DAY}, "valid"),
        ({"expires_at": 10 * DAY, "created_at": -80 * DAY}, "soon"),
        ({"expires_at": 0.1 * DAY}, "valid"),
        ({"expires_at": -1.0}, "expired"),
        ({"uses_left": 0}, "used"),
        ({"uses_left": 0, "expires_at": -1.0}, "expired"),
        ({"revoked": True, "expires_at": -1.0}, "revoked"),
    ],
)
def test_a_token_says_how_long_it_holds(fields: dict[str, float], state: str) -> None:
    token = Token(**{"id": "1", "kind": "api", "name": "n", "created_at": 0.0, **fields})  # type: ignore[arg-type]
    assert TokenRow(token, 0.0, own=False).state == state


async def test_only_admins_see_tokens(live: Live) -> None:
    async with visitor(live, "operator") as browser:
        assert (await browser.get("/tokens")).status == 403
        assert (await browser.send("/tokens/api", name="x")).status == 403
        assert (await browser.send("/tokens/registration")).status == 403
        assert 'href="./tokens"' not in (await browser.get("/agents")).text


async def test_an_api_token_is_made_and_shown_once(live: Live) -> None:
    async with visitor(live) as browser:
        seen = await browser.send("/tokens/api", name="ci", role="operator", expires="90d")
        text = secret(seen)
        assert "no-store" in seen.headers["Cache-Control"]
        assert f"export REMOTE_URL={live.url} REMOTE_TOKEN={text}" in seen.words
        token = await live.services.store.token_by_hash(digest(text))
        assert token is not None
        assert (token.name, token.role) == ("ci", Role.OPERATOR)
        assert abs((token.expires_at or 0) - time.time() - 90 * DAY) < 60
        page = await browser.get("/tokens")
        assert text not in page.text
        assert f'data-token="{token.id}" data-state="valid"' in page.text
        assert (await live.get("/whoami", token=text)).body["name"] == "ci"


async def test_a_registration_token_is_made_used_and_marked(live: Live) -> None:
    await live.post("/queues", {"name": "gpu"})
    async with visitor(live) as browser:
        seen = await browser.send(
            "/tokens/registration", queues="gpu", labels="site=berlin", allow_replace="true"
        )
        text = secret(seen)
        assert f"remote-agent register --server {live.url} --token-file token" in seen.words
        token = await live.services.store.token_by_hash(digest(text))
        assert (token.queues, token.labels, token.uses_left, token.allow_replace) == (
            ("gpu",),
            {"site": "berlin"},
            1,
            True,
        )
        body = {"name": "a", "settings": {"queues": ["gpu"]}, "fingerprint": "f"}
        assert (await live.post("/agent/register", body, text)).status == 201
        page = await browser.get("/tokens?kind=registration")
        assert f'data-token="{token.id}" data-state="used"' in page.text
        assert "used up" in page.words and "may replace" in page.words
        endless = await browser.send(
            "/tokens/registration", any_queue="true", uses="unlimited", expires="never"
        )
        token = await live.services.store.token_by_hash(digest(secret(endless)))
        assert (token.queues, token.uses_left, token.expires_at) == (("*",), None, None)


async def test_the_token_of_an_agent_to_come_is_made(live: Live) -> None:
    async with visitor(live) as browser:
        text = secret(await browser.send("/tokens/agent", agent="ber-1"))
        async with live.connect(text):
            assert (await live.get("/agents/ber-1")).body["state"] == "online"
        page = await browser.get("/tokens?kind=agent")
        assert 'href="./agents/ber-1"' in page.text


async def test_a_faulty_form_comes_back_with_what_was_typed(live: Live) -> None:
    async with visitor(live) as browser:
        for path, form, faults in (
            ("api", {"name": "a b", "expires": "soon"}, 2),
            ("agent", {"agent": "a", "queues": "nowhere"}, 1),
            ("registration", {"uses": "0", "expires": "0s", "labels": "x"}, 3),
            ("registration", {"queues": "nowhere"}, 1),
        ):
            seen = await browser.send(f"/tokens/{path}", **form)
            assert seen.status == 422, form
            assert "data-open" in seen.text
            assert seen.text.count('aria-invalid="true"') == faults
            assert all(f'value="{value}"' in seen.text for value in form.values())
        seen = await browser.send("/tokens/registration", queues="default", any_queue="true")
        assert seen.status == 422


async def test_a_token_is_revoked(live: Live) -> None:
    made = (await live.post("/tokens", {"name": "ci"})).body
    enrolment = (await live.post("/registration-tokens", {})).body
    async with visitor(live) as browser:
        seen = await browser.send(f"/tokens/{made['id']}/revoke")
        assert seen.location == "../../tokens?kind=api&done=revoked"
        seen = await browser.send(f"/tokens/{enrolment['id']}/revoke")
        assert seen.location == "../../tokens?kind=registration&done=revoked"
        assert made["id"] not in (await browser.get("/tokens")).text
        page = await browser.get("/tokens?revoked=yes")
        assert f'data-token="{made["id"]}" data-state="revoked"' in page.text
        own = re.search(r'data-token="([^"]*)"[^>]*>(?:(?!</tr>).)*yours', page.text, re.DOTALL)
        assert own is not None
        assert (await browser.send(f"/tokens/{own[1]}/revoke")).status == 409


async def test_many_tokens_come_in_pages(live: Live) -> None:
    for number in range(SHOWN + 1):
        await live.post("/registration-tokens", {"labels": {"n": str(number)}})
    async with visitor(live) as browser:
        first = await browser.get("/tokens?kind=registration")
        assert first.text.count("data-token=") == SHOWN
        following = re.search(r'rel="next" href="\.([^"]*)"', first.text)
        assert following is not None
        second = await browser.get(following[1].replace("&amp;", "&"))
        assert second.text.count("data-token=") == 1 and "n=0" in second.words


async def test_a_token_is_limited_to_queues(live: Live) -> None:
    async with visitor(live) as browser:
        seen = await browser.send("/tokens/api", name="team", role="operator", queues="default")
        token = await live.services.store.token_by_hash(digest(secret(seen)))
        assert token.queues == ("default",) and token.limited
        assert "what the role operator may in default" in seen.words
        assert "team operator default" in (await browser.get("/tokens")).words
        for faulty, said in (
            ({"role": "admin", "queues": "default"}, "does everything"),
            ({"role": "viewer", "queues": "nowhere"}, "there is no queue 'nowhere'"),
        ):
            again = await browser.send("/tokens/api", name="x", **faulty)
            assert again.status == 422 and said in again.words, again.words
            assert f'value="{faulty["queues"]}"' in again.text
