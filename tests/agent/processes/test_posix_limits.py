"""The limit of open files: raised for the agent, given back to what it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import json, os, resource, sys
from pathlib import Path
from remote_agent.processes import raise_descriptors, start_detached
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
before = raise_descriptors()
again = raise_descriptors()
mine = resource.getrlimit(resource.RLIMIT_NOFILE)
words = [sys.executable, "-c", "import sys; sys.stdin.read(); import os; os.system('ulimit -n')"]
reads, writes = os.pipe()
child = start_detached(words, {}, Path(sys.argv[1]), descriptors=before[0], stdin=reads)
os.close(writes)  # it has its limit now, and goes on
child.wait()
print(json.dumps([before, again, mine]))
"""


def test_raised_here_and_as_before_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(log)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [[100, 300], [300, 300], [300, 300]]
    assert log.read_text().strip() == "100"


def test_lowered_again_for_itself() -> None:
    script = """
import json, resource
from remote_agent.processes import lower_descriptors, raise_descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
lower_descriptors(raise_descriptors()[0])
print(json.dumps(resource.getrlimit(resource.RLIMIT_NOFILE)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(done.stdout) == [100, 300]
