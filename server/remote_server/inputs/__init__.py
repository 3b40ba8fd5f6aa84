"""The inputs of jobs: what users send to the standard input of a job, kept until it has ended."""

from remote_server.inputs.store import Input, InputStore, InputUnavailable

__all__ = ["Input", "InputStore", "InputUnavailable"]
