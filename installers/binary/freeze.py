"""Have PyInstaller lay a program out as a folder, and say where every file of it comes from.

Calls PyInstaller in the build's own environment, where nothing is installed but what runs and what
builds. Touches its work folder only.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
EXCLUDED: Final = (
    # Only parts of packages that nobody asks for here import these.
    *("pydantic.mypy", "pydantic.v1", "pydantic._internal._mypy", "hypothesis", "mypy", "attr"),
    *("setuptools", "pkg_resources", "distutils", "_distutils_hack", "pip", "IPython", "greenlet"),
    *("rich.jupyter", "websockets.legacy", "websockets.sync", "httpx._main", "trio", "tzdata"),
    *("anyio.pytest_plugin", "tkinter", "unittest", "doctest", "pdb", "bdb", "cmd", "code"),
    *("sqlite3", "xml", "xmlrpc", "lib2to3", "ensurepip", "venv", "idlelib", "turtle", "test"),
    *("multiprocessing", "concurrent.futures.process", "pydoc", "pydoc_data", "rlcompleter"),
    *("codeop", "curses", "readline"),
    # Encodings that no terminal and no file of ours uses; each is a library.
    *("_codecs_jp", "_codecs_hk", "_codecs_cn", "_codecs_kr", "_codecs_tw", "_codecs_iso2022"),
)  # fmt: skip
_BUILD_VARIABLES: Final = """\
# In place of the interpreter's own, which tell how and where it was built.
build_time_vars = {
    "TZPATH": "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo",
}
"""


READ_AS_TEXT: Final = {
    "remote_agent": (
        Path("remote_agent/planning/environment.py"),
        Path("remote_agent/planning/interpreter.py"),
        Path("remote_agent/planning/keeper.py"),
        Path("remote_datahub/program.py"),
        Path("remote_agent/planning/unpacking.py"),
    ),
    "remote_client": (),
}
"""Modules that a program gives to others, and so has as files."""


class Source(NamedTuple):
    """One thing in the program: its name there, and the file that it was made from."""

    name: str
    origin: Path


def freeze(name: str, package: str, site: Path, work: Path, epoch: int) -> Path:
    """The folder with the program `name`, made from `package` in `site` and the environment."""
    import sysconfig

    variables = sysconfig._get_sysconfigdata_name()  # type: ignore[attr-defined]
    (site / f"{variables}.py").write_text(_BUILD_VARIABLES)
    excluded = [f"--exclude-module={module}" for module in EXCLUDED]
    # Commands and extensions load their modules by name, when they are called.
    named = [*modules(site, package), *modules_of_extensions([site], package)]
    ours = [f"--hidden-import={module}" for module in named]
    ours += [f"--add-data={site / file}{os.pathsep}{file.parent}" for file in READ_AS_TEXT[package]]
    command = [
        sys.executable, "-P", "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level=ERROR",
        "--onedir", "--strip", "--noupx", "--console", f"--name={name}", f"--paths={site}",
        f"--distpath={work / 'frozen'}", f"--workpath={work / 'analysis'}", f"--specpath={work}",
        f"--runtime-hook={HERE / 'started.py'}", f"--hidden-import={variables}", *ours,
        *excluded, str(HERE / f"{name}.py"),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYINSTALLER_CONFIG_DIR": str(work / "pyinstaller"),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }
    subprocess.run(command, check=True, env=environment, cwd=work)
    return work / "frozen" / name


def modules(site: Path, package: str) -> list[str]:
    files = sorted((site / package).rglob("*.py"))
    names = [file.relative_to(site).with_suffix("").as_posix().replace("/", ".") for file in files]
    return [name.removesuffix(".__init__") for name in names]


def modules_of_extensions(paths: Sequence[Path], package: str) -> list[str]:
    """The modules by which a program finds extensions, and those that it loads of them; for the
    agent or for `remotectl`."""
    sys.path[:0] = [str(path) for path in paths]
    try:
        extensions = import_module("remote_protocol.extensions")
        found = []
        for name in sorted(extensions.names()):
            about = extensions.find(name)
            client = (about.command, about.shown)
            agent = (about.planner, about.settings, about.watch)
            parts = agent if package == "remote_agent" else client
            found.append(f"{extensions.NAMESPACE}.{name}")
            found += [place.partition(":")[0] for place in (about.spec, *parts) if place]
        return found
    finally:
        del sys.path[: len(paths)]


def sources(name: str, work: Path) -> Iterator[Source]:
    """What the program is made of: modules, libraries, data."""
    folder = work / "analysis" / name
    for table in ("PYZ-00.toc", "COLLECT-00.toc"):
        for entry in _entries(ast.literal_eval((folder / table).read_text(encoding="utf-8"))):
            where, origin, kind = entry
            # A namespace package is no file.
            if origin not in ("", "-") and kind not in ("EXECUTABLE", "SYMLINK", "PYZ", "PKG"):
                yield Source(where, Path(origin))


def _entries(value: object) -> Iterator[tuple[str, str, str]]:
    """The (name, file, type) entries of a table, however deep they stand in it."""
    if isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, str) for v in value):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _entries(part)
