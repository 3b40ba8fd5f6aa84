"""The machine that Ansible runs on: this one, with the collection, in the network of the host.

Nothing of it outlives a run that is killed: its processes are a PID namespace of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.systemd.host import Host
from tests.systemd.machine import Machine, until
from tests.systemd.traces import settled

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "installers" / "ansible"
BIN = ROOT / ".venv-ansible" / "bin"
# What Ansible leaves where it logs in: its own folder, and what rpm makes when asked for facts.
_ITS_OWN = re.compile("/root/[.](ansible|rpmdb)(/|$)")
PORT = 2222
HOST = "berlin-1"
TOKEN = re.compile(r"(?<!\w)r[rapj]t_[\w-]{43}(?![\w-])", re.ASCII)
_CONFIGURATION = """\
[defaults]
host_key_checking = False
interpreter_python = /usr/bin/python3
# What the role asks of a host is kept, as where many runs follow each other.
gathering = smart
fact_caching = jsonfile
fact_caching_connection = {folder}/home/facts
nocows = True
retry_files_enabled = False
[ssh_connection]
pipelining = {pipelining}
# One connection for all tasks; it ends with the run, whose processes are a namespace of their own.
ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null
control_path_dir = {folder}/ssh
"""
_PLAY = """\
- name: Have agents
  hosts: all
  # The role asks for the few that it needs; the page's play gathers all.
  gather_facts: false
  roles:
    - role: remote.agent.remote_agent
"""
_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey /root/sshd/host
AuthorizedKeysFile /root/sshd/authorized
PidFile none
UsePAM no
Subsystem sftp internal-sftp
"""


def kept(host: Host) -> set[tuple[str, str]]:
    """What is not as before on the host, but for what others write, and Ansible itself."""
    return {entry for entry in settled(host) if not _ITS_OWN.match(entry[0])}


@dataclass(frozen=True)
class Played:
    """What a run of the playbook has come to."""

    code: int
    text: str
    counts: dict[str, int]
    """`ok`, `changed`, `failed` and so on, of the first host."""

    def failure(self, host: str) -> str:
        """What the run says of the failure of one of its hosts, in one line; empty for none."""
        pattern = f"^(?:fatal|failed): \\[{host}(?: ->|\\]).*?(?=^[a-zA-Z\\[]|\\Z)"
        return " ".join(" ".join(re.findall(pattern, self.text, re.M | re.S)).split())


class Control:
    """Plays the role. `variables` are those of the host, unless a run has others."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine = machine
        self.folder = folder
        self.variables: dict[str, Any] = {}
        self.home = folder / "home"
        self.home.mkdir()
        for name, pipelining in (("ansible.cfg", True), ("slow.cfg", False)):
            (folder / name).write_text(_CONFIGURATION.format(pipelining=pipelining, folder=folder))
        (folder / "play.yml").write_text(_PLAY)
        self._reached = (
            f"ansible_host=127.0.0.1 ansible_port={PORT} ansible_user=root "
            f"ansible_ssh_private_key_file={folder}/key\n"
        )
        (folder / "hosts.ini").write_text(f"{HOST} {self._reached}")
        # The commands of the documentation are run here, too.
        for name in ("installers", "dist"):
            (folder / name).symlink_to(ROOT / name)
        self.call("ansible-galaxy", "collection", "install", "--offline", str(COLLECTION))

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(self.home / ".ansible" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
        }

    def call(self, *command: str, cwd: Path | None = None) -> str:
        """Run one of Ansible's programs, which must succeed; all it said."""
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=800, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def run(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the network of the host, and all that it starts to its end."""
        inside = [
            *("setpriv", "--pdeathsig", "KILL", "nsenter", "-t", str(self._machine.leader), "-n"),
            *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
        ]
        return subprocess.run(
            [*inside, *command], cwd=self.folder, env={**self._environment, **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=800, check=False,
        )  # fmt: skip

    def open_door(self) -> None:
        """Start an ssh server on the host that lets this machine in."""
        there = self._machine.root / "root" / "sshd"
        there.mkdir(mode=0o700)
        for key in (self.folder / "key", there / "host"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (there / "authorized").write_text((self.folder / "key.pub").read_text())
        (there / "config").write_text(_SSHD.format(port=PORT))
        unit = ["systemd-run", "-q", "--unit=test-sshd", "--property=RuntimeDirectory=sshd"]
        self._machine.call(*unit, "/usr/sbin/sshd", "-D", "-f", "/root/sshd/config")
        until(self._answers, "the host's ssh server answers")

    def _answers(self) -> bool:
        ask = f"exec 3<>/dev/tcp/127.0.0.1/{PORT} && head -c 4 <&3"
        return self._machine.run("bash", "-c", ask).stdout == "SSH-"

    def play(self, *words: str, pipelining: bool = True, **variables: Any) -> Played:
        """Run the role; `variables` come on top of the host's, None takes one away."""
        slow = {} if pipelining else {"ANSIBLE_CONFIG": str(self.folder / "slow.cfg")}
        file = self._variables("variables.json", variables)
        command = ["ansible-playbook", "-i", "hosts.ini", "-e", f"@{file}", *words, "play.yml"]
        return self._played(self.run(*command, environment=slow), HOST)

    def play_each(self, *variables: Mapping[str, Any]) -> Played:
        """The same for several hosts in one run, `case-0` and so on, all of them the one host; each
        has its own variables on top. For what fails before it changes anything."""
        names = [f"case-{number}" for number, _ in enumerate(variables)]
        folder = self.folder / "host_vars"
        folder.mkdir(exist_ok=True)
        for name, given in zip(names, variables, strict=True):
            self._variables(f"host_vars/{name}.json", given)
        (self.folder / "cases.ini").write_text("".join(f"{n} {self._reached}" for n in names))
        command = ["ansible-playbook", "-i", "cases.ini", "-f", str(len(names)), "play.yml"]
        return self._played(self.run(*command), names[0])

    def _variables(self, name: str, variables: Mapping[str, Any]) -> Path:
        given = {**self.variables, **{f"remote_agent_{key}": v for key, v in variables.items()}}
        file = self.folder / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps({key: v for key, v in given.items() if v is not None}))
        return file

    @staticmethod
    def _played(done: subprocess.CompletedProcess[str], host: str) -> Played:
        recap = re.search(f"^{host} +: (.*)$", done.stdout, re.MULTILINE)
        counts = re.findall("([a-z]+)=([0-9]+)", recap[1] if recap else "")
        return Played(done.returncode, done.stdout, {key: int(n) for key, n in counts})

    def changes(self, *words: str, **variables: Any) -> int:
        """Run the role, which must succeed; how many tasks changed something."""
        played = self.play(*words, **variables)
        assert played.code == 0 and played.counts["failed"] == 0, played.text
        return played.counts["changed"]


class ArgumentWatch:
    """Looks for tokens at arguments and environments of all processes in the network of the host,
    its own and those of Ansible, until it is left."""

    def __init__(self, machine: Machine) -> None:
        self.found: set[str] = set()
        self.seen: set[str] = set()
        self._network = os.readlink(f"/proc/{machine.leader}/ns/net")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> ArgumentWatch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            for number in filter(str.isdigit, os.listdir("/proc")):
                with suppress(OSError):  # it has ended
                    self._look(f"/proc/{number}")

    def _look(self, process: str) -> None:
        if os.readlink(f"{process}/ns/net") != self._network:
            return
        for kind in ("cmdline", "environ"):
            text = Path(process, kind).read_bytes().decode("utf-8", "replace")
            self.seen.add(text)
            self.found |= {
                f"{token[:12]} in {kind} of {text[:80]}" for token in TOKEN.findall(text)
            }
