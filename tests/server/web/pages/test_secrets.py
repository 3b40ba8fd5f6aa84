"""The page of secrets."""

from __future__ import annotations

import pytest

from tests.support.live_server import Live
from tests.support.visitor import visitor

VALUE = "correct-horse-battery"


async def test_only_admins_see_secrets(live: Live) -> None:
    async with visitor(live, "operator") as browser:
        assert (await browser.get("/secrets")).status == 403
        assert (await browser.send("/secrets", name="A", value=VALUE)).status == 403
        assert (await browser.send("/secrets/A/delete")).status == 403
        assert 'href="./secrets"' not in (await browser.get("/agents")).text
    async with visitor(live) as browser:
        assert 'href="./secrets"' in (await browser.get("/agents")).text


async def test_a_secret_is_set_and_deleted(live: Live, capfd: pytest.CaptureFixture[str]) -> None:
    async with visitor(live) as browser:
        page = await browser.get("/secrets")
        assert "No secret" in page.words and "remotectl secret set DB_PASSWORD" in page.words
        assert 'type="password" autocomplete="off"' in page.text
        await browser.send("/secrets", name="A", value=VALUE)
        page = await browser.get("/secrets")
        assert 'data-secret="A" data-state="healthy"' in page.text
        assert "healthy" in page.text and VALUE not in page.text
        await browser.send("/secrets", name="A", value="other", all_queues="true")
        assert "every queue" in (await browser.get("/secrets")).words
        found = await live.services.vault.granted(["A"], "anything")
        assert found.values == {"A": "other"}
        await browser.send("/secrets/A/delete")
        assert "No secret" in (await browser.get("/secrets")).words
        assert (await browser.send("/secrets/A/delete")).status == 404
    assert VALUE not in "".join(capfd.readouterr())


async def test_faults_stand_beside_their_fields_without_the_value(live: Live) -> None:
    async with visitor(live) as browser:
        for form, status, said in (
            ({"name": "a-b"}, 422, "is no name of a secret"),
            ({"name": "A", "queues": "nowhere"}, 422, "there is no queue 'nowhere'"),
            ({"name": "A", "queues": "default", "all_queues": "true"}, 422, "not both"),
        ):
            page = await browser.send("/secrets", value=VALUE, **form)
            assert page.status == status and said in page.words, page.words
            assert VALUE not in page.text and f'value="{form["name"]}"' in page.text
        page = await browser.send("/secrets", name="A")
        assert page.status == 422 and "required" in page.words
        await browser.send("/secrets", name="A", value=VALUE)
        (live.services.config.server.data_dir / "secrets.key").chmod(0o644)
        page = await browser.send("/secrets", name="A", value=VALUE)
        assert page.status == 409 and "chmod 600" in page.words
        assert 'data-state="warning"' in page.text and "not given" in page.words
