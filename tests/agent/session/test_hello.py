"""The first messages of a session."""

from __future__ import annotations

from remote_agent.session.effects import Send
from remote_agent.session.hello import HostFacts, hello
from remote_protocol import messages as m
from remote_protocol.limits import MAX_PART, PROTOCOL_VERSION
from tests.support.fake_server import new_key

FACTS = HostFacts("1.2", "here", boot_id="b", process="p")
SESSION = "01M7YFNZ7G4HK7EAPK0XJPWFEK"


def item() -> m.InventoryItem:
    return m.InventoryItem(attempt=new_key(), phase=m.Phase.RUNNING, size=7)


def test_an_agent_says_who_it_is_and_what_it_holds() -> None:
    held = [item(), item()]
    (sent,) = hello(FACTS, SESSION, m.Condition(), held)
    assert isinstance(sent, Send) and isinstance(sent.message, m.Hello)
    said = sent.message
    assert (said.oldest, said.newest) == (PROTOCOL_VERSION, PROTOCOL_VERSION)
    assert (said.session, said.agent_version, said.installation) == (SESSION, "1.2", "here")
    assert (said.boot_id, said.process) == ("b", "p")
    assert said.inventory == held and said.following == 0


def test_what_one_message_cannot_hold_follows() -> None:
    held = [item() for _ in range(2 * MAX_PART + 1)]
    said = [
        one.message for one in hello(FACTS, SESSION, m.Condition(), held) if isinstance(one, Send)
    ]
    first, *more = said
    assert isinstance(first, m.Hello)
    told = list(first.inventory)
    left = [first.following]
    for message in more:
        assert isinstance(message, m.Inventory)
        told += message.items
        left.append(message.following)
    assert told == held and left[-1] == 0 and left == sorted(left, reverse=True)
