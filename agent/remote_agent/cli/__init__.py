"""The command line `remote-agent`. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import gc
import os
import sys

from remote_agent import __version__


def open_streams() -> None:
    """Have all three standard streams: what was closed (`2>&-`) becomes empty, as in a service, and
    so does what names a console that is not there, as in an action of an MSI."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None or not _usable(number):
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _serve() -> int:
    """Be the service that the service control manager of Windows has started; the exit code."""
    # Before all else: the manager waits only so long, and to load the rest takes a moment.
    from remote_agent.processes import serve

    def body() -> int:
        from remote_agent.service.process import run_service

        return run_service(lambda: main(["run"]))

    try:
        return serve("remote-agent", body)
    except OSError as error:
        why = error.strerror or error
        print(f"remote-agent: this was not started as a service: {why}", file=sys.stderr)
        return 1


def _under_launchd() -> int:
    """Be the service that launchd has started; the exit code for it."""
    from remote_agent.service.process import run_under_launchd

    return run_under_launchd(lambda: main(["run"]))


def _usable(number: int) -> bool:
    """Whether a standard stream leads anywhere: on Windows a console can be gone."""
    try:
        return hasattr(os, "geteuid") or number == 0 or os.write(number, b"") == 0
    except OSError:
        return False


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code (0 done, 1 fatal, 2 usage, 3 restart, 4 token)."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["_shim"]:
        # A frozen binary starts its shims through itself: nothing else may be imported there.
        from remote_agent.shim.__main__ import main as shim

        return shim(given[1:])
    open_streams()
    if given == ["_service"]:
        return _serve()
    if given == ["_launchd"]:
        return _under_launchd()
    if given == ["help"]:
        given = ["--help"]
    if given in (["version"], ["--version"], ["-V"]):
        print(f"remote-agent {__version__}")
        return 0
    from remote_agent.left_out import load_schemas

    load_schemas()
    from remote_agent.cli.parser import parse
    from remote_agent.errors import AgentError

    try:
        options = parse(given)
        if not gc.isenabled():  # It is off while the program is loaded.
            gc.freeze()  # What is loaded stays: nobody looks for garbage in it, now or at the end.
            gc.enable()
        code: int = options.run(options)
        sys.stdout.flush()
    except AgentError as error:
        from remote_protocol.printable import printable

        # A server, or a proxy, may have its words in it.
        print(f"remote-agent: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:
        _drop_output()  # the reader (`head`) has gone
        return 0
    except OSError as error:  # a full disk
        _drop_output()
        where = error.filename or "standard output"
        print(f"remote-agent: {where}: {error.strerror or error}", file=sys.stderr)
        return 1
    except SystemExit as end:
        # argparse: 0 after --help, 2 after a usage error.
        return end.code if isinstance(end.code, int) else 1
    return code


def _drop_output() -> None:
    # Python would complain again when it flushes at its exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
