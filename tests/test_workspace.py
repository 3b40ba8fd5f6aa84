"""Structure of the workspace: tests beside modules, docstrings, sizes, pins. Only reads files."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DISTS = ("protocol", "agent", "server", "client", "datahub")
MAX_LINES = 400
MAX_CONSTRUCTOR_ARGUMENTS = 6
# Names that say nothing about the thing inside.
NAMELESS = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
# Modules without a test file of their own, each with its reason.
WITHOUT_TEST = {
    "__init__": "re-exports and docstrings",
    "__main__": "loads and calls cli.main; the end-to-end tests run it",
}
# The same, as long as no function or property in them does anything.
WITHOUT_BEHAVIOUR = {
    "limits": "constants",
    "port": "a protocol and its types; the tests of both sides of it use every one",
    "ports": "protocols; the tests of who asks and who answers use every one",
    "events": "plain types; the sessions' tests use every one",
    "owner": "plain types; the tests of links use every one",
    "registry": "plain types; the tests of hellos use every one",
    "explanations": "plain types; the tests of the query that fills them use every one",
    "log_lines": "plain types; the tests of the calls that answer with them use every one",
    "sources": "plain types; the queries' tests use every one",
    "effects": "plain types; the sessions' tests use every one",
}
# Folders whose modules are run by a framework and tested as a whole through the room above.
WITHOUT_TEST_FOLDERS = {
    "migrations": "alembic runs them; the store's tests migrate databases",
    "schema": "tables of one metadata, which test_schema.py judges as a whole",
}
# Rooms that must be listed in the contract "pure rooms do no I/O" as soon as they exist.
PURE_ROOMS = (
    "remote_protocol",
    "remote_agent.session",
    "remote_agent.backoff",
    "remote_server.domain",
)
# Put together from pieces, so that this file does not hit itself.
FORBIDDEN = {
    "a package registry": [
        "py" + "pi.org",
        "python" + "hosted.org",
        "registry.npm" + "js.org",
        "ana" + "conda.org",
        "proxy.gol" + "ang.org",
        "crates" + ".io",
    ],
    "a machine path": [
        "/wo" + "rk/",
        "/tmp/bu" + "ild",
        "/root/.py" + "env",
        "/opt/py" + "pi",
        "/opt/wh" + "eels",
    ],
}
PRUNED = {"dist", "build", "node_modules", "__pycache__"}
HIDDEN_BUT_OURS = {".ci", ".github"}


def package(dist: str) -> Path:
    return ROOT / dist / f"remote_{dist}"


def modules() -> list[tuple[str, Path]]:
    return [(dist, path) for dist in DISTS for path in sorted(package(dist).rglob("*.py"))]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Every file that belongs to the project; a release tarball has no git to ask."""
    for entry in sorted(folder.iterdir()):
        # In a git worktree .git is a file, which names the machine's path of the repository. The
        # folder is there for a moment, until pytest renames it.
        if entry.is_symlink() or entry.name == ".git" or entry.name.startswith("pytest-cache-"):
            continue
        if not entry.is_dir():
            yield entry
        elif entry.name in PRUNED or (entry / "pyvenv.cfg").exists():
            continue
        elif not entry.name.startswith(".") or entry.name in HIDDEN_BUT_OURS:
            yield from files(entry)


def toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def behaves(path: Path) -> bool:
    """Whether a function of a module has more than a docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node) is not None
            if any(not isinstance(line, ast.Pass) for line in node.body[said:]):
                return True
    return False


def test_every_module_has_its_test() -> None:
    missing = []
    for dist, path in modules():
        inner = path.relative_to(package(dist))
        if path.stem in WITHOUT_TEST or WITHOUT_TEST_FOLDERS.keys() & set(inner.parts):
            continue
        if path.stem in WITHOUT_BEHAVIOUR and not behaves(path):
            continue
        test = ROOT / "tests" / dist / inner.parent / f"test_{inner.name}"
        if not test.exists():
            missing.append(f"{name(path)} needs {name(test)}")
    assert not missing, "\n".join(missing)


def test_every_module_opens_with_a_docstring() -> None:
    silent = [
        name(path)
        for _, path in modules()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_modules_are_small() -> None:
    sizes = {name(path): len(path.read_bytes().splitlines()) for _, path in modules()}
    assert {module: lines for module, lines in sizes.items() if lines > MAX_LINES} == {}


def test_modules_are_named_for_a_thing() -> None:
    assert [name(path) for _, path in modules() if path.stem in NAMELESS] == []


def test_constructors_take_few_arguments() -> None:
    greedy = []
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if len(arguments) - 1 > MAX_CONSTRUCTOR_ARGUMENTS:
                    greedy.append(f"{name(path)}:{node.lineno}")
    assert greedy == []


def test_the_agent_forks_by_platform_in_one_package() -> None:
    forks = []
    for path in sorted(package("agent").rglob("*.py")):
        if "processes" in path.relative_to(package("agent")).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) in {("sys", "platform"), ("os", "name")}:
                    forks.append(f"{name(path)}:{node.lineno}")
    assert forks == []


def test_pure_rooms_are_under_contract() -> None:
    contracts = toml(ROOT / "pyproject.toml")["tool"]["importlinter"]["contracts"]
    (pure,) = [contract for contract in contracts if contract["name"] == "pure rooms do no I/O"]
    listed = {module.removesuffix(".**") for module in pure["source_modules"]}
    present = {
        ".".join(path.relative_to(ROOT / dist).with_suffix("").parts).removesuffix(".__init__")
        for dist, path in modules()
    }
    assert {room for room in PURE_ROOMS if room in present} <= listed


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_names(kind: str) -> None:
    # A path of a machine starts at the root; {state}/work/ and docs/work/ do not.
    pattern = re.compile(
        "|".join(
            (r"(?<![\w.~)}>/-])" if word.startswith("/") else "") + re.escape(word)
            for word in FORBIDDEN[kind]
        ).encode()
    )
    hits = []
    for path in files():
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # a tool's temporary file beside ours
            continue
        for match in pattern.finditer(content):
            line = content.count(b"\n", 0, match.start()) + 1
            hits.append(f"{name(path)}:{line}: {match[0].decode()}")
    assert not hits, "\n".join(hits)


def pins(kind: str) -> dict[str, str]:
    """The requirements of a lock file (`run.txt`, `dev.txt` …) with markers and hashes, by name."""
    text = (ROOT / "requirements" / f"{kind}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert [
        line for line in text.splitlines() if line.lstrip().startswith(("-e", "--index", "--find"))
    ] == []
    requirements = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return {line.split("==")[0]: line for line in requirements.splitlines() if line}


def test_pins_have_hashes_and_no_addresses() -> None:
    assert len(pins("dev")) > 50
    every = [line for kind in ("dev", "run", "build", "windows") for line in pins(kind).values()]
    for requirement in every:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+ ", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize(("kind", "least"), [("build", 20), ("windows", 15)])
def test_other_lock_files_pin_the_versions_that_are_tested(kind: str, least: int) -> None:
    other, dev = pins(kind), {**pins("build"), **pins("dev")}
    versions = {
        name: (line.split()[0], dev[name].split()[0]) for name, line in other.items() if name in dev
    }
    assert len(versions) > least
    assert {name: pair for name, pair in versions.items() if pair[0] != pair[1]} == {}
    assert {name.partition("[")[0] for name in wanted(kind)} <= other.keys()


def test_both_lock_files_pin_the_same_versions() -> None:
    run, dev = pins("run"), pins("dev")
    assert 20 < len(run) < len(dev)
    assert {name: line for name, line in run.items() if dev.get(name) != line} == {}


def wanted(kind: str) -> set[str]:
    """What `run.in` or `dev.in` names."""
    lines = (ROOT / "requirements" / f"{kind}.in").read_text().splitlines()
    named = (line for line in lines if line.strip() and not line.startswith("#"))
    return {re.split(r"[<>=\[ ;]", line)[0].strip() for line in named}


def test_pins_cover_every_dependency() -> None:
    run, dev = wanted("run") - {"remote-protocol"}, wanted("dev")
    for dist in DISTS:
        project = toml(ROOT / dist / "pyproject.toml")["project"]
        run |= {re.split(r"[<>=\[ ;]", item)[0].lower() for item in project["dependencies"]}
    assert run - pins("run").keys() == {"remote-protocol"}
    assert (run | dev) - pins("dev").keys() == {"remote-protocol"}


def test_the_distributions_share_version_licence_and_python() -> None:
    versions, pythons = set(), set()
    for dist in DISTS:
        assert (ROOT / dist / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
        assert (package(dist) / "py.typed").exists()
        match = re.search(
            r'^__version__ = "(.+)"$', (package(dist) / "__init__.py").read_text(), re.MULTILINE
        )
        assert match, f"remote_{dist} has no __version__"
        versions.add(match[1])
        pythons.add(toml(ROOT / dist / "pyproject.toml")["project"]["requires-python"])
    assert len(versions) == 1
    assert len(pythons) == 1
