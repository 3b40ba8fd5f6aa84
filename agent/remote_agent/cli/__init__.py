"""The command line `remote-agent`. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import sys

from remote_agent import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 done, 1 fatal, 2 usage, 3 update, 4 token)."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["_shim"]:
        # A frozen binary starts its shims through itself: nothing else may be imported there.
        from remote_agent.shim import enter

        return enter(given[1:])
    if given in (["version"], ["--version"]):
        print(f"remote-agent {__version__}")
        return 0
    from remote_agent.cli.parser import build_parser
    from remote_agent.errors import AgentError

    options = build_parser().parse_args(given)
    try:
        code: int = options.run(options)
    except AgentError as error:
        print(f"remote-agent: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code
