"""A journal in a state directory, and offers to put into it."""

from __future__ import annotations

import os

import pytest

from remote_agent.config import Config
from remote_agent.journal import Journal
from remote_agent.planning.order import HostContext
from remote_protocol.messages import Offer
from remote_protocol.spec import JobFile

HOST = HostContext("host-1", os.environ, umask=0o022)


def with_files(offer: Offer, *paths: str) -> Offer:
    """The offer with files at paths that no server of ours lets through: another disk may take
    two names for one, and another server may check less."""
    files = [JobFile(path=path, content="") for path in paths]
    return offer.model_copy(update={"spec": offer.spec.model_copy(update={"files": files})})


@pytest.fixture
def journal(config: Config) -> Journal:
    return Journal(config, HOST)
