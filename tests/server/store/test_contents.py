"""What is noted of contents: whose they are, and for how long jobs need them."""

from __future__ import annotations

import pytest

from remote_protocol.ids import ULID_ENTROPY, make_ulid
from remote_server.domain.contents import Unneeded, Usage
from remote_server.domain.model import Principal
from remote_server.errors import ContentMissing
from remote_server.store import Store
from remote_server.store.contents import LEAST, note_needs, require_contents
from tests.support.grouped import group_of, registered
from tests.support.stored import NOW, finish, running, spec

ANNE = Principal(make_ulid(1, bytes(ULID_ENTROPY)), "anne")
BERT = Principal(make_ulid(2, bytes(ULID_ENTROPY)), "bert")
ONE, TWO = "1" * 64, "2" * 64


async def need(store: Store, job: str, *digests: str, at: float = NOW) -> None:
    await store._database.write(lambda tx: note_needs(tx, [job], digests, at))


async def missing(store: Store, by: Principal, repeated: bool = False, **wanted: int) -> str:
    """Why these contents do not do, by the first digit of their digests; empty when they do."""
    found = {name.removeprefix("c") * 64: size for name, size in wanted.items()}
    try:
        await store._database.read(
            lambda reader: require_contents(reader, found, by, repeated=repeated)
        )
    except ContentMissing as error:
        return str(error)
    return ""


async def test_whose_they_are(store: Store) -> None:
    await store.keep_content(ONE, 10_000, NOW, by=ANNE)
    await store.keep_content(ONE, 10_000, NOW + 1, by=ANNE)
    assert await store.content_sent(ONE, ANNE) == 10_000
    assert await store.content_sent(ONE, BERT) is None
    assert await missing(store, ANNE, c1=10_000) == ""
    # Whether it is there is not to be learnt by whoever has not sent it.
    theirs, nobodys = await missing(store, BERT, c1=10_000), await missing(store, BERT, c3=10_000)
    assert theirs.replace(ONE, "3" * 64) == nobodys and "PATCH /api/v1/contents/" in theirs
    assert "has 10000 bytes, and the job says 9" in await missing(store, ANNE, c1=9)
    await store.keep_content(ONE, 10_000, NOW, by=BERT)
    assert await missing(store, BERT, c1=10_000) == ""


async def test_a_repetition_only_has_to_be_possible(store: Store) -> None:
    await store.keep_content(ONE, 10, NOW, by=ANNE)
    assert await missing(store, BERT, repeated=True, c1=10) == ""
    assert "kept no longer" in await missing(store, BERT, repeated=True, c2=10)


async def test_what_they_take(store: Store) -> None:
    assert await store.content_usage(ANNE) == Usage(0, 0)
    await store.keep_content(ONE, 10_000, NOW, by=ANNE)
    await store.keep_content(TWO, 1, NOW, by=BERT)
    assert await store.content_usage(ANNE) == Usage(10_000 + LEAST, 10_000)
    assert await store.content_usage(BERT) == Usage(10_000 + LEAST, LEAST)


async def test_they_stay_while_a_job_needs_them(store: Store) -> None:
    await store.keep_content(ONE, 10, NOW, by=ANNE)
    await store.keep_content(TWO, 20, NOW + 5, by=ANNE)
    assert await store.unneeded_contents(9) == [Unneeded(ONE, 10, NOW), Unneeded(TWO, 20, NOW + 5)]
    key = await running(store)
    await need(store, key.job, ONE, at=NOW + 7)
    assert await store.unneeded_contents(9) == [Unneeded(TWO, 20, NOW + 5)]
    assert not await store.forget_content(ONE)
    await finish(store, key, now=NOW + 100)
    assert await store.unneeded_contents(9) == [
        Unneeded(TWO, 20, NOW + 5),
        Unneeded(ONE, 10, NOW + 100),
    ]
    assert await store.forget_content(ONE) and not await store.forget_content(ONE)
    assert await store.known_contents() == {TWO}


async def test_needs_of_forgotten_jobs_are_cleared(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.store.contents._PAGE", 2)
    await store.keep_content(ONE, 10, NOW, by=ANNE)
    keys = [await running(store) for _ in range(5)]
    for key in keys:
        await need(store, key.job, ONE)
        await finish(store, key)
    await store.forget_jobs([key.job for key in keys[:4]])
    assert [await store.clear_content_needs() for _ in range(3)] == [True, True, False]
    # The last job still counts: with it, the content was needed until its end.
    (left,) = await store.unneeded_contents(9)
    assert left.since >= NOW
    assert await store.forget_jobs([keys[4].job]) == 1


async def test_jobs_name_what_their_submitter_has_sent(store: Store) -> None:
    await store.keep_content(ONE, 10, NOW, by=ANNE)
    file = {"path": "f", "digest": ONE, "size": 10}
    wanted = spec(files=[file], idempotency_key="k")
    with pytest.raises(ContentMissing):
        await store.submit([wanted], NOW, by=BERT)
    (job,) = await store.submit([wanted], NOW + 1, by=ANNE)
    assert await store.unneeded_contents(9) == []
    # The same call again asks for nothing: the job is there.
    assert (await store.submit([wanted], NOW + 2, by=ANNE))[0].id == job.id
    (again,) = await store.submit(
        [wanted.model_copy(update={"idempotency_key": None})], NOW + 3, by=BERT, repeated=True
    )
    for one in (job, again):
        await store.request_cancel(one.id, "", NOW + 9)
    (left,) = await store.unneeded_contents(9)
    assert (left.digest, left.since) == (ONE, NOW + 9)


async def test_members_of_a_group_need_them_each(store: Store) -> None:
    await store.keep_content(ONE, 10, NOW, by=ANNE)
    await registered(store, ["a", "b"])
    file = {"path": "f", "digest": ONE, "size": 10}
    wanted = group_of(spec={"files": [file]})
    with pytest.raises(ContentMissing):
        await store.submit_group(wanted, NOW, BERT, None)
    await store.submit_group(wanted, NOW, ANNE, None)
    assert await store.unneeded_contents(9) == []
    assert not await store.forget_content(ONE)
