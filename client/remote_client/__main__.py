"""`python -m remote_client`."""

from remote_client.cli import main

main()
