"""Names of artifacts: relative paths that lead nowhere else, on no system. Pure.

A name becomes a path on a host, in a URL and on the disk of whoever fetches it. So it is the same
kind of text everywhere: names between single slashes, printable, none of them `.` or `..`.
"""

from __future__ import annotations

from remote_protocol.limits import MAX_ARTIFACT_DEPTH, MAX_FILE_NAME, MAX_FILE_PATH


def name_fault(name: str) -> str:
    """Why a text cannot be the name of an artifact, in words; empty when it can."""
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") for part in parts):
        return "it is no relative path"
    if not name.isprintable() or "\\" in name:
        return "it has a backslash or a character that cannot be printed"
    if len(parts) > MAX_ARTIFACT_DEPTH:
        return f"it is deeper than {MAX_ARTIFACT_DEPTH} folders"
    if len(name.encode()) > MAX_FILE_PATH or any(len(p.encode()) > MAX_FILE_NAME for p in parts):
        return f"it is longer than {MAX_FILE_PATH} bytes, or a part of it than {MAX_FILE_NAME}"
    return ""
