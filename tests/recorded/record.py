"""Records today's shim, and attempts as today's journal writes them, for the tests of tomorrow.

    .venv/bin/python tests/recorded/record.py

makes `tests/recorded/shim-<major>.<minor>/` beside this file. What is recorded is never changed
again; a record that exists is not overwritten.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import remote_agent
import remote_protocol
from remote_agent.config import Config
from remote_agent.journal.directory import write_directory
from remote_agent.planning.kinds import plan
from remote_agent.planning.order import HostContext, make_order, terms_of
from remote_agent.planning.paths import job_paths
from remote_agent.sections import AgentPart, LimitsPart
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Offer
from remote_protocol.spec import CommandSpec, JobFile, JobSpec

HERE: Final = Path(__file__).resolve().parent
STATE: Final = "@STATE@"
"""Stands for the state directory in a recorded order."""
BOOT: Final = "@BOOT@"
"""Stands for the boot id under which the directory was made."""
ENTRY: Final = "remote_agent/shim/__main__.py"
_ROOMS: Final = ("shim", "processes")
_ENVIRON: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8"}
_LOADED: Final = """
import sys
sys.path[:0] = sys.argv[1:]
import remote_agent.shim.__main__, remote_agent.shim.launcher, remote_agent.shim.worker
print(*(n for n in sys.modules if n.partition(".")[0] in ("remote_agent", "remote_protocol")))
"""
SPECS: Final = {
    "01KADVTZ7WSMA11ESTSMA11EST": CommandSpec(command=["echo", "hi"]),
    "01KADVTZ7WEVERYTH1NGEVERYT": CommandSpec(
        queue="berlin",
        name="everything",
        shell="sh",
        script=(
            "trap 'echo \"interrupted after $GREETING\"; exit 9' INT\n"
            'cat in.txt; echo "$GREETING from $REMOTE_AGENT" >&2\n'
            'echo "answer=42" > "$REMOTE_OUTPUTS"\n'
            "while :; do sleep 0.02; done\n"
        ),
        env={"GREETING": "hello"},
        files=[JobFile(path="data/in.txt", content=b64encode(b"given\n").decode())],
        cwd="data",
        timeout=60,
        grace_period=5,
        stop_signal="SIGINT",
        memory_limit=512 * 1024**2,
        weight=0.5,
        cpu_weight=50,
        io_weight=50,
        priority=3,
        labels={"gpu": "true"},
        max_attempts=3,
        retry_backoff=2,
        expires_in=60,
        max_log=1_000_000,
    ),
}
"""Jobs whose attempts are recorded: the smallest one, and one that says everything."""


def main() -> int:
    """Make the record of this version; 1 when there is one."""
    version = ".".join(remote_agent.__version__.split(".")[:2])
    target = HERE / f"shim-{version}"
    if target.exists():
        print(f"{target} exists; what was recorded is never changed", file=sys.stderr)
        return 1
    for module in _modules():
        _copy(module, target)
    for job, spec in SPECS.items():
        _record_attempt(job, spec, target / "attempts")
    print(f"recorded {target}")
    return 0


def _modules() -> list[Path]:
    """Every file that a shim loads, and the whole of its rooms."""
    roots = [Path(package.__path__[0]).parent for package in (remote_agent, remote_protocol)]
    command = [sys.executable, "-I", "-S", "-c", _LOADED, *map(str, roots)]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    found = {path for room in _ROOMS for path in (roots[0] / "remote_agent" / room).glob("*.py")}
    for name in names:
        for root in roots:
            path = root.joinpath(*name.split("."))
            places = (path.with_suffix(".py"), path / "__init__.py")
            found |= {place for place in places if place.exists()}
    return sorted(found)


def _copy(module: Path, target: Path) -> None:
    parts = module.parts
    start = max(parts.index(name) for name in ("remote_agent", "remote_protocol") if name in parts)
    copy = target.joinpath(*parts[start:])
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(module, copy)


def _record_attempt(job: str, spec: JobSpec, target: Path) -> None:
    with TemporaryDirectory() as state:
        config = Config(
            state_dir=Path(state),
            agent=AgentPart(durability="normal"),
            # A nearly full disk shall not make output wait.
            limits=LimitsPart(min_free_disk=2_000_000),
        )
        offer = Offer(attempt=AttemptId(job, 1), spec=spec)
        directory = Path(state) / "attempts" / f"{job}.1"
        directory.parent.mkdir()
        paths = job_paths(str(directory), None, None)
        work = plan(spec, paths, config)
        terms = terms_of(config, HostContext("recorder", _ENVIRON))
        order = make_order(offer, work, paths, terms)
        write_directory(str(directory), order, offer, BOOT, paths, work.files)
        shutil.copytree(directory, target / directory.name)
        written = target / directory.name / "attempt.jsonl"
        written.write_text(written.read_text().replace(state, STATE))


if __name__ == "__main__":
    sys.exit(main())
