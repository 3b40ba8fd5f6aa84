"""`python -m remote_server`: the command line."""

from remote_server.cli import main

main()
