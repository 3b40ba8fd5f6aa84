"""Tests of a platform's half are collected on that platform: the other one cannot import it."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    collect_ignore_glob = ["test_posix*.py", "test_linux*.py", "test_prctl.py", "test_cgroup.py"]
else:
    collect_ignore_glob = ["windows/*"]
