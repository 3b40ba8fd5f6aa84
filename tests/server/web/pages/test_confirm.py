"""Confirming logins of programs, through the pages and the API of a whole server."""

from __future__ import annotations

from typing import Any

import pytest

from remote_server.web.failed_attempts import EACH
from tests.support.live_server import Live
from tests.support.visitor import visitor


async def begun(live: Live, **more: str) -> Any:
    answer = await live.post("/logins", {"name": "anna-laptop", **more}, "")
    assert answer.status == 201, answer.text
    return answer.body


async def asked(live: Live, login: Any) -> Any:
    return (await live.post("/logins/token", {"secret": login["secret"]}, "")).body


async def test_a_program_gets_a_token_that_a_person_confirms(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.web.program_logins.INTERVAL", 0.0)
    login = await begun(live)
    assert login["page"] == f"confirm?code={login['code']}"
    assert await asked(live, login) == {"state": "pending", "token": None}
    async with visitor(live, "operator") as browser:
        page = await browser.get(f"/{login['page']}")
        assert login["code"] in page.words and "anna-laptop" in page.words
        assert "127.0.0.1" in page.words and ">admin</option>" not in page.text
        form = {"code": login["code"], "answer": "confirm", "role": "operator", "days": "1"}
        assert "Confirmed" in (await browser.send("/confirm", **form)).words
        assert (await browser.send("/confirm", **form)).status == 404, "once"
    answer = await asked(live, login)
    token = answer["token"]["token"]
    me = (await live.get("/whoami", token)).body
    assert (me["name"], me["role"]) == ("operator-0/anna-laptop", "operator")
    assert me["expires_at"] is not None
    answer = await live.post("/logins/token", {"secret": login["secret"]}, "")
    answer.problem(404, "not_found")
    assert (await live.ask("DELETE", "/whoami", None, token)).status == 204
    (await live.get("/whoami", token)).problem(401, "invalid_token")


@pytest.mark.parametrize(
    ("person", "asks", "offered"),
    [
        ("admin", {}, "viewer"),
        ("admin", {"role": "operator"}, "operator"),
        ("viewer", {"role": "admin"}, "viewer"),
        ("operator", {"role": "admin"}, "operator"),
    ],
)
async def test_the_page_offers_no_more_than_the_program_asks_for(
    live: Live, person: Any, asks: dict[str, str], offered: str
) -> None:
    login = await begun(live, **asks)
    async with visitor(live, person) as browser:
        page = await browser.get(f"/{login['page']}")
    assert f"<option selected>{offered}</option>" in page.text
    assert page.text.count("<option selected>") == 1
    assert ("it asks for" in page.words) == bool(asks)


async def test_a_login_asks_for_a_role_that_there_is(live: Live) -> None:
    answer = await live.post("/logins", {"name": "x", "role": "root"}, "")
    answer.problem(422, "validation")


async def test_a_refused_program_gets_none(live: Live) -> None:
    login = await begun(live)
    async with visitor(live, "viewer") as browser:
        code = login["code"].lower().replace("-", " ")
        assert "Refused" in (await browser.send("/confirm", code=code)).words
    assert await asked(live, login) == {"state": "refused", "token": None}


async def test_only_the_page_of_the_session_confirms(live: Live) -> None:
    login = await begun(live)
    form = {"code": login["code"], "answer": "confirm"}
    async with visitor(live) as browser, visitor(live, None) as stranger:
        assert (await browser.send("/confirm", csrf="0" * 64, **form)).status == 403
        assert (await browser.ask("POST", "/confirm", form, {})).status == 403
        assert "login" in (await stranger.ask("POST", "/confirm", form, {})).location
        back = (await stranger.get(f"/{login['page']}")).location
        assert back == f"./login?next=confirm%3Fcode%3D{login['code']}"
    assert (await asked(live, login))["state"] == "pending"


async def test_a_person_gives_no_more_than_they_may(live: Live) -> None:
    login = await begun(live)
    async with visitor(live, "viewer") as browser:
        form = {"code": login["code"], "answer": "confirm", "role": "admin"}
        seen = await browser.send("/confirm", **form)
        assert seen.status == 403 and "no higher than your own" in seen.words
    assert (await asked(live, login))["state"] == "pending"


@pytest.mark.parametrize("code", ["BBBB-BBBB", "BBBB-BBBBB", "B"])
async def test_an_unknown_code_is_told(live: Live, code: str) -> None:
    async with visitor(live) as browser:
        seen = await browser.get(f"/confirm?code={code}")
        assert seen.status == 404 and "No login waits with this code" in seen.words
        assert "The code that the program shows" in (await browser.get("/confirm")).words


async def test_codes_and_logins_cannot_be_tried_all_the_time(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.web.program_logins.time.monotonic", lambda: 1000.0)
    async with visitor(live) as browser:
        for _ in range(EACH):
            assert (await browser.get("/confirm?code=BBBBBBBB")).status == 404
        seen = await browser.get("/confirm?code=BBBBBBBB")
        assert seen.status == 429 and seen.headers["Retry-After"] == "2"
    answer = await live.post("/logins", {"name": "x"}, "")
    answer.problem(429, "too_many_requests")


async def test_a_token_that_an_admin_made_does_not_end_itself(live: Live) -> None:
    answer = await live.ask("DELETE", "/whoami")
    answer.problem(409, "conflict")


async def test_secrets_and_codes_are_stored_nowhere(live: Live) -> None:
    login = await begun(live)
    code = login["code"].replace("-", "")
    found = await live.services.program_logins.find(login["code"], "::1")
    assert login["secret"] not in repr(found) and code not in repr(found)
