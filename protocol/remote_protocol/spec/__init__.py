"""What a user asks for: the specification of a job and its policies. Pure.

One model serves the HTTP body, the stored row and the offer to an agent, so that nothing is
translated and nothing can get lost on the way. Limits are part of the type.

Every kind of job that the programs know themselves is imported here, and thereby known; nothing
else in the protocol names one. Extensions have more (`remote_protocol.extensions`).
"""

from remote_protocol.files import JobFile
from remote_protocol.spec.bundle import Bundle
from remote_protocol.spec.command import CommandSpec
from remote_protocol.spec.container import ContainerSpec, Mount
from remote_protocol.spec.job import DEFAULT_QUEUE, JobSpec, OnDisconnect, OnReturn
from remote_protocol.spec.kinds import DEFAULT_KIND
from remote_protocol.spec.python import PythonSpec

__all__ = [
    "DEFAULT_KIND",
    "DEFAULT_QUEUE",
    "Bundle",
    "CommandSpec",
    "ContainerSpec",
    "JobFile",
    "JobSpec",
    "Mount",
    "OnDisconnect",
    "OnReturn",
    "PythonSpec",
]
