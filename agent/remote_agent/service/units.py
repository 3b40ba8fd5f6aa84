"""What systemd is told of the agent: its units, and the profiles for its jobs. Pure.

`installers/systemd/` holds the same texts for packages and for reading; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

AGENT: Final = "remote-agent.service"
JOBS: Final = "remote-agent-jobs.service"
SLICE: Final = "remote-agent.slice"
ACCOUNT: Final = "remote-agent"
"""The user that the service has when no other is named."""
STATE_DIR: Final = "/var/lib/remote-agent"
CONFIG_DIR: Final = "/etc/remote-agent"
PROGRAM_DIR: Final = "/var/lib/remote-agent-program"
"""Where a binary that root calls unpacks itself."""
USER_RANGE: Final = "80000-89999"
"""Users of jobs where the profile `users` is chosen and the configuration names none."""

_AGENT: Final = """\
# Written by a package or by: remote-agent service install
# What you change belongs into a drop-in: systemctl edit remote-agent
[Unit]
Description=Agent that runs jobs of a remote-server on this host
Wants=network-online.target
# Jobs live in a service of their own, and outlive this one.
Requires={jobs}
After=network-online.target nss-user-lookup.target {jobs}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
Slice={slice}
ExecStart={program} run
# Small hosts have no /bin/kill.
ExecReload=/bin/sh -c "kill -HUP $$MAINPID"
EnvironmentFile=-{config_dir}/agent.env
Environment=REMOTE_AGENT_STATE_DIR={state_dir}
StateDirectory=remote-agent
StateDirectoryMode=0700
ConfigurationDirectory=remote-agent
# A registration token, needed only once; - stands for none.
LoadCredential=token:{config_dir}/token
SetCredential=token:-
Restart=always
RestartSec=1s
# 0: it was told to end (drain, SIGTERM). 4: the server refuses its token, which an admin must mend.
RestartPreventExitStatus=0 4
# The event loop has not turned for so long. Jobs outlive the restart.
WatchdogSec=30s
TimeoutStartSec=90s
TimeoutStopSec=90s
KillMode=process
OOMPolicy=continue
TasksMax=infinity
UMask=0077

# Profile strict. It holds for jobs, too: profiles for those that need more are drop-ins.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
# Not PrivateTmp=: systemd would delete it under the jobs that run on when the agent is restarted.
TemporaryFileSystem=/tmp:mode=1777 /var/tmp:mode=1777
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=no
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
_JOBS: Final = """\
# Written by a package or by: remote-agent service install
# The control group of all jobs and their shims. They outlive restarts of the agent; stopping this
# service kills them and stops the agent.
[Unit]
Description=Jobs of remote-agent

[Service]
Type=exec
User={user}
Slice={slice}
# Keeps the group until the agent comes.
ExecStart=/bin/sleep infinity
# Processes move from the agent's group to this one: that takes the right to do so in the slice.
ExecStartPost=-+/bin/chown {user} /sys/fs/cgroup/remote.slice/{slice}/cgroup.procs
RemainAfterExit=yes
Delegate=yes
KillMode=control-group
KillSignal=SIGKILL
# That is how it ends, and no failure.
SuccessExitStatus=SIGKILL
OOMPolicy=continue
TasksMax=infinity
"""
_HEAD: Final = "# Written by: remote-agent service install --profile {name}\n"
_USERS: Final = """\
# Jobs are users of their own ([jobs] run_as or user_range): they cannot reach the agent, its token
# or each other. The agent may become other users and own what is theirs; its jobs may not.
[Service]
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID
AmbientCapabilities=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID
StateDirectoryMode=0711
ProtectProc=default
UMask=0022
"""
_OPEN: Final = """\
# Jobs may do what the agent's user may do in a shell, sudo included.
[Service]
NoNewPrivileges=no
CapabilityBoundingSet=~
ProtectSystem=no
ProtectHome=no
TemporaryFileSystem=
PrivateDevices=no
ProtectClock=no
ProtectHostname=no
ProtectKernelLogs=no
ProtectKernelModules=no
ProtectKernelTunables=no
ProtectProc=default
RestrictAddressFamilies=
RestrictNamespaces=no
RestrictRealtime=no
RestrictSUIDSGID=no
LockPersonality=no
SystemCallArchitectures=
SystemCallFilter=
UMask=0022
"""
PROFILES: Final = {"strict": "", "users": _USERS, "open": _OPEN}
"""By name; the unit itself is the strict one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What an installation decides."""

    program: str
    """The path of `remote-agent`, absolute."""
    user: str = ACCOUNT
    profile: str = "strict"
    user_range: str | None = None
    """Set where the configuration names no users of jobs."""
    password: str | None = field(default=None, repr=False)
    """Of the account, on Windows, where it has one."""


def agent_unit(choice: Choice) -> str:
    """The unit of the agent."""
    return _filled(_AGENT, choice)


def jobs_unit(choice: Choice) -> str:
    """The unit that its jobs live in."""
    return _filled(_JOBS, choice)


def profile_drop_in(choice: Choice) -> str:
    """The drop-in of a profile; empty for none."""
    text = PROFILES[choice.profile]
    if not text:
        return ""
    if choice.user_range is not None:
        text += f"Environment=REMOTE_AGENT_JOBS_USER_RANGE={choice.user_range}\n"
    return _HEAD.format(name=choice.profile) + text


def _filled(text: str, choice: Choice) -> str:
    return text.format(
        jobs=JOBS,
        slice=SLICE,
        user=choice.user,
        program=quoted(choice.program),
        config_dir=CONFIG_DIR,
        state_dir=STATE_DIR,
    )


def quoted(path: str) -> str:
    """A path as a word of ExecStart= (systemd.service(5): quotes, `%` and `$` are special)."""
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(c.isspace() or c in "\"';" for c in path) else text
