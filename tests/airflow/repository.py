"""A git repository on this disk, as a team has one elsewhere: each release is a commit."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_NOBODY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_NAME": "tests" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "tests@example.com" for who in ("AUTHOR", "COMMITTER")},
}


class Repository:
    """A bare one, `bare`, with the branch `main`, and a clone that commits are made in."""

    def __init__(self, root: Path) -> None:
        self.bare = root / "bare.git"
        self._clone = root / "clone"
        root.mkdir()
        _git("init", "--quiet", "--bare", "--initial-branch=main", self.bare)
        _git("clone", "--quiet", self.bare, self._clone)

    def commit(self, files: dict[str, str]) -> str:
        """Make these the files of the newest commit of `main`; its id."""
        for path in self._clone.iterdir():
            if path.name != ".git":
                shutil.rmtree(path)
        for name, text in files.items():
            path = self._clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        _git("-C", self._clone, "add", "--all")
        _git("-C", self._clone, "commit", "--quiet", "--message", "Another version")
        _git("-C", self._clone, "push", "--quiet", "origin", "HEAD:main")
        return _git("-C", self._clone, "rev-parse", "HEAD").strip()


def _git(*words: str | Path) -> str:
    done = subprocess.run(
        ["git", *words], env={**os.environ, **_NOBODY}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
