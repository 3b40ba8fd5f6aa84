"""Bodies of logins."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.logins import LoginAnswer, LoginAsk, LoginBegin


@pytest.mark.parametrize("secret", ["", "x" * 65, "a b", "a\0"])
def test_a_secret_has_a_form_and_is_not_shown(secret: str) -> None:
    with pytest.raises(ValidationError):
        LoginAsk(secret=secret)
    assert "s3cret" not in repr(LoginAsk(secret="s3cret"))


def test_an_answer_has_a_token_only_when_it_is_confirmed() -> None:
    assert LoginAnswer(state="pending").token is None
    with pytest.raises(ValidationError):
        LoginAnswer.model_validate({"state": "perhaps"})
    with pytest.raises(ValidationError):
        LoginBegin(name="a b")
