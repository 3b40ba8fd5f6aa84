"""Where `remotectl` and `python -m remote_client` begin."""

import gc
import os
import signal

# Loading the rest takes a moment: a Ctrl-C in it ends the program, without a traceback.
# One that was ignored, as in the background of a shell, stays ignored.
_USUAL = signal.getsignal(signal.SIGINT)
_LOADING = signal.SIG_IGN if _USUAL is signal.SIG_IGN else signal.SIG_DFL
signal.signal(signal.SIGINT, _LOADING)


def main() -> None:
    """Load and run the command line; always ends by SystemExit."""
    _occupy_closed_streams()
    # What is loaded stays: looking for garbage in it, now and at the end, only takes time.
    gc.disable()
    from remote_client.cli import main as remotectl

    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, _USUAL)
    try:
        remotectl()
    finally:
        # What is left is only the end of the interpreter.
        signal.signal(signal.SIGINT, _LOADING)


def _occupy_closed_streams() -> None:
    """A stream that was closed must not become the number of a socket: words would go there."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
