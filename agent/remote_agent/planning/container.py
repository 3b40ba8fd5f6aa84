"""Jobs of the kind `container`: from what a job wants to the engine's command line. Pure.

What the owner of the host does not allow is refused here, in words. Nothing of a job's environment
is in the command line, which every user of the host could read: the shim hands it over in memory.
"""

from __future__ import annotations

from typing import Final

from remote_agent.config import Config
from remote_agent.planning.engine import ATTEMPT, INSTALLATION, Engine, container_name
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import NotAllowed, Work, WorkFile, work_file
from remote_agent.shim.layout import ARTIFACTS, MASK_FILE, OUTPUTS, TEMPORARY
from remote_protocol.spec import ContainerSpec, Mount

OWN_FILES: Final = (OUTPUTS,)
"""It is mounted by itself, and therefore has to be there."""
_DEFAULT_SHARES: Final = 1024
_DEFAULT_WEIGHT: Final = 100
_FIRST: Final = "default"
"""The network that an engine gives to containers for which nobody names one."""


def plan(spec: ContainerSpec, paths: JobPaths, config: Config, engine: Engine | None) -> Work:
    """What runs a container. NotAllowed when this host has no engine, or its owner does not allow
    what the job wants."""
    if engine is None:
        raise NotAllowed(
            "this agent runs no containers: its host has neither docker nor podman, or "
            "[containers] engine is off; the agent looks for them when it starts"
        )
    folders = [paths.work_dir, paths.of(ARTIFACTS), paths.of(TEMPORARY), paths.of(OUTPUTS)]
    if spec.secrets or spec.relay or spec.mask:
        folders.append(paths.of(MASK_FILE))
    create = [
        *_labels(paths.home.name, engine),
        *_limits(spec, engine),
        *_identity(spec, engine),
        *_network(spec, engine),
        *(word for folder in folders for word in ("--mount", _bind(folder, folder, False))),
        *(word for mount in spec.mounts for word in ("--mount", _allowed(mount, engine))),
    ]
    if spec.entrypoint is not None:
        create.append(f"--entrypoint={spec.entrypoint}")
    outputs = WorkFile(OUTPUTS, b"", 0o600, own=True)
    return Work(
        argv=[spec.image, *spec.command],
        files=(*(work_file(file) for file in spec.files), outputs),
        workload="container",
        options={
            "engine": engine.program,
            "environ": dict(engine.environ),
            "name": container_name(paths.home.name),
            "pull": spec.pull,
            "create": create,
            "folders": folders,
        },
        inherits=False,
    )


def _labels(key: str, engine: Engine) -> list[str]:
    return [f"--label={INSTALLATION}={engine.installation}", f"--label={ATTEMPT}={key}"]


def _limits(spec: ContainerSpec, engine: Engine) -> list[str]:
    found = [f"--pids-limit={engine.policy.pids}"]
    if spec.memory_limit is not None:
        # The same number twice: no swap beyond it.
        found += [f"--memory={spec.memory_limit}b", f"--memory-swap={spec.memory_limit}b"]
    if spec.cpu_weight is not None:
        shares = spec.cpu_weight * _DEFAULT_SHARES // _DEFAULT_WEIGHT
        found.append(f"--cpu-shares={min(262144, max(2, shares))}")
    if spec.io_weight is not None:
        found.append(f"--blkio-weight={10 + (spec.io_weight - 1) * 990 // 9999}")
    return found


def _identity(spec: ContainerSpec, engine: Engine) -> list[str]:
    if spec.user is not None and engine.separate:
        raise NotAllowed(
            f"jobs of this agent run as users of its own ([jobs]), so that none can be "
            f"{spec.user!r} in its container; leave user out, or choose another agent"
        )
    found = ["--security-opt=no-new-privileges"]
    if spec.user is not None:
        found.append(f"--user={spec.user}")
    if spec.init:
        found.append("--init")
    return found


def _network(spec: ContainerSpec, engine: Engine) -> list[str]:
    allowed = engine.policy.networks
    network = allowed[0] if spec.network is None else spec.network
    if network not in allowed:
        raise NotAllowed(
            f"this agent does not give the network {network!r} to containers; it allows "
            f"{', '.join(allowed)} ([containers] networks)"
        )
    return [] if network == _FIRST else [f"--network={network}"]


def _allowed(mount: Mount, engine: Engine) -> str:
    """A directory that the owner of the host lets jobs mount. Nothing below one: who can write
    there could put a link to anywhere in its place."""
    allowed = engine.policy.mounts
    if mount.source in allowed or (mount.read_only and f"{mount.source}:ro" in allowed):
        return _bind(mount.source, mount.target, mount.read_only)
    if f"{mount.source}:ro" in allowed:
        raise NotAllowed(f"this agent lets jobs mount {mount.source} with read_only: true only")
    shown = ", ".join(allowed) or "none"
    raise NotAllowed(
        f"this agent does not let jobs mount {mount.source}; it allows {shown} "
        "([containers] mounts)"
    )


def _bind(source: str, target: str, read_only: bool) -> str:
    """The words of a mount: fields of CSV (RFC 4180)."""
    fields = ["type=bind", f"source={source}", f"target={target}"]
    if read_only:
        fields.append("readonly")
    return ",".join(_quoted(field) for field in fields)


def _quoted(field: str) -> str:
    if "," in field or '"' in field:
        return '"' + field.replace('"', '""') + '"'
    return field
