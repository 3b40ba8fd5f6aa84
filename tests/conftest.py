"""What holds for all tests: Ctrl-C as a terminal would give it."""

from __future__ import annotations

import signal

# A shell starts what it puts into the background with Ctrl-C ignored, and children inherit that
# through exec (signal(7)): tests that press Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
