"""The limit of open files is raised as far as the system lets us."""

from __future__ import annotations

import resource

from remote_server.file_limit import MOST, raise_file_limit


def test_the_soft_limit_becomes_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, hard = before
    low = 512 if hard == resource.RLIM_INFINITY else min(512, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
        found = raise_file_limit()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == hard
        assert 0 < found <= MOST
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
