"""Runs a module of the working copy in the Windows Python: `inside.py ROOT MODULE [ARGUMENT …]`.

ROOT is the working copy, as Linux names it. `python` in MODULE's place runs a statement.
"""

from __future__ import annotations

import os
import runpy
import sys

root = "Z:" + sys.argv[1].replace("/", "\\")
sys.path[:0] = [root, *(f"{root}\\{dist}" for dist in ("agent", "protocol", "datahub"))]
# For the Pythons that a test starts; neither shims nor jobs have it.
os.environ["PYTHONPATH"] = ";".join(sys.path[:3])
module, sys.argv = sys.argv[2], sys.argv[2:]
if module == "python":
    exec(sys.argv[1])
else:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
