"""What holds for all tests: signals as a terminal would give them."""

from __future__ import annotations

import signal

# A shell starts what it puts into the background with Ctrl-C ignored, and children inherit that
# through exec (signal(7)): tests that press Ctrl-C would wait for ever.
for _number in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(
            _number,
            signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL,
        )
