"""Where `remote-agent` and `python -m remote_agent` begin."""

import gc
import signal
import sys

# Loading the rest takes a moment: a Ctrl-C in it ends the program, without a traceback.
# One that was ignored, as in the background of a shell, stays ignored.
_USUAL = signal.getsignal(signal.SIGINT)
_LOADING = signal.SIG_IGN if _USUAL is signal.SIG_IGN else signal.SIG_DFL
signal.signal(signal.SIGINT, _LOADING)


def main() -> int:
    """Load and run the command line; its exit code."""
    # What is loaded stays: looking for garbage in it only takes time, a tenth of it.
    gc.disable()
    from remote_agent.left_out import leave_out

    leave_out()
    from remote_agent.cli import main as remote_agent

    signal.signal(signal.SIGINT, _USUAL)
    try:
        return remote_agent()
    except KeyboardInterrupt:
        return 1
    finally:
        # What is left is only the end of the interpreter.
        signal.signal(signal.SIGINT, _LOADING)


if __name__ == "__main__":
    sys.exit(main())
