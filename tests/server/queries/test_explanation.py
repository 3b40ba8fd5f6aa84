"""What would become of a job that nobody has submitted."""

from __future__ import annotations

from remote_protocol.api.queues import QueueChange
from remote_server.domain.model import SYSTEM
from remote_server.domain.secrets import Scope, Sealed
from remote_server.queries.explanation import explain
from remote_server.queries.fleet import FleetReader
from remote_server.queries.sources import Sources
from remote_server.store import Store
from tests.server.queries.test_candidates import registered
from tests.support.fake_links import FakeLinks
from tests.support.stored import NOW, spec


async def outlook(sources: Sources, lack: str = "", **fields: object) -> tuple[str, str]:
    members = await FleetReader(sources).members()
    found = await explain(sources, members, spec(**fields), lack)
    return found.outlook, found.reason


async def test_the_outlook_is_that_of_the_best_agent(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    assert await outlook(sources) == ("never", "no agent serves queue 'default'")
    await registered(store, "a", "b")
    assert (await outlook(sources))[0] == "blocked", "both are offline"
    slot = links.connect("a", labels={"gpu": "a40"})
    assert await outlook(sources) == ("now", "agent a serves queue 'default' and has room for it")
    said, why = await outlook(sources, labels={"gpu": "h100"})
    assert (said, "label gpu=h100" in why) == ("never", True)
    slot.capacity["default"] = 1
    slot.leases[("x", 1)] = ("default", None)  # type: ignore[index]
    said, why = await outlook(sources)
    assert (said, "full" in why) == ("later", True)
    slot.leases.clear()
    slot.eligible, slot.reason = False, "paused: disk"
    said, why = await outlook(sources)
    assert (said, "paused: disk" in why) == ("blocked", True)
    slot.capacity["default"] = 0
    links.agents.pop("a")
    slot = links.connect("a", capacity=0)
    assert (await outlook(sources, agent="a"))[0] == "never"


async def test_a_paused_queue_blocks_what_could_run(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    await registered(store, "a")
    links.connect("a")
    await store.change_queue("default", QueueChange(paused=True), by=SYSTEM)
    assert await outlook(sources) == ("blocked", "queue 'default' is paused")
    assert (await outlook(sources, labels={"no": "such"}))[0] == "never"


async def test_everything_that_the_server_would_refuse_is_told_at_once(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    members = await FleetReader(sources).members()
    wanted = spec(queue="nowhere", agent="nobody")
    found = await explain(sources, members, wanted, "the disk is full")
    assert found.outlook == "refused"
    codes = [refusal.code for refusal in found.refusals]
    assert codes == ["unknown_queue", "unknown_agent", "store_unavailable"]
    assert "there is no queue 'nowhere'" in found.reason
    assert (await outlook(sources, "the disk is full"))[0] == "refused"


async def test_each_candidate_has_every_condition_in_the_words_of_pages(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    await registered(store, "a", "away")
    links.connect("a", labels={"gpu": "a40"}, capacity=2)
    links.connect("near", queues=("other",), labels={"gpu": "h100"})
    members = await FleetReader(sources).members()
    found = await explain(sources, members, spec(labels={"gpu": "h100"}, weight=0.5), "")
    said = {
        one.agent: {c.what: (c.wanted, c.met, c.found) for c in one.conditions}
        for one in found.candidates
    }
    assert said["a"] == {
        "queue": ("default", True, "default"),
        "label": ("gpu=h100", False, "a40"),
        "online": ("", True, "yes"),
        "takes_jobs": ("", True, "yes"),
        "room": ("0.5", True, "1 free"),
    }
    assert said["near"]["queue"] == ("default", False, "other")
    assert said["away"]["online"] == ("", False, "offline")
    assert said["away"]["room"] == ("0.5", None, "not known")
    assert (found.serving, found.judged, found.fitting) == (2, 2, 0)


async def test_agents_that_are_not_named_count_for_the_outlook(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    """Of many agents that are away, few are named; whether one of them could run it is known."""
    await registered(store, *(f"a{number:02}" for number in range(50)))
    assert (await outlook(sources))[0] == "blocked"
    links.connect("a49")
    assert (await outlook(sources))[0] == "now"


async def test_secrets_that_would_not_be_given_are_named(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    await registered(store, "a")
    links.connect("a")
    sealed = Sealed("key", "nonce", "ciphertext")
    await store.put_secret("MINE", sealed, None, NOW)
    await store.put_secret("THEIRS", sealed, Scope(()), NOW)
    members = await FleetReader(sources).members()
    found = await explain(sources, members, spec(secrets=["MINE", "THEIRS", "NOBODYS"]), "")
    assert found.outlook == "now", "its agent's host may have them"
    assert sorted(found.withheld) == ["NOBODYS", "THEIRS"]
    assert "no secret 'NOBODYS'" in found.withheld["NOBODYS"]
    assert (await explain(sources, members, spec(), "")).withheld == {}
