"""What went wrong on the way to a server, in words: what TLS says, and what helps. Pure, standard
library only.

Errors are told by the names of their classes, so that OpenSSL has not to be loaded for it.
"""

from __future__ import annotations

import re


def is_kind(error: BaseException | None, name: str) -> bool:
    """Whether an error is of a class of this name, or of one below it."""
    return error is not None and any(kind.__name__ == name for kind in type(error).__mro__)


def cause_of(error: BaseException) -> str:
    """What the system or OpenSSL says of it, without the number of an error, and without the line
    of its own source that OpenSSL names at the end."""
    names = ("verify_message", "reason", "strerror")
    said = next((text for name in names if (text := getattr(error, name, None))), None)
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(said or error))
    return re.sub(r" *\((_ssl\.c:\d+|None)\)", "", text).rstrip(".") or type(error).__name__


def certificate_cure(cause: str, option: str) -> str:
    """What helps against a certificate that is refused; `option` names a file of trusted ones."""
    words = cause.lower()
    if "expired" in words or "not yet valid" in words:
        return "renew it, or set this host's clock"
    if "mismatch" in words or "not valid for" in words:
        return "use the host name that it was made for"
    return f"if a private CA signed it, name that with {option}"


def speaks_no_tls(error: BaseException) -> bool:
    """Whether a failed handshake looks as if the port spoke plain HTTP."""
    text = str(error).lower().replace("_", " ")
    return "wrong version number" in text or "record layer" in text
