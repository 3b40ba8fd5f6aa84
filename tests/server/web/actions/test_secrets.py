"""What the API and the pages share about secrets."""

from __future__ import annotations

import pytest

from remote_protocol.api.secrets import SecretPut
from remote_server.domain.secrets import Scope
from remote_server.web.actions.secrets import require_name, scope_of
from remote_server.web.http.problems import ApiProblem


def test_the_scope_of_a_body() -> None:
    assert scope_of(SecretPut(value="a")) is None
    assert scope_of(SecretPut(value="a", queues=["x", "y", "x"])) == Scope(("x", "y"))
    assert scope_of(SecretPut(value="a", all_queues=True)) == Scope((), True)


def test_a_name_is_that_of_a_variable() -> None:
    require_name("A_1")
    for name in ("", "a-b", "A" * 129):
        with pytest.raises(ApiProblem) as caught:
            require_name(name)
        assert caught.value.errors[0]["field"] == "name"
