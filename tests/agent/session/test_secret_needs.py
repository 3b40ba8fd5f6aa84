"""What a start with secrets carries."""

from __future__ import annotations

from remote_agent.session.secret_needs import SecretNeeds
from remote_protocol.messages import Confirm
from remote_protocol.spec import CommandSpec
from tests.agent.session.talk import KEY


def test_no_text_of_it_shows_a_value() -> None:
    spec = CommandSpec(command=["true"], secrets=["A"])
    needs = SecretNeeds(spec, Confirm(attempt=KEY, secrets={"A": "hush"}, withheld={"B": "why"}))
    assert needs.given.secrets == {"A": "hush"}
    assert "hush" not in f"{needs} {needs!r}" and "why" in str(needs)
