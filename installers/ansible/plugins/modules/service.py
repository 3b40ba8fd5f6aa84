"""The module `service`: the agent as a service of a Linux host, by `remote-agent service`."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: service
author: The authors of remote-agent
version_added: 0.1.0
short_description: Installs, restarts and removes the service of remote-agent
description:
  - Has C(remote-agent service) make account and units, start the agent, and wait until it is
    online.
  - A token is handed over on standard input. It lies in C(/etc/remote-agent/token) until the
    agent is registered.
  - Running jobs run on through a restart of the agent.
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: Shows the service before and after.
options:
  program:
    description: Path of C(remote-agent) on the host.
    type: path
    default: /usr/local/bin/remote-agent
  state:
    description: Whether there is to be a service.
    type: str
    choices: [present, absent]
    default: present
  server:
    description: Address of the server that the agent is to be registered at. By default, any.
    type: str
  token:
    description: Registration token, for an agent that is not registered yet.
    type: str
  user:
    description: Account of the service. Left as it is when it is not given.
    type: str
  profile:
    description: What jobs may do. Left as it is when it is not given.
    type: str
    choices: [strict, users, open]
  deadline:
    description: How long to wait for the connection.
    type: str
    default: 60s
  restart:
    description: Restart an agent that runs, because its settings are changed by this run.
    type: bool
    default: false
  drain:
    description: Let jobs finish before another version is started, or the service is removed.
    type: bool
    default: false
  drain_deadline:
    description: Cancel what still runs then. Not given, wait for as long as it takes.
    type: str
  force:
    description: Remove the service even while jobs run or results have not reached the server.
    type: bool
    default: false
"""

EXAMPLES = """
- name: Start what was installed
  remote.agent.service:
    profile: users
"""

RETURN = """
registered:
  description: Whether the agent is registered at C(server).
  type: bool
  returned: success
online:
  description: Whether it has connected. False in check mode.
  type: bool
  returned: success
lines:
  description: What C(remote-agent service) printed.
  type: list
  elements: str
  returned: when it was called
"""

STATE_DIR = "/var/lib/remote-agent"
CONFIG_DIR = "/etc/remote-agent"
TOKEN_FILE = f"{CONFIG_DIR}/token"
SETTINGS = ("agent.toml", "agent.env", "ca.pem")
"""What the agent reads at its start."""
IN_EFFECT = f"{CONFIG_DIR}/.in-effect"
"""Holds the digest of the settings that the agent was started with: a run that ends between
writing them and the restart is made good by the next one."""
UNIT = "/etc/systemd/system/remote-agent.service"
_MOST = 64 * 1024
"""Characters of an identity."""
_LOOK = 0.5
"""Seconds between two looks at an agent that drains."""


class Service:
    """The service of this host, by way of the program."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._params: dict[str, Any] = module.params
        self._program: str = module.params["program"]
        self.lines: list[str] = []

    @property
    def has_program(self) -> bool:
        """Whether the program is there."""
        return os.access(self._program, os.X_OK) and os.path.isfile(self._program)

    def state(self) -> dict[str, Any]:
        """What the service manager knows of it; `installed` is false where there is none."""
        if not self.has_program:
            return {"installed": os.path.exists(UNIT)}
        code, out, err = self._run("status", "--output", "json", may_fail=True)
        try:
            found: dict[str, Any] = json.loads(out)
        except ValueError:
            self._fail(f"{self._program} service status ended with {code}: {err or out}")
            raise AssertionError from None  # _fail does not return
        return found

    def registered(self) -> bool:
        """Whether there is an identity, of the wanted server. Its token is not looked at."""
        try:
            server = json.loads(_read(f"{STATE_DIR}/identity.json")).get("server", "")
        except (OSError, ValueError, AttributeError):
            return False
        wanted = self._params["server"]
        return not wanted or str(server).rstrip("/").lower() == wanted.rstrip("/").lower()

    def differences(self, state: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """What is to be another: name, value now, value wanted."""
        wanted: dict[str, Any] = {
            "service": "installed",
            "program": self._program,
            "active": "active",
            "registered": True,
        }
        wanted.update({key: self._params[key] for key in ("user", "profile") if self._params[key]})
        found = {**state, "registered": self.registered()}
        found["service"] = "installed" if state["installed"] else "absent"
        pairs = {key: (found.get(key), value) for key, value in wanted.items()}
        if state.get("outdated"):
            pairs["runs"] = ("another version", "this version")
        if self._has_new_settings(state):
            pairs["settings"] = ("of before", "new")
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}

    def install(self, state: dict[str, Any]) -> bool:
        """Have the service as it is wanted, and online; whether that changed anything."""
        if state.get("outdated") and self._params["drain"]:
            self.drain()
            state = self.state()
        settings = _digest()
        words = ["--deadline", self._params["deadline"]]
        for key in ("user", "profile"):
            if self._params[key]:
                words += [f"--{key}", self._params[key]]
        if self._params["token"]:
            words += ["--token-file", "/dev/stdin"]
        _, out, _ = self._run("install", *words, data=self._params["token"])
        restarted = any(line.startswith("restarted") for line in out.splitlines())
        changed = restarted or any(line.startswith("wrote") for line in out.splitlines())
        if self._has_new_settings(state) and not restarted:
            self._run("restart", "--deadline", self._params["deadline"])
            changed = True
        _put(IN_EFFECT, settings)
        # It was needed once: the agent has a token of its own now.
        if os.path.exists(TOKEN_FILE) and self.registered():
            os.unlink(TOKEN_FILE)
            changed = True
        return changed or state.get("active") != "active"

    def _has_new_settings(self, state: dict[str, Any]) -> bool:
        """Whether it runs with others than those that are written, or about to be."""
        new = self._params["restart"] or _text(IN_EFFECT) != _digest()
        return bool(new) and state.get("active") == "active"

    def uninstall(self) -> bool:
        """Have none; whether there was any of it."""
        words = ["--force"] if self._params["force"] else []
        if self._params["drain"] and self.state().get("active") == "active":
            self.drain()
        _, out, _ = self._run("uninstall", *words)
        return "nothing to do" not in out

    def drain(self) -> None:
        """Let its jobs finish, and wait for its end."""
        words = [self._program, "drain"]
        if self._params["drain_deadline"]:
            words += ["--deadline", self._params["drain_deadline"]]
        code, out, err = self._module.run_command(words)
        if code:
            self._fail(f"remote-agent drain ended with {code}: {err or out}")
        while self.state().get("active") == "active":
            time.sleep(_LOOK)

    def _run(
        self, verb: str, *words: str, data: str | None = None, may_fail: bool = False
    ) -> tuple[int, str, str]:
        command = [self._program, "service", verb, *words]
        code, out, err = self._module.run_command(command, data=data)
        if not may_fail:
            self.lines += out.splitlines()
            if code:
                self._fail(err.strip() or out.strip() or f"service {verb} ended with {code}")
        return code, out, err

    def _fail(self, text: str) -> None:
        self._module.fail_json(msg=text.strip(), lines=self.lines)


def _digest() -> str:
    """Of all settings, those that are missing included."""
    texts = {name: _text(f"{CONFIG_DIR}/{name}") for name in SETTINGS}
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _text(path: str) -> str:
    """Of a file of root's; empty for none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _put(path: str, text: str) -> None:
    """Have a text in a file that only root can read, whenever this is interrupted."""
    if _text(path) == text:
        return
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def _read(path: str) -> str:
    """The text of a small file. Jobs may be able to put another thing there: no link is followed,
    and nothing is waited for. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, encoding="utf-8") as file:
        return file.read(_MOST)


def main() -> None:
    """Carry out one task."""
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "path", "default": "/usr/local/bin/remote-agent"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "server": {"type": "str"},
            "token": {"type": "str", "no_log": True},
            "user": {"type": "str"},
            "profile": {"type": "str", "choices": ["strict", "users", "open"]},
            "deadline": {"type": "str", "default": "60s"},
            "restart": {"type": "bool", "default": False},
            "drain": {"type": "bool", "default": False},
            "drain_deadline": {"type": "str"},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    service = Service(module)
    (_present if module.params["state"] == "present" else _absent)(module, service)


def _present(module: AnsibleModule, service: Service) -> None:
    state = service.state()
    found = service.differences(state)
    diff = {
        "before": "".join(f"{key}: {pair[0]}\n" for key, pair in found.items()),
        "after": "".join(f"{key}: {pair[1]}\n" for key, pair in found.items()),
    }
    if module.check_mode:
        module.exit_json(
            changed=bool(found), registered=service.registered(), online=False, diff=diff
        )
    if not service.has_program:
        module.fail_json(msg=f"{module.params['program']} is no program on this host")
    if not service.registered() and not module.params["token"] and not os.path.exists(TOKEN_FILE):
        module.fail_json(
            msg=f"this host is not registered at {module.params['server'] or 'a server'}, and "
            "there is no token: give a registration token"
        )
    changed = service.install(state)
    module.exit_json(
        changed=changed,
        registered=service.registered(),
        online=True,
        lines=service.lines,
        diff=diff,
    )


def _absent(module: AnsibleModule, service: Service) -> None:
    there = os.path.exists(UNIT) or os.path.exists(STATE_DIR)
    diff = {
        "before": "service: installed\n" if there else "",
        "after": "",
    }
    if not service.has_program:
        if there:
            module.fail_json(
                msg=f"{UNIT} or {STATE_DIR} is there, but not {module.params['program']}, which "
                "removes them: install the program first"
            )
        module.exit_json(changed=False, registered=False, online=False)
    changed = there if module.check_mode else service.uninstall()
    module.exit_json(
        changed=changed, registered=False, online=False, lines=service.lines, diff=diff
    )


if __name__ == "__main__":
    main()
