"""Runs the examples of every `--help` against real programs: `python examples.py SCRATCH BIN`.

In namespaces as `place.py` has them. A server answers at https://jobs.example.com, an agent `web-7`
serves it, and what an example takes for given (files, tokens, a job called `nightly`) is there.
What takes something away comes last. Prints what did not end with 0; exit code 1 then.
"""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.docs.place import prepare
from tests.support.receiver import Receiver

URL = "https://jobs.example.com"
LOSSES = ("delete", "revoke", "rotate-token", "drain", "logout", "unregister", "dev", "pause")
"""Commands that take something away, or block others; they come after all others."""
RUN_ON = ("remote-server dev", "remote-server run", "remote-agent run")
READY = re.compile("Ctrl-C ends both|token is in|online")
BEFORE = {
    "remotectl queue delete berlin": "remotectl queue edit default --default; "
    "for agent in $(remotectl agent list -q); do "
    "remotectl agent set $agent --queue default; done",
    "remotectl queue create berlin": "remotectl agent set web-7 --queue default; "
    "remotectl queue delete berlin",
    "remotectl registration-token create": "rm token",
    # With the queue berlin, its agents' right to serve it was deleted.
    "remote-agent register": "remotectl agent set web-7 --queue default --queue berlin; rm token; "
    "remotectl registration-token create --output-file token --queue default --queue berlin",
    "remote-agent run --server": "rm token; "
    "remotectl registration-token create --output-file token --queue default",
    # All is well: nothing is paused, and the agent has its queues.
    "remote-agent doctor": "remote-agent resume; remotectl agent resume web-7; rm token; "
    "remotectl queue create berlin; remotectl queue resume default; remotectl queue resume berlin; "
    "remotectl agent set web-7 --queue default --queue berlin; "
    "remotectl registration-token create --output-file token --queue default --queue berlin",
    "remotectl run --queue berlin": "remotectl agent set web-7 --queue default --queue berlin",
    "remotectl webhook": "remotectl webhook create alarm --to $HOOK --event job.ended",
    "remotectl webhook test": "remotectl webhook update alarm --to $HOOK",
    "remotectl webhook create": "remotectl webhook delete alarm; remotectl webhook delete hosts; "
    "rm hosts.secret",
    "remotectl run --queue berlin --secret": "remotectl agent set web-7 --queue default "
    "--queue berlin; echo hush | remotectl secret set PGPASSWORD --queue berlin",
    "remotectl group": "remotectl run --each --detach -- true",
    "remotectl secret": "remotectl queue create paris; "
    "echo hush | remotectl secret set PGPASSWORD --queue berlin",
    "remotectl job artifacts": "remotectl run --shell sh -- 'mkdir $REMOTE_ARTIFACTS/report; "
    "echo x > $REMOTE_ARTIFACTS/report/index.html'; until remotectl job artifacts list @last "
    "| grep -q complete; do sleep 0.1; done; rm -rf results report index.html",
    "remotectl context delete work": "remotectl login --url $URL --context work < admin-token",
}
"""What the reader's world is like before an example that needs it to be otherwise."""
_COMMAND = re.compile(r" *(export|source|([A-Z_]+=\S+ )*(remotectl|remote-agent|remote-server))\b")
NOT_RUN = {
    "source <(remotectl completion zsh)": "zsh is not everywhere",
    "remotectl run --image python:3.13-slim --memory 1GiB --file job.py -- python3 job.py": (
        "tests/containers runs such jobs, with an engine"
    ),
    **dict.fromkeys(
        (
            "remote-agent service install --server https://jobs.example.com --token-file token",
            "remote-agent service status",
            "remote-agent service restart",
            "remote-agent service uninstall",
        ),
        "tests/systemd runs them, in a booted systemd",
    ),
    **dict.fromkeys(
        (
            "remotectl datahub ingest recipe.yml",
            "remotectl datahub ingest recipe.yml --queue berlin",
            "remotectl datahub ingest recipe.yml --queue berlin --test-connection",
            "remotectl datahub ingest recipe.yml --cli-version 1.7.0.17 --plugin mysql --detach",
            "envsubst <recipe.tpl | remotectl datahub ingest - --secret DATAHUB_GMS_TOKEN",
            "remotectl datahub report @last",
            "remotectl datahub report @last --output json",
        ),
        "tests/ingestion runs recipes, with DataHub",
    ),
}


def examples_of(command: click.Command, context: click.Context) -> Iterator[str]:
    """The lines of the examples of a command and those below it."""
    yield from lines(context.get_help())
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from examples_of(below, click.Context(below, info_name=name, parent=context))


def lines(text: str) -> Iterator[str]:
    """The commands under `Example:` or `examples:`; a backslash continues one."""
    within, line = False, ""
    for part in text.splitlines():
        if match := re.match(r" *[Ee]xamples?:(.*)", part):
            within, part = True, match[1]
        if within and (line or _COMMAND.match(part)):
            line += part.strip().removesuffix("\\")
            if not part.endswith("\\"):
                yield line
                line = ""
        elif part.strip():
            within = False


def all_examples(programs: Path) -> list[str]:
    """Every example once: those that take something away at the end."""
    from remote_agent.cli.parser import build_parser
    from remote_server.cli.commands import commands as server

    found: list[str] = []
    # The package of that name gives its function `main` for its module.
    client = importlib.import_module("remote_client.cli.main").root
    for name, root in (("remotectl", client), ("remote-server", server)):
        found += examples_of(root, click.Context(root, info_name=name, max_content_width=200))
    for action in build_parser()._actions:
        for below in (getattr(action, "choices", None) or {}) if action.nargs == "A..." else {}:
            found += lines(action.choices[below].format_help())  # type: ignore[index]
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda text: any(f" {loss}" in text for loss in LOSSES))


ENDLESS = (
    "remote-agent logs -f",
    "remotectl agent logs -f web-7",
    "remotectl audit --follow --output json",
)
"""Examples that go on until Ctrl-C."""


class World:
    """The place and its programs."""

    def __init__(self, scratch: Path, programs: Path, receiver: Receiver) -> None:
        self.here = scratch / "here"
        self.job = ""
        self.environment = prepare(scratch)
        stubs = scratch / "stubs"
        self.environment |= {
            "PATH": f"{programs}:{stubs}:/usr/local/bin:/usr/bin:/bin",
            "REMOTE_CA_FILE": str(self.here / "cert.pem"),
            "REMOTE_AGENT_CA_FILE": str(self.here / "cert.pem"),
            # Example after example may begin with a server that has come back.
            "REMOTE_AGENT_SERVER_MAX_RECONNECT_WAIT": "1s",
            "URL": URL,
            "HOOK": receiver.url,
        }
        # Programs of the reader's own.
        stubs.mkdir()
        for name in ("psql", "backup", "jq", "pass"):
            (stubs / name).write_text("#!/bin/sh\n[ -t 0 ] || cat\necho\n")
            (stubs / name).chmod(0o755)
        ssh = scratch / "home/.ssh"
        ssh.mkdir()
        (ssh / "deploy").write_text("a key\n")
        for name in ("report.sql", "conf/prod.toml", "train.py", "Makefile"):
            (self.here / name).parent.mkdir(exist_ok=True)
            (self.here / name).write_text("")
        for folder in ("/var/lib/backups", scratch / "home/.config/fish/completions"):
            Path(folder).mkdir(parents=True)
        self.started = [self.start("remote-server", SERVER, "listens on")]

    def sh(self, text: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a line as a reader would."""
        return subprocess.run(
            ["bash", "-c", text], cwd=self.here, env=self.environment | more, text=True,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=300, check=False,
        )  # fmt: skip

    def must(self, text: str) -> str:
        """The output of a line that must work."""
        done = self.sh(text)
        assert done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def start(self, name: str, text: str, ready: str, **more: str) -> subprocess.Popen[bytes]:
        """Start what runs on, and wait until it says that it is ready."""
        output = self.here.parent / f"{name}.{time.monotonic_ns()}.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {text}"],
                cwd=self.here, env=self.environment | more, stdin=subprocess.DEVNULL,
                stdout=file, stderr=file,
            )  # fmt: skip
        ends = time.monotonic() + 120
        while not re.search(ready, output.read_text()):
            assert process.poll() is None and time.monotonic() < ends, output.read_text()
            time.sleep(0.05)
        return process

    def agent(self) -> None:
        """web-7 is registered and connected, in both queues."""
        self.must(f"remotectl login --url {URL} --context dev < admin-token")
        self.sh("remotectl queue create berlin")
        runs = len(self.started) > 1 and self.started[-1].poll() is None
        if runs and "online" in self.sh("remotectl agent show web-7").stdout:
            return
        if runs:
            self.started[-1].terminate()
            self.started[-1].wait()
        shutil.rmtree("/var/lib/remote-agent", ignore_errors=True)
        self.must(
            "rm -f token; remotectl registration-token create --allow-replace --queue default "
            "--queue berlin --output-file token"
        )
        self.must(
            f"remote-agent register --server {URL} --token-file token --name web-7 --replace "
            "--queue default --queue berlin --label gpu=true --capacity 4"
        )
        self.started.append(self.start("remote-agent", "remote-agent run", "online"))

    def try_out(self, example: str) -> str:
        """Run one example; what went wrong, or nothing."""
        shutil.copy(self.here / "admin-token", self.here / "token")
        if any(f" {loss}" in example for loss in LOSSES) or "remote-agent" in example:
            self.agent()
        for beginning, line in BEFORE.items():
            if example.startswith(beginning):
                self.sh(line)
        text = self.filled(example)
        if any(line in text for line in RUN_ON):
            folder = self.here.parent / f"own-{time.monotonic_ns()}"
            own = {"REMOTE_SERVER_DATA_DIR": str(folder), "REMOTE_AGENT_STATE_DIR": str(folder)}
            try:
                if text == "remote-agent run":
                    return ""  # what `agent` has started
                process = self.start("example", text, READY.pattern, **own)
            except AssertionError as error:
                return str(error)
            process.terminate()
            return "" if process.wait(120) == 0 else f"it ended with {process.returncode}"
        if text in ENDLESS:
            text = f"timeout 2 {text}; [ $? = 124 ]"
        alone = ("remote-server migrate", "remote-server check --repair", "remote-server secret")
        apart = text.startswith(alone)
        if apart:  # nobody else may work on the database
            self.started[0].terminate()
            self.started[0].wait()
        done = self.sh(text)
        if apart:
            self.started[0] = self.start("remote-server", SERVER, "listens on")
        return "" if done.returncode == 0 else f"{done.returncode}: {done.stdout}{done.stderr}"

    def filled(self, example: str) -> str:
        """The example with what stands for something of the reader's own."""
        if "01JD3" in example:
            self.run_job()
        text = example.replace("01JD3", self.job).replace("--idle 90s", "--idle 1s")
        if "rpt_…" in text:
            text = text.replace("rpt_…", self.must("cat admin-token"))
        if "rrt_…" in text:
            made = "remotectl registration-token create --queue default --queue berlin"
            text = text.replace("rrt_…", self.must(made))
        if "# by the browser" in text:
            text = text.partition("#")[0].replace("--role operator", "") + "< admin-token"
        if re.match(r"remotectl secret set \w+ --queue \w+$", text):
            text = f"echo hush | {text}"  # at a terminal it asks
        if "replay alarm 01" in text:
            self.sh("remotectl webhook test alarm")
            made = self.must("remotectl webhook deliveries alarm --limit 1 -q")
            text = re.sub(r"alarm \w+", f"alarm {made}", text)
        if "revoke 01" in text:
            kind = text.split()[1]
            name = "--role viewer --name x" if kind == "token" else ""
            made = self.must(f"remotectl {kind} create {name} --output json")
            found = re.search(r'"id": "(\w+)"', made)
            assert found
            text = re.sub(r"revoke \w+", f"revoke {found[1]}", text)
        return text.replace("/backups/", "/var/lib/backups/")

    def run_job(self) -> None:
        """A job called `nightly` that web-7 has run; its log is kept there."""
        self.must("remotectl run --name nightly -- echo done")
        self.job = self.must("remotectl job list --limit 1 -q")


SERVER = (
    "REMOTE_SERVER_WEBHOOKS_ALLOWED_NETWORKS=127.0.0.0/8 "
    "remote-server run --listen :443 --tls-cert cert.pem --tls-key key.pem"
)
CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
    "-subj /CN=jobs.example.com -addext subjectAltName=DNS:jobs.example.com,IP:127.0.0.1 "
    "-keyout key.pem -out cert.pem"
)


def main(scratch: str, programs: str) -> int:
    """Try all out; the exit code."""
    place = Path(scratch)
    (place / "here").mkdir()
    subprocess.run(CERTIFICATE.split(), cwd=place / "here", check=True, stderr=subprocess.DEVNULL)
    with Receiver() as receiver:
        return try_all(World(place, Path(programs), receiver), place, programs)


def try_all(world: World, place: Path, programs: str) -> int:
    """Try all examples; the exit code."""
    shutil.copy("/var/lib/remote-server/admin-token", place / "here" / "admin-token")
    for context in ("work", "dev"):
        world.must(f"remotectl login --url {URL} --context {context} < admin-token")
    world.must("remotectl queue create berlin")
    found, wrong = all_examples(Path(programs)), 0
    world.agent()
    world.run_job()
    for example in found:
        if example.partition("  #")[0].strip() in NOT_RUN:
            continue
        began = time.monotonic()
        said = world.try_out(example)
        print(
            f"{'WRONG' if said else 'ok   '} {time.monotonic() - began:5.1f} s  {example}",
            flush=True,
        )
        if said:
            wrong += 1
            print(said, flush=True)
    print(f"{len(found)} examples, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
