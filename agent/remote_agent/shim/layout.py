"""Names inside an attempt's directory and the version of its contract. Constants only.

`docs/attempt-directory.md` explains them. A newer agent meets directories that an older shim
keeps, so a name is never given another meaning.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
"""Version of the start order, the records and the control messages."""
ORDER: Final = "attempt.jsonl"
"""First line: what the shim needs (`order.Order`). Second line: the offer as it came."""
STARTED: Final = "started.json"
"""Made empty, with O_EXCL, before the job is spawned: an attempt starts once (I1). Then it gets
the pids. One file for both: making a file is the most expensive thing a shim does."""
EXIT: Final = "exit.json"
DRAFT: Final = ".tmp"
"""Ends the name of a file that is not yet what its name says. Directories that are used again have
such files already, empty: making and deleting files is dear."""
KEY: Final = "key"
"""Of the records of a start and of an end: whose they are."""
CLEAN: Final = "clean"
"""Field of the exit record: the shim has seen the last process of the job end."""
CONTROL: Final = "control"
"""Datagram socket of the living shim; a second name of that in `SHIMS`."""
SETTLED: Final = "settled"
"""Made by the agent when the server needs nothing more of the attempt."""
SCRIPT: Final = "script"
OUTPUTS: Final = "outputs"
ARTIFACTS: Final = "artifacts"
ARTIFACT_LIST: Final = "artifacts.json"
"""Record of the files in `artifacts` that are to be sent; the agent removes it when they are."""
WORK: Final = "work"
INPUT: Final = "input"
"""The job's input as far as it has come; the agent appends, the shim feeds it to the job."""
INPUT_END: Final = "input.end"
"""Record with the `size` of the complete input."""
MASK_FILE: Final = "mask"
"""FIFO by which a job with secrets names values that must not be seen in its log."""
TEMPORARY: Final = "tmp"
AGENT_SOCKET: Final = "../../agent.sock"
"""The agent's datagram socket, as seen from an attempt's directory."""
SHIMS_FOLDER: Final = "shims"
SHIMS: Final = f"../../{SHIMS_FOLDER}"
"""Folder with a socket for each reused shim, named by its pid, as seen from an attempt's
directory."""
CONTACT: Final = "../../contact"
"""When the server was last there (`contact`), as seen from an attempt's directory."""
NEVER_BEGUN: Final = "never_begun"
"""Option of the workload `process`: path of a file in which the job's first process says why the
job itself could not begin."""
SOCKET: Final = "socket"
WORDS: Final = "words"
ENTER: Final = "enter"
"""Options of the workload `forked`: the path of the warm interpreter's socket, what follows
`python -u` in the job's command, and whether the job is in the interpreter's environment, whose
place only that knows."""
INTERPRETER_MARK: Final = "REMOTE_INTERPRETER"
"""Variable of warm interpreters, by whose value others know what they have forked."""
KEEP_MARK: Final = "REMOTE_KEEP_PROCESSES"
"""Environment name of jobs whose processes may outlive them; guards do not kill those."""
