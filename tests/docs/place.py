"""Plays the blocks of one document in a place of their own: `python place.py DOCUMENT SCRATCH BIN`.

Run as the first process of new mount, network and process namespaces. There, port 8750 is free,
the host names of the documents are this host, `/var/lib` is empty, and everything that was started
ends with this process. Exit code 0 when every block ended as it should; else the output of the
blocks says what did not.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.docs.blocks import INTERRUPT, Block, blocks

HOSTS = ("server", "jobs.example.com")
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # netdevice(7)
_WAIT = 120
"""Seconds in which what runs on must have said what it is waited for."""


def prepare(scratch: Path) -> dict[str, str]:
    """The network, the disks and the environment of the blocks."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))
    hosts = scratch / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {' '.join(HOSTS)}\n::1 localhost\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/var/lib"], check=True)
    for name in ("home", "here"):
        (scratch / name).mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": str(scratch / "home"), "USER": "me"}


def script(found: list[Block], scratch: Path, name: str) -> str:
    """One shell for the whole document, as for a reader: what it exports stays."""
    lines = ["set -eo pipefail"]
    for block in found:
        if block.language == INTERRUPT:
            lines.append('for group in $(jobs -p); do kill -INT -- -"$group"; done; wait')
        if block.language != "sh" or block.not_run:
            continue
        file = scratch / f"block-{block.line}.sh"
        file.write_text(block.text)
        lines.append(f"echo '== {name}:{block.line}' >&2")
        if block.until:
            wanted = shlex.quote(block.until)
            output = shlex.quote(str(scratch / f"block-{block.line}.out"))
            lines += [
                # A process group of its own, as at a terminal: for Ctrl-C.
                f"set -m; ( . {file} ) > {output} 2>&1 & set +m",
                f"for i in $(seq {_WAIT * 10}); do",
                f"  grep -qF {wanted} {output} && break; kill -0 $! || break; sleep 0.1",
                "done",
                f"cat {output} >&2; grep -qF {wanted} {output}",
            ]
        elif block.code:
            lines.append(f"code=0; ( . {file} ) || code=$?; [ $code = {block.code} ]")
        else:
            lines.append(f". {file}")
    return "\n".join(lines) + "\n"


def main(document: str, scratch: str, programs: str) -> int:
    """Play the document; the exit code."""
    place, name = Path(scratch), Path(document).name
    environment = prepare(place)
    environment["PATH"] = f"{programs}:/usr/local/bin:/usr/bin:/bin"
    file = place / "document.sh"
    found = blocks(Path(document).read_text(encoding="utf-8"))
    file.write_text(script(found, place, name))
    # What a document calls `.venv/bin/…` after it said `make setup`.
    (place / "here" / ".venv").mkdir()
    (place / "here" / ".venv" / "bin").symlink_to(programs)
    return subprocess.run(
        ["bash", file], cwd=place / "here", env=environment, stdin=subprocess.DEVNULL, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
