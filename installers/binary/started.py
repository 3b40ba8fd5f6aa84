"""The first thing that runs in every process of a binary: a runtime hook of PyInstaller.

Keeps the program's directory from being removed as long as this process, or one forked from it,
lives; and gives back the environment that it was started with, so that no child finds libraries
of ours. Touches the environment and a lock.
"""

import os
import sys


def _hold() -> None:
    """Take the shared lock of the program's directory (unpacker/store.go).

    The unpacker hands its own over; that stays open when this process executes the program again
    (children of `subprocess` have none of it). A process that the program starts from its own
    file, as the launcher of the shims, takes one: its starter still has another meanwhile.
    """
    import fcntl

    if os.environ.pop("_REMOTE_HELD_DIRECTORY", None) is not None:
        return
    directory = os.open(os.path.dirname(sys.executable), os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(directory, fcntl.LOCK_SH)


def _restore_environment() -> None:
    """PyInstaller's bootloader puts the program's libraries before the host's."""
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        original = os.environ.pop(f"{name}_ORIG", None)
        os.environ.pop(name, None)
        if original is not None:
            os.environ[name] = original
    for name in [name for name in os.environ if name.startswith(("_PYI_", "_MEIPASS"))]:
        del os.environ[name]


if sys.platform != "win32":
    _hold()
_restore_environment()
