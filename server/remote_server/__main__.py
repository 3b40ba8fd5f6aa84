"""Where `remote-server` and `python -m remote_server` begin."""

import gc
import signal

# Loading the rest takes a moment: a Ctrl-C in it ends the program, without a traceback.
# One that was ignored, as in the background of a shell, stays ignored.
_USUAL = signal.getsignal(signal.SIGINT)
_LOADING = signal.SIG_IGN if _USUAL is signal.SIG_IGN else signal.SIG_DFL
signal.signal(signal.SIGINT, _LOADING)


def main() -> None:
    """Load and run the command line; always ends by SystemExit."""
    # What is loaded stays: looking for garbage in it, now and at the end, only takes time.
    gc.disable()
    from remote_server.cli import main as remote_server

    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, _USUAL)
    try:
        remote_server()
    finally:
        # What is left is only the end of the interpreter.
        signal.signal(signal.SIGINT, _LOADING)


if __name__ == "__main__":
    main()
