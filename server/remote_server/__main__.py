"""Where `remote-server` and `python -m remote_server` begin."""

import signal

# Loading the rest takes a moment: a Ctrl-C in it ends the program, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Load and run the command line; always ends by SystemExit."""
    from remote_server.cli import main as remote_server

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        remote_server()
    finally:
        # What is left is only the end of the interpreter.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
