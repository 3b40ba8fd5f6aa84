"""Defaults that are made anew."""

from __future__ import annotations

import subprocess
import sys

from remote_protocol.defaults import empty_list
from remote_protocol.messages import Platform


def test_each_object_has_a_list_of_its_own() -> None:
    assert empty_list() == [] and empty_list() is not empty_list()
    one, other = Platform(), Platform()
    assert one.kinds == [] and one.kinds is not other.kinds


def test_no_model_has_pydantic_read_a_signature_from_a_text() -> None:
    program = (
        "import inspect\n"
        "def refuse(*args, **kwargs): raise AssertionError(f'the signature of {args[1]}')\n"
        "inspect._signature_fromstr = refuse\n"
        "from remote_agent.config import Config\n"
        "from remote_protocol import api, codec\n"
        "Config.model_rebuild()\n"
        "codec.make_agent_ready()\n"
        "codec.make_server_ready()\n"
    )
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
