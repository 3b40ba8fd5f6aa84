"""What sessions want is carried out: commits before answers, logs as they came."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Sequence
from typing import NoReturn

import pytest

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import SYSTEM
from remote_server.domain.secrets import SealedSecret
from remote_server.errors import StoreUnavailable
from remote_server.hub import HubTerms
from remote_server.logs import LogUnavailable
from remote_server.secrets.source import KeyFile
from remote_server.store.sqlite.database import SqliteDatabase
from tests.support.fake_agent import cri, ended, holds
from tests.support.live_hub import LiveHub, until
from tests.support.stored import spec

LOG = cri(b"one\ntwo\nthree\n" * 500)


async def test_a_log_starts_from_nothing_whatever_lies_there(place: LiveHub) -> None:
    place.hub.terms = HubTerms(durable=False)
    async with place.agent() as agent:
        await agent.hello()
        job = await place.submit()
        # As it is after a power cut that the database has not survived as a whole.
        place.logs.append(AttemptId(job, 1), cri(b"of another attempt\n"))
        place.logs.store.close()
        key = await agent.start()
        await agent.upload(key, LOG)
        await agent.hello(holds(key, Phase.RUNNING, len(LOG)))
        await agent.finish(key, LOG)
        assert place.log_file(key).read_bytes() == LOG
        assert (await place.attempt(key)).log_complete


async def test_nothing_is_confirmed_before_its_commit(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.offered()
        place.store.gate = asyncio.Event()
        await agent.send(agent.acceptance(key))
        await agent.beat()
        assert not [said for said in agent.heard if isinstance(said, m.Confirm)]
        place.store.gate.set()
        await agent.hear(m.Confirm)
        assert (await place.attempt(key)).state is AttemptState.ACCEPTED


async def test_what_takes_the_place_of_an_end_shares_its_commit(place: LiveHub) -> None:
    commits: list[ChangeSet] = []
    place.store.on_commit(commits.append)
    async with place.agent() as agent:
        await agent.hello()
        held = []
        for _ in range(place.slot().capacity["default"]):
            await place.submit()
            held.append(await agent.start())
        following = await place.submit()
        await agent.finish(held[0])
        assert (await agent.offered()).job == following
        assert held[0] not in place.slot().leases
        if isinstance(place.store._database, SqliteDatabase):
            (ending,) = [changes for changes in commits if held[0].job in changes.ended]
            assert following in ending.jobs


async def test_nothing_is_confirmed_when_nobody_knows_whether_it_is_stored(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.offered()

        def cancelled(*_: object) -> asyncio.Future[object]:
            future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            future.cancel()
            return future

        with monkeypatch.context() as patched:
            patched.setattr(place.store, "record", cancelled)
            await agent.send(agent.acceptance(key))
            await agent.beat()
        assert not [said for said in agent.heard if isinstance(said, m.Confirm)]
        await agent.send(agent.acceptance(key))
        await agent.hear(m.Confirm)


async def test_resent_chunks_change_nothing_and_gaps_rewind(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await agent.upload(key, LOG[:1000])
        await agent.send_log(key, 0, LOG[:600])
        assert (await agent.hear(m.Ack)).offset == 1000
        await agent.send_log(key, 900, LOG[900:1500])
        assert (await agent.hear(m.Ack)).offset == 1500
        await agent.send_log(key, 2000, LOG[2000:])
        assert (await agent.hear(m.Rewind)).offset == 1500
        await agent.upload(key, LOG[1500:], 1500)
        await agent.finish(key, LOG)
        assert place.log_file(key).read_bytes() == LOG


async def test_a_log_that_is_too_short_or_wrong_comes_again(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await agent.upload(key, b"x" * 100)
        await agent.send(ended(key, LOG))
        rewind = await agent.hear(m.Rewind)
        assert rewind.offset == 100
        await agent.upload(key, LOG[100:], 100)
        await agent.send(ended(key, LOG))
        assert (await agent.hear(m.Rewind)).offset == 0, "its beginning is wrong"
        await agent.upload(key, LOG)
        await agent.finish(key, LOG)
        assert place.log_file(key).read_bytes() == LOG


async def test_a_log_that_cannot_be_had_whole_is_settled_as_it_is(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await agent.upload(key, b"x" * 1000 + LOG[1000:5000])
        missing = m.Missing(attempt=key, offset=7000)
        await agent.send(missing)
        await agent.upload(key, LOG[7000:], 7000)
        for _ in range(2):
            await agent.send(ended(key, LOG))
            if isinstance(message := await agent.next(), m.Settled):
                break
            assert isinstance(message, m.Rewind)
            assert message.offset == 0
            await agent.send(missing)
            await agent.upload(key, LOG[7000:], 7000)
        assert isinstance(message, m.Settled)
        log = place.log_file(key).read_bytes()
        assert (log[1000:5000], log[7000:]) == (LOG[1000:5000], LOG[7000:])
        assert b"2000 bytes of this log were lost" in log[5000:7000]
        attempt = await place.attempt(key)
        assert (attempt.log_size, attempt.log_complete) == (len(LOG), False)
        assert (await place.job(key)).state is JobState.SUCCEEDED
        (note,) = [e for e in await place.store.timeline(key.job) if e.what == "log_incomplete"]
        assert "before byte 7000" in note.detail
        assert place.logs.torn == 1


async def test_a_full_disk_pauses_the_session_and_loses_nothing(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place.hub._recovery, "_pause", 0.01)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await agent.upload(key, LOG[:1000])
        real = os.pwrite
        monkeypatch.setattr(os, "pwrite", _no_space)
        probe = place.logs.probe
        monkeypatch.setattr(place.logs, "probe", _no_room)
        await agent.send_log(key, 1000, LOG[1000:2000])
        ack = await agent.beat()
        assert not ack.eligible
        assert "database" in ack.reason
        assert [s.offset for s in agent.heard if isinstance(s, m.Ack)] == [1000]
        monkeypatch.setattr(os, "pwrite", real)
        monkeypatch.setattr(place.logs, "probe", probe)
        await agent.hear(m.Resync)
        welcome = await agent.hello(holds(key, Phase.RUNNING, len(LOG)))
        assert [(r.verdict, r.offset) for r in welcome.rulings] == [(m.Verdict.KEEP, 1000)]
        await agent.upload(key, LOG[1000:], 1000)
        await agent.finish(key, LOG)
        assert place.log_file(key).read_bytes() == LOG


async def test_a_database_that_is_away_acknowledges_nothing_and_recovers(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place.hub._recovery, "_pause", 0.01)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await place.reaches(key, AttemptState.RUNNING)
        place.store.down = True
        await agent.send(ended(key))
        await until(lambda: not place.slot().eligible)
        ack = await agent.beat()
        assert not ack.eligible
        assert not [said for said in agent.heard if isinstance(said, m.Settled)]
        place.store.down = False
        await agent.hear(m.Resync)
        welcome = await agent.hello(holds(key, Phase.ENDED))
        assert [r.verdict for r in welcome.rulings] == [m.Verdict.KEEP]
        await agent.finish(key)
        assert (await place.job(key)).state is JobState.SUCCEEDED


async def test_a_returned_attempt_tells_the_holder_of_its_replacement(place: LiveHub) -> None:
    policy = {"lost_after": "10m", "on_return": "keep_first"}
    async with place.agent("a") as first:
        await first.hello()
        await place.submit(on_disconnect=policy, max_attempts=3, retry_backoff=0)
        key = await first.start()
        first.cut()
    await until(lambda: place.hub.slot("a") is None)
    await place.store.lose(key, "it was silent", time.time())
    async with place.agent("b") as second:
        await second.hello()
        replacement = await second.start()
        assert replacement == (key.job, 2)
        async with place.agent("a") as back:
            welcome = await back.hello(holds(key, Phase.RUNNING))
            assert [r.verdict for r in welcome.rulings] == [m.Verdict.KEEP]
            superseded = await second.hear(m.Superseded)
            assert superseded.attempt.number == 2
            await back.finish(key)
    assert (await place.job(key)).state is JobState.SUCCEEDED


def _no_room() -> None:
    raise LogUnavailable("no space left on device")


def _no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


async def put(place: LiveHub, name: str, value: str = "correct horse") -> None:
    await place.hub.vault.put(name, value, None, time.time(), SYSTEM)


async def test_a_confirmation_has_the_secrets_of_its_moment(place: LiveHub) -> None:
    await put(place, "A")
    async with place.agent() as agent:
        await agent.hello()
        await place.submit(secrets=["A", "B"])
        key = await agent.offered()
        await agent.send(agent.acceptance(key))
        confirm = await agent.hear(m.Confirm)
        assert (confirm.attempt, confirm.secrets) == (key, {"A": "correct horse"})
        withheld = confirm.withheld or {}
        assert list(withheld) == ["B"] and "no secret 'B'" in withheld["B"]
        # After a hello it says again that it accepted, and gets what there is by now.
        await put(place, "A", "new")
        await put(place, "B", "b")
        await agent.hello(holds(key, Phase.ACCEPTED))
        await agent.send(agent.acceptance(key))
        confirm = await agent.hear(m.Confirm)
        assert (confirm.secrets, confirm.withheld) == ({"A": "new", "B": "b"}, {})


async def test_jobs_without_secrets_read_none(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: object) -> NoReturn:
        raise AssertionError("nobody asked for a secret")

    monkeypatch.setattr(place.hub.vault, "granted", read)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        await agent.start()


async def test_secrets_that_cannot_be_read_now_come_later(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(place, "A")
    broken = [True]
    sealed = place.store.sealed_secrets

    async def sealed_secrets(names: Sequence[str]) -> dict[str, SealedSecret]:
        if broken.pop() if broken else False:
            raise StoreUnavailable("the database is away, for this test")
        return await sealed(names)

    monkeypatch.setattr(place.store, "sealed_secrets", sealed_secrets)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit(secrets=["A"])
        key = await agent.offered()
        await agent.send(agent.acceptance(key))
        # Nothing is confirmed; the database works again, and the agent is asked what it holds.
        await agent.hear(m.Resync)
        assert not [said for said in agent.heard if isinstance(said, m.Confirm)]
        await agent.hello(holds(key, Phase.ACCEPTED))
        await agent.send(agent.acceptance(key))
        assert (await agent.hear(m.Confirm)).secrets == {"A": "correct horse"}


async def test_a_lost_key_is_logged_and_not_told_to_agents(
    place: LiveHub, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(place, "A")
    source = place.hub.vault._keys
    assert isinstance(source, KeyFile)
    source.path.unlink()
    async with place.agent() as agent:
        await agent.hello()
        await place.submit(secrets=["A"])
        key = await agent.offered()
        await agent.send(agent.acceptance(key))
        confirm = await agent.hear(m.Confirm)
        assert not confirm.secrets and str(source.path) not in str(confirm.withheld)
    assert f"there is no {source.path}" in capsys.readouterr().out


async def test_a_confirmation_has_the_private_input(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        said, seal = await place.hub.vault.concealed(spec(private_input="hush"))
        assert seal is not None
        await place.store.submit([said], time.time(), inputs={0: seal})
        key = await agent.offered()
        await agent.send(agent.acceptance(key))
        confirm = await agent.hear(m.Confirm)
        assert (confirm.attempt, confirm.private_input) == (key, "hush")
        assert "hush" not in repr(confirm)
        assert "hush" not in (await place.store.job(key.job)).spec.model_dump_json()
