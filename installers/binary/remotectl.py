"""Where the binary `remotectl` begins."""

from remote_client.__main__ import main

main()
