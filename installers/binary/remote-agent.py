"""Where the binary `remote-agent` begins."""

import sys

from remote_agent.__main__ import main

sys.exit(main())
