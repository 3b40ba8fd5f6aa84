"""Requests to a provider: bounded, and to nobody else."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import pytest
import trustme
from aiohttp import web

from remote_server.oidc.faults import ProviderFault
from remote_server.oidc.requests import LARGEST, Requests
from remote_server.oidc_settings import OidcPart
from tests.support.issuer import Issuer
from tests.support.ports import free_port


async def fault(url: str, **more: Any) -> str:
    requests = Requests(OidcPart.model_validate({"issuer": url, "timeout": 60, **more}))
    try:
        with pytest.raises(ProviderFault) as caught:
            await requests.get(url, "discovery document")
        return str(caught.value)
    finally:
        await requests.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((302, {"Location": "/elsewhere"}, b""), "answered 302, a redirect; redirects are not"),
        ((200, {}, b"x" * (LARGEST + 1)), f"answered with more than {LARGEST} bytes"),
        ((200, {}, b"<html>"), "answered 200 with no JSON object; check that [oidc] issuer"),
        ((200, {}, b"[1]"), "no JSON object"),
        ((200, {}, b"[" * 100_000), "no JSON object"),
        ((200, {}, b"\xff{}"), "no JSON object"),
        ((404, {}, b"{}"), "answered 404 for its discovery document at http://127.0.0.1"),
    ],
)
async def test_answers_that_do_not_do(
    issuer: Issuer, answer: tuple[int, dict[str, str], bytes], said: str
) -> None:
    issuer.answer = answer
    assert said in await fault(issuer.url)
    assert "/elsewhere" not in issuer.asked


async def test_a_provider_that_is_away_is_named_with_what_to_check() -> None:
    said = await fault(f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached: Connect" in said and "check the address" in said


async def test_a_provider_that_never_answers_is_given_up() -> None:
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    said = await fault(f"http://127.0.0.1:{port}", timeout=0.5)
    assert "gave no complete answer within 0.5 s" in said
    # It ends with the client's connection, before the loop does.
    await asyncio.wait_for(over.wait(), 60)
    server.close()


async def test_certificates_are_checked(tmp_path: Any) -> None:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"here": True})

    application = web.Application()
    application.router.add_get("/", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    said = await fault(url)
    assert "certificate is not valid" in said and "[oidc] ca_file" in said
    trusting = Requests(OidcPart.model_validate({"issuer": url, "ca_file": str(file)}))
    assert await trusting.get(f"{url}/", "discovery document") == {"here": True}
    await trusting.close()
    await runner.cleanup()


async def test_a_file_of_certificates_that_is_none_is_named(issuer: Issuer, tmp_path: Any) -> None:
    said = await fault(issuer.url, ca_file=str(tmp_path / "missing.pem"))
    assert "[oidc] ca_file" in said and "missing.pem cannot be used" in said


async def test_proxies_of_the_environment_are_not_used(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    requests = Requests(OidcPart.model_validate({"issuer": issuer.url, "timeout": 60}))
    said = await requests.get(f"{issuer.url}/.well-known/openid-configuration", "document")
    assert said["issuer"] == issuer.url
    await requests.close()
