"""The sections: values that make no sense are named, with what would."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.config import load
from remote_agent.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("USER_RANGE", "80000", "no range of users, such as 80000-89999"),
        ("USER_RANGE", "9-5", "up to 100000 numbers"),
        ("USER_RANGE", "0-5", "up to 100000 numbers"),
        ("USER_RANGE", "1-4294967295", "up to 100000 numbers"),
        ("UMASK", "99", "no octal number, such as 027"),
        ("UMASK", "7777", "less than or equal to"),
        ("NO_NEW_PRIVILEGES", "perhaps", "valid boolean"),
    ],
)
def test_users_of_jobs_that_make_no_sense(tmp_path: Path, key: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(None, {f"REMOTE_AGENT_JOBS_{key}": text}, None, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "it lets no job run"),
        ("default=0,big=0", "it lets no job run"),
        ("default=2,default=3", "names 'default' twice"),
        ("default=2,monitros=3", "did you mean monitors?"),
        ("defualt=2", "did you mean default?"),
    ],
)
def test_capacities_that_make_no_sense(tmp_path: Path, text: str, words: str) -> None:
    environ = {"REMOTE_AGENT_CAPACITY": text, "REMOTE_AGENT_QUEUES": "berlin,monitors"}
    with pytest.raises(ConfigError) as caught:
        load(None, environ, None, tmp_path)
    assert words in str(caught.value)
