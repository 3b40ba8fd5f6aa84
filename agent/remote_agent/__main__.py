"""Where `remote-agent` and `python -m remote_agent` begin."""

import signal
import sys

# Loading the rest takes a moment: a Ctrl-C in it ends the program, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    """Load and run the command line; its exit code."""
    from remote_agent.cli import main as remote_agent

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return remote_agent()
    except KeyboardInterrupt:
        return 1
    finally:
        # What is left is only the end of the interpreter.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
